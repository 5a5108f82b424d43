"""What the reference does wrong (its specification calls the defects D1 to D10), and this planner does not."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from acestep.constants import LANGUAGES
from acestep.llm_inference import LLMHandler
from acestep.planner import prompts
from acestep.planner.constraint import Constraint
from acestep.planner.cot_schema import CotSchema
from acestep.planner.engines.base import CodesRequest
from acestep.planner.engines.pt import PtEngine
from acestep.planner.grammar import Grammar
from acestep.planner.metadata import to_yaml
from acestep.planner.output_parsing import parse_tokens
from acestep.planner.sampling import Sampling
from acestep.planner.user_metadata import clean_metadata
from acestep.planner.vocabulary import Vocabulary

WHOLE = CotSchema(genres=True, lyrics=True, max_caption_tokens=24, max_genres_tokens=16, max_lyric_tokens=20)
BEFORE = "\nbpm: 96\ncaption: A calm piano\n  with strings.\nduration: 30\ngenres: "


@pytest.fixture(scope="module")
def grammar(vocabulary: Vocabulary) -> Grammar:
    return Grammar(vocabulary)


def follow(constraint: Constraint, vocabulary: Vocabulary, text: str) -> list[int]:
    """Choose what *text* says until all of it is written; returns all tokens."""
    tokens = constraint.forced()
    while len(text) > len(written := vocabulary.decode(tokens).removeprefix("<think>")):
        assert text.startswith(written)
        for token in _next_character(vocabulary, text.removeprefix(written)):
            assert constraint.allowed()[token], text.removeprefix(written)
            constraint.accept(token)
            tokens.append(token)
        tokens += constraint.forced()
    return tokens


def _next_character(vocabulary: Vocabulary, text: str) -> list[int]:
    """The first token of *text*, or as many as it takes to write a whole character."""
    tokens = vocabulary.encode_text(text)
    return next(tokens[:end] for end in range(1, 9) if "\ufffd" not in vocabulary.decode(tokens[:end]))


def allowed(constraint: Constraint, vocabulary: Vocabulary) -> set[str]:
    return {vocabulary.decode([token]) for token in np.flatnonzero(constraint.allowed()).tolist()}


def test_d1_nothing_but_text_gets_into_a_caption(grammar: Grammar, vocabulary: Vocabulary) -> None:
    for text in ("\nbpm: 96\ncaption: A", "\nbpm: 96\ncaption: A calm piano", "\nbpm: 96\ncaption: A\n  "):
        constraint = grammar.constraint(WHOLE)
        follow(constraint, vocabulary, text)
        mask = constraint.allowed()
        assert not mask[list(vocabulary.control_ids)].any()
        assert len(mask) <= vocabulary.codes.first_id
        assert not any("`" in token for token in allowed(constraint, vocabulary))


def test_d1_a_line_break_in_a_caption_leads_to_another_line_or_to_the_next_field(
    grammar: Grammar, vocabulary: Vocabulary
) -> None:
    constraint = grammar.constraint(WHOLE)
    follow(constraint, vocabulary, "\nbpm: 96\ncaption: A calm piano")
    constraint.accept(vocabulary.encode_text("\n")[0])
    assert not constraint.forced()
    behind = allowed(constraint, vocabulary)
    assert behind
    assert all(token.startswith((" ", "\t")) or "duration".startswith(token) for token in behind)


def test_d2_the_field_behind_free_genres_is_whole(grammar: Grammar, vocabulary: Vocabulary) -> None:
    constraint = grammar.constraint(WHOLE)
    tokens = follow(constraint, vocabulary, f"{BEFORE}pop, rock\nkeyscale: ")
    assert vocabulary.decode(tokens) == f"<think>{BEFORE}pop, rock\nkeyscale: "


def test_d3_genres_are_words_behind_a_space(grammar: Grammar, vocabulary: Vocabulary) -> None:
    for genres in ("pop", "slow jazz", "Electronic Pop, R&B", "电子", "中 K-Pop"):
        follow(grammar.constraint(WHOLE), vocabulary, f"{BEFORE}{genres}\nkeyscale")
    constraint = grammar.constraint(WHOLE)
    follow(constraint, vocabulary, BEFORE.rstrip())
    assert all(token.startswith(" ") for token in allowed(constraint, vocabulary))
    assert not any(token.isspace() and len(token) > 1 for token in allowed(constraint, vocabulary))


def test_d3_genres_end(grammar: Grammar, vocabulary: Vocabulary) -> None:
    constraint = grammar.constraint(WHOLE)
    tokens = follow(constraint, vocabulary, f"{BEFORE}pop")
    pop = vocabulary.encode_text(" pop")[0]
    while not (forced := constraint.forced()):
        constraint.accept(pop)
        tokens.append(pop)
    assert vocabulary.decode(forced) == "\nkeyscale:"
    assert vocabulary.decode(tokens).count(" pop") <= WHOLE.max_genres_tokens


def test_d4_genres_cost_what_any_text_costs(
    grammar: Grammar, vocabulary: Vocabulary, monkeypatch: pytest.MonkeyPatch
) -> None:
    constraint = grammar.constraint(WHOLE)
    follow(constraint, vocabulary, f"{BEFORE}pop")
    looked_up: list[Any] = []
    for method in ("decode", "encode_text", "encode"):
        monkeypatch.setattr(vocabulary, method, looked_up.append)
    assert np.count_nonzero(constraint.allowed()) > 100
    assert not looked_up


def test_d5_the_language_is_drawn(handler: LLMHandler) -> None:
    def language(seed: int, temperature: float) -> str:
        asked = {"user_metadata": {"bpm": 90, "caption": "x"}, "temperature": temperature, "seeds": [seed]}
        result = handler.generate_with_stop_condition("x", "", "dit", **asked)  # type: ignore[arg-type]
        found: str = result["metadata"]["language"]
        return found

    drawn = [language(seed, 2.0) for seed in range(8)]
    assert len(set(drawn)) > 3
    assert drawn[:3] == [language(seed, 2.0) for seed in range(3)]
    assert language(0, 0.0) == language(1, 0.0)


def test_d5_formatting_keeps_the_language(handler: LLMHandler) -> None:
    metadata, _ = handler.format_sample_from_input("pop", "hola", {"language": "es"}, seed=1)
    assert metadata["language"] == "es"


def test_d6_texts_do_not_share_their_state(grammar: Grammar, vocabulary: Vocabulary) -> None:
    texts = ["\nbpm: 96\ncaption: A calm piano\nduration: 30\n", "\nbpm: 140\ncaption: B\n\tloud\nduration: 120\n"]
    apart = [follow(grammar.constraint(CotSchema()), vocabulary, text) for text in texts]
    first, second = grammar.constraint(CotSchema()), grammar.constraint(CotSchema())
    together: list[list[int]] = [first.forced(), second.forced()]
    for step in range(max(map(len, apart))):
        for constraint, tokens, expected in zip((first, second), together, apart, strict=True):
            if step >= len(tokens) and step < len(expected):
                assert constraint.allowed()[expected[step]]
                constraint.accept(expected[step])
                tokens += [expected[step], *constraint.forced()]
    assert together == apart


def test_d7_an_end_is_no_code(engine: PtEngine, vocabulary: Vocabulary) -> None:
    prompt = vocabulary.encode_text("la la")
    asked = CodesRequest(prompt, None, 1.0, None, 3000, Sampling(3.0), seeds=[1, 2, 3])
    free = engine.write_codes(asked)
    assert all(0 <= code < vocabulary.codes.count for row in free.codes for code in row)
    counted = engine.write_codes(replace(asked, count=17))
    assert [len(row) for row in counted.codes] == [17, 17, 17]


@pytest.mark.parametrize("language", LANGUAGES)
def test_d8_both_phases_spell_a_language_alike(grammar: Grammar, vocabulary: Vocabulary, language: str) -> None:
    user = clean_metadata({"bpm": 90, "duration": 30, "keyscale": "C major", "timesignature": "4"})
    text = f"\n{to_yaml(user | {'language': language})}\n"
    form = CotSchema(CotSchema.fixed_fields(user), frozenset({"caption"}))
    for chosen in (form, replace(form, fixed=CotSchema.fixed_fields(user | {"language": language}))):
        tokens = follow(grammar.constraint(chosen), vocabulary, text)
        assert parse_tokens(vocabulary, tokens).metadata["language"] == language
    assert ("'no'" in text) == (language == "no")


def test_d8_a_users_value_is_spelled_alike_in_both_phases(grammar: Grammar, vocabulary: Vocabulary) -> None:
    user = clean_metadata(
        {
            "bpm": 90,
            "caption": "mood: calm, " + "long " * 40,
            "duration": 30,
            "keyscale": "C♯ major",
            "language": "no",
            "timesignature": "6/8",
        }
    )
    (thought,) = (vocabulary.decode(grammar.constraint(CotSchema(CotSchema.fixed_fields(user))).forced()),)
    prompt = prompts.codes_prompt(vocabulary.tokenizer, "x", "y", user)
    assert prompt.text.endswith(f"{thought}\n\n")


@pytest.mark.parametrize(("asked_s", "count"), [(600, 3000), (10_000, 3000), (1, 50)])
def test_d9_there_is_one_limit(handler: LLMHandler, asked_s: float, count: int) -> None:
    result = handler.generate_with_stop_condition(
        "x", "y", "llm_dit", target_duration=asked_s, use_cot_metas=False, seeds=[1]
    )
    extra = result["extra_outputs"]
    assert (extra["codes_count"], result["metadata"]["duration"]) == (count, count // 5)
    assert extra["finish"] == {"phase2": ["count"]}


def test_d9_a_prompt_counts(handler: LLMHandler) -> None:
    words = " pop" * 5500
    fits = handler.generate_with_stop_condition(words, "", "llm_dit", target_duration=10, use_cot_metas=False)
    assert fits["success"]
    asked = handler.generate_with_stop_condition(words, "", "llm_dit", target_duration=600, use_cot_metas=False)
    assert not asked["success"]
    assert re.search(r"prompt has \d+ tokens and up to 3000 may follow.* room for 8192", asked["error"])


def test_d10_asking_what_is_allowed_changes_nothing(grammar: Grammar) -> None:
    once, often = grammar.constraint(WHOLE), grammar.constraint(WHOLE)
    random = np.random.default_rng(0)
    assert once.forced() == often.forced()
    while not once.done:
        for _ in range(3):
            mask = often.allowed()
        assert (once.allowed() == mask).all()
        token = int(random.choice(np.flatnonzero(mask)))
        once.accept(token)
        often.accept(token)
        assert once.forced() == often.forced()
    assert often.done
