"""What the reference wrote under greedy decoding, on every engine."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from acestep.planner import prompts
from acestep.planner.codes import format_codes
from acestep.planner.cot_schema import CotSchema
from acestep.planner.engines import Engine
from acestep.planner.engines.base import CodesRequest
from acestep.planner.engines.pt import PtEngine
from acestep.planner.grammar import Grammar
from acestep.planner.metadata import SongMetadata
from acestep.planner.options import DecodingOptions
from acestep.planner.planner import Planner
from acestep.planner.stats import RequestStats
from acestep.planner.vocabulary import Vocabulary
from acestep.timing.clock import Clock
from tests.acestep.planner.requests import GREEDY, text_request


@pytest.mark.parametrize("case", ["llm_dit_full_cot", "dit_metas_only_skip_caption"])
def test_greedy_metadata_are_the_references(
    golden: Engine, golden_vocabulary: Vocabulary, greedy: dict[str, Any], case: str
) -> None:
    call = greedy[case]["lm_calls"][0]
    given = call["args"]
    form = CotSchema.for_phase1(
        given["user_metadata"] or {},
        caption=not given["skip_caption"],
        language=not given["skip_language"],
        max_duration_s=240,
    )
    prompt = prompts.metadata_prompt(golden_vocabulary.tokenizer, given["caption"], given["lyrics"])
    assert prompt.text == call["formatted_prompt"]
    constraint = Grammar(golden_vocabulary).constraint(form)
    asked = text_request(golden_vocabulary, golden_vocabulary.encode(prompt.pieces), constraint)
    run = golden.write_text(asked)
    assert golden_vocabulary.decode(run.tokens) == call["output_text"].removesuffix("<|im_end|>") + "</think>"
    assert run.forwards < len(run.tokens)
    assert run.finish == "stop"


@pytest.mark.parametrize("case", ["llm_dit_full_cot", "llm_dit_all_metas_given", "codes_negative_prompt"])
def test_greedy_codes_are_the_references(
    golden: Engine, golden_vocabulary: Vocabulary, greedy: dict[str, Any], case: str
) -> None:
    expected, call = greedy[case]["result"], greedy[case]["lm_calls"][-1]
    given, tokenizer = call["args"], golden_vocabulary.tokenizer
    prompt = prompts.codes_prompt(tokenizer, given["caption"], given["lyrics"], expected["metadata"])
    assert prompt.text == call["formatted_prompt"]
    unconditional = prompts.unconditional_prompt(tokenizer, given["negative_prompt"])
    asked = CodesRequest(
        prompt=golden_vocabulary.encode(prompt.pieces),
        unconditional=golden_vocabulary.encode(unconditional.pieces),
        scale=given["cfg_scale"],
        count=5 * given["target_duration"],
        limit=3000,
        sampling=GREEDY,
        seeds=[1],
    )
    assert format_codes(golden.write_codes(asked).codes[0]) == expected["audio_codes"]


@pytest.mark.parametrize("most", [4, 60])
@pytest.mark.parametrize("user", [{}, {"bpm": 100, "language": "es", "genres": "pop"}])
def test_greedy_descriptions_are_the_same(
    golden: Engine, golden_engine: PtEngine, golden_vocabulary: Vocabulary, user: SongMetadata, most: int
) -> None:
    form = replace(CotSchema.for_text_task(user), max_lyric_tokens=most)
    prompt = prompts.format_prompt(golden_vocabulary.tokenizer, "latin pop", "[Verse 1]\nhola mundo")
    texts, finish = [], []
    for engine in (golden, golden_engine):
        stats = RequestStats(Clock())
        planner = Planner(engine, golden_vocabulary)
        texts.append(planner.write_text(prompt, form, DecodingOptions(temperature=0.0), 0, stats))
        finish.append(stats.finish)
    assert texts[0] == texts[1]
    assert finish == [{"phase1": "length" if most == 4 else "stop"}] * 2
    assert texts[0][-1] == golden_vocabulary.end
