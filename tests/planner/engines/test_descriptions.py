"""Text behind a chain of thought, which a constant mask holds, on every engine."""

from __future__ import annotations

from dataclasses import replace

import pytest

from acestep.clock import Clock
from acestep.planner import prompts
from acestep.planner.costs import Costs
from acestep.planner.engines.base import Engine
from acestep.planner.engines.pt import PtEngine
from acestep.planner.forms import Form
from acestep.planner.metadata import Metadata
from acestep.planner.procedure import Decoding, Planner
from acestep.planner.sampling import Sampling
from acestep.planner.vocabulary import Vocabulary


@pytest.mark.parametrize("most", [4, 60])
@pytest.mark.parametrize("user", [{}, {"bpm": 100, "language": "es", "genres": "pop"}])
def test_greedy_descriptions_are_the_same(
    golden: Engine, golden_engine: PtEngine, golden_vocabulary: Vocabulary, user: Metadata, most: int
) -> None:
    form = replace(Form.description(user), max_lyric_tokens=most)
    prompt = prompts.format_prompt(golden_vocabulary.tokenizer, "latin pop", "[Verse 1]\nhola mundo")
    texts, finish = [], []
    for engine in (golden, golden_engine):
        costs = Costs(Clock())
        planner = Planner(engine, golden_vocabulary)
        texts.append(planner.write_text(prompt, form, Decoding(Sampling(0.0)), 0, costs))
        finish.append(costs.finish)
    assert texts[0] == texts[1]
    assert finish == [{"phase1": "length" if most == 4 else "stop"}] * 2
    assert texts[0][-1] == golden_vocabulary.end
