from __future__ import annotations

import itertools
import logging
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from acestep.constants import BPM_MAX, BPM_MIN, KEYSCALES, LANGUAGES, TIME_SIGNATURES
from acestep.planner import grammar as grammar_module
from acestep.planner.cot_schema import CotSchema
from acestep.planner.engines.pt import PtEngine
from acestep.planner.grammar import Grammar
from acestep.planner.metadata import SongMetadata, from_yaml
from acestep.planner.output_parsing import parse_tokens
from acestep.planner.sampling import Sampling
from acestep.planner.user_metadata import clean_metadata
from acestep.planner.vocabulary import Vocabulary
from tests.acestep.planner.requests import text_request

USERS: tuple[SongMetadata, ...] = (
    {},
    {"bpm": 140},
    {"duration": 12, "language": "no"},
    {"keyscale": "F# minor", "timesignature": "6/8", "caption": 'a "quoted" \\ cap: tion'},
    {"keyscale": "<|im_end|> </think>", "caption": "`tick` <think>"},
    {"caption": "月亮 😀 é / \\n " + "word " * 600 + "end", "keyscale": "B♭ major"},
)


@pytest.fixture(scope="module")
def grammar(vocabulary: Vocabulary) -> Grammar:
    return Grammar(vocabulary)


def write(grammar: Grammar, form: CotSchema, seed: int) -> tuple[list[int], int]:
    """A random text of *form* and the number of choices it took."""
    constraint, random = grammar.constraint(form), np.random.default_rng(seed)
    tokens, choices = constraint.forced(), 0
    while not constraint.done:
        token = int(random.choice(np.flatnonzero(constraint.allowed())))
        constraint.accept(token)
        tokens += [token, *constraint.forced()]
        choices += 1
    assert len(tokens) <= constraint.max_tokens
    return tokens, choices


def check(text: str, form: CotSchema, user: SongMetadata) -> None:
    body = text.partition("</think>")[0] if form.lyrics else text.removesuffix("</think>")
    assert body.startswith("<think>\n")
    assert body.endswith("\n")
    body = body.removeprefix("<think>\n").removesuffix("\n")
    metadata = from_yaml(body)
    assert list(metadata) == form.fields
    assert re.findall(r"^(\w+): ", body, flags=re.MULTILINE) == form.fields
    assert {name: str(value) for name, value in metadata.items() if name in user} == {
        name: str(value) for name, value in user.items()
    }
    drawn = {name: value for name, value in metadata.items() if name not in user}
    assert BPM_MIN <= int(drawn.get("bpm", BPM_MIN)) <= BPM_MAX
    assert 10 <= int(drawn.get("duration", 10)) <= form.max_duration_s
    assert drawn.get("keyscale", "C major") in KEYSCALES
    assert drawn.get("language", "en") in LANGUAGES
    assert drawn.get("timesignature", "4") in TIME_SIGNATURES
    assert "`" not in str(drawn.get("caption", ""))


@pytest.mark.parametrize(("user", "caption", "language"), list(itertools.product(USERS, (True, False), (True, False))))
def test_every_hot_thought_of_a_random_model_is_complete(
    engine: PtEngine, vocabulary: Vocabulary, grammar: Grammar, user: SongMetadata, caption: bool, language: bool
) -> None:
    base = CotSchema.for_phase1(user, caption=caption, language=language, max_duration_s=240)
    form = replace(base, max_caption_tokens=24)
    prompt = vocabulary.encode(("<|im_start|>user\nhello<|im_end|>\n<|im_start|>assistant\n",))
    for seed in range(12):
        run = engine.write_text(
            text_request(vocabulary, prompt, grammar.constraint(form), Sampling(temperature=2.0), seed=seed)
        )
        assert run.finish == "stop"
        inner = run.tokens[1:-1]
        assert not set(inner) & set(vocabulary.controls.values())
        assert max(inner) < vocabulary.codes.first_id
        check(vocabulary.decode(run.tokens), form, user)


@pytest.mark.parametrize("user", USERS[:4])
@pytest.mark.parametrize("temperature", [0.0, 2.0, 20.0])
def test_every_description_of_a_random_model_is_complete(
    engine: PtEngine, vocabulary: Vocabulary, grammar: Grammar, user: SongMetadata, temperature: float
) -> None:
    form = replace(CotSchema.for_text_task(user), max_caption_tokens=24, max_genres_tokens=12, max_lyric_tokens=30)
    prompt = vocabulary.encode(("<|im_start|>user\nhello<|im_end|>\n<|im_start|>assistant\n",))
    for seed in range(1 if temperature == 0.0 else 12):
        constraint = grammar.constraint(form)
        sampling = Sampling(temperature, repetition_penalty=1.0 if seed % 2 else 0.5)
        asked = text_request(vocabulary, prompt, constraint, sampling, seed=seed)
        run = engine.write_text(replace(asked, stops=vocabulary.stops))
        assert run.finish == "stop"
        assert constraint.done
        closing = run.tokens.index(vocabulary.end_think)
        lyrics = run.tokens[closing + 1 : -1]
        assert run.tokens[-1] == vocabulary.end
        assert not {*run.tokens[1:closing], *lyrics} & vocabulary.control_ids
        assert max(run.tokens) < vocabulary.codes.first_id
        assert constraint.cut == (len(lyrics) == 30)
        check(vocabulary.decode(run.tokens), form, user)


@settings(max_examples=60, deadline=None)
@given(
    st.integers(0, 2**32),
    st.fixed_dictionaries(
        {},
        optional={
            "bpm": st.integers(BPM_MIN, BPM_MAX),
            "caption": st.text(min_size=1, max_size=120),
            "duration": st.integers(10, 600),
            "genres": st.text(min_size=1, max_size=60),
            "keyscale": st.sampled_from(KEYSCALES),
            "language": st.sampled_from(LANGUAGES),
            "timesignature": st.sampled_from(TIME_SIGNATURES),
        },
    ),
    st.sets(st.sampled_from(("caption", "language"))),
    st.booleans(),
    st.booleans(),
)
def test_whatever_is_chosen_can_be_read(
    vocabulary: Vocabulary, seed: int, given_by_user: dict[str, Any], skipped: set[str], genres: bool, lyrics: bool
) -> None:
    user = clean_metadata(given_by_user)
    form = CotSchema(
        CotSchema.fixed_fields(user),
        frozenset(skipped),
        genres,
        lyrics,
        max_caption_tokens=16,
        max_genres_tokens=8,
        max_lyric_tokens=8,
    )
    tokens, _ = write(Grammar(vocabulary), form, seed)
    metadata = parse_tokens(vocabulary, tokens).metadata
    assert list(metadata) == form.fields
    assert metadata == metadata | user


def test_a_model_that_only_indents_ends_its_caption(grammar: Grammar, vocabulary: Vocabulary) -> None:
    constraint = grammar.constraint(CotSchema(max_caption_tokens=8))
    tokens, favourites = constraint.forced(), [vocabulary.encode_text(text)[0] for text in ("\n", " ", "\t")]
    while not constraint.done:
        mask = constraint.allowed()
        token = next((token for token in favourites if mask[token]), int(np.flatnonzero(mask)[0]))
        constraint.accept(token)
        tokens += [token, *constraint.forced()]
    assert len(tokens) < 100
    check(vocabulary.decode(tokens), CotSchema(), {})


def test_a_caption_is_cut_off_after_512_tokens(grammar: Grammar, vocabulary: Vocabulary) -> None:
    for seed in range(8):
        tokens, _ = write(grammar, CotSchema(), seed)
        text = vocabulary.decode(tokens)
        check(text, CotSchema(), {})
        caption = re.search(r"caption:(.*)\nduration", text, flags=re.DOTALL)
        assert caption
        assert tokens.index(vocabulary.think) == 0
        assert 500 < len(tokens) < 600


def test_what_must_follow_is_taken_without_asking(grammar: Grammar) -> None:
    form = CotSchema(skipped=frozenset({"caption", "language"}))
    tokens, choices = write(grammar, form, seed=1)
    assert choices <= 10
    assert len(tokens) - choices >= 14


def test_a_tokenizer_is_compiled_once_in_a_process(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = Grammar(Vocabulary(folder))
    monkeypatch.delattr(grammar_module, "LLTokenizer")
    again = Grammar(Vocabulary(folder))
    assert again.reused
    assert again.compile_s == first.compile_s > 0
    assert again.constraint(CotSchema()).forced() == first.constraint(CotSchema()).forced()
    other = Vocabulary(folder)
    other.grammar_json += "\n \n"
    with pytest.raises(NameError):
        Grammar(other)


def test_a_form_is_compiled_once(grammar: Grammar, monkeypatch: pytest.MonkeyPatch) -> None:
    first = grammar.constraint(CotSchema(fixed=(("bpm", "77"),)))
    first.forced()
    monkeypatch.delattr(grammar_module, "LLMatcher")
    assert grammar.constraint(CotSchema(fixed=(("bpm", "77"),))).forced()
    with pytest.raises(NameError):
        grammar.constraint(CotSchema(fixed=(("bpm", "78"),)))


def test_a_traced_constraint_decides_the_same_and_logs_it(grammar: Grammar, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    plain, traced = grammar.constraint(CotSchema()), grammar.constraint(CotSchema(), debug=True)
    assert plain.forced() == traced.forced()
    assert (plain.allowed() == traced.allowed()).all()
    token = int(np.flatnonzero(plain.allowed())[0])
    traced.accept(token)
    messages = [record.getMessage() for record in caplog.records]
    assert messages[0].startswith("constraint: forced 5 tokens '<think>\\nbpm: '")
    assert re.fullmatch(r"constraint: chose '\d' among \d tokens", messages[1])
    assert len(messages) == 2


def test_time_is_counted(grammar: Grammar) -> None:
    constraint = grammar.constraint(CotSchema())
    before = constraint.seconds
    constraint.forced()
    constraint.allowed()
    assert constraint.seconds > before > 0
