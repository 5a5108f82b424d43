"""understand_music, create_sample and format_sample: what they return, of any model, and how they fail."""

from __future__ import annotations

import dataclasses
import itertools
import logging
from collections.abc import Callable

import numpy as np
import pytest

from acestep.constants import BPM_MAX, BPM_MIN, KEYSCALES, LANGUAGES, MAX_LYRIC_TOKENS, TIME_SIGNATURES
from acestep.inference import (
    CreateSampleResult,
    FormatSampleResult,
    UnderstandResult,
    create_sample,
    format_sample,
    understand_music,
)
from acestep.llm_inference import LLMHandler

Result = UnderstandResult | CreateSampleResult | FormatSampleResult
CODES = "".join(f"<|audio_code_{code}|>" for code in range(50))
CALLS: dict[str, Callable[..., Result]] = {
    "understand": lambda llm, **how: understand_music(llm, CODES, **how),
    "create": lambda llm, **how: create_sample(llm, "a soft love song", **how),
    "format": lambda llm, **how: format_sample(llm, "latin pop", "[Verse]\nhola", **how),
}
FIELDS = ["bpm", "caption", "duration", "genres", "keyscale", "language", "timesignature"]


@pytest.fixture(params=CALLS)
def call(request: pytest.FixtureRequest) -> Callable[..., Result]:
    return CALLS[request.param]


def check(result: Result) -> None:
    """A complete description in which every value is in range."""
    assert result.success, result.error
    assert result.error is None
    assert result.bpm is not None
    assert BPM_MIN <= result.bpm <= BPM_MAX
    assert result.duration is not None
    assert 10.0 <= result.duration <= 600.0
    assert result.keyscale in KEYSCALES
    assert result.language in LANGUAGES
    assert result.timesignature in TIME_SIGNATURES
    assert result.caption
    assert result.extra_outputs["genres"]
    assert "\n" not in result.caption + result.extra_outputs["genres"]


def test_a_description_is_complete(handler: LLMHandler, call: Callable[..., Result]) -> None:
    result = call(handler, seed=1)
    check(result)
    assert result.status_message.startswith("✅ ")
    assert all(name in result.status_message for name in FIELDS)
    extra = result.extra_outputs
    assert extra["finish"]["phase1"] in ("stop", "length")
    assert extra["counts"]["prompt_tokens"] > 20
    assert 0 < extra["counts"]["forwards"] < extra["counts"]["cot_tokens"]
    assert extra["counts"]["code_tokens"] == 0
    assert 0 < extra["time_costs"]["constrained_decoding_time"] < extra["time_costs"]["total_time"]
    assert isinstance(result.duration, float)
    assert result.to_dict() == dataclasses.asdict(result)


def test_a_seed_repeats_a_description(handler: LLMHandler, call: Callable[..., Result]) -> None:
    first, again, other = (call(handler, seed=seed) for seed in (1, 1, 2))
    assert first.caption == again.caption != other.caption
    assert first.lyrics == again.lyrics
    drawn = {call(handler, temperature=2.0).caption for _ in range(2)}
    assert len(drawn) == 2


def test_a_hot_model_describes(handler: LLMHandler, call: Callable[..., Result]) -> None:
    for seed in range(3):
        check(call(handler, temperature=2.0, seed=seed))


def test_sampling_options_reach_the_engine(handler: LLMHandler) -> None:
    call = CALLS["format"]
    plain = call(handler, seed=1, temperature=1.5).caption
    for options in ({"top_k": 3}, {"top_p": 0.3}, {"repetition_penalty": 5.0}, {"temperature": 0.0}):
        assert call(handler, **({"seed": 1, "temperature": 1.5} | options)).caption != plain


def test_without_constraints_it_parses_or_fails_as_documented(handler: LLMHandler, call: Callable[..., Result]) -> None:
    for seed in range(3):
        result = call(handler, use_constrained_decoding=False, temperature=2.0, seed=seed)
        assert result.success or result.error == "Empty metadata returned"
        assert result.extra_outputs["time_costs"]["constrained_decoding_time"] == 0.0
        assert result.extra_outputs["counts"]["cot_tokens"] > 0


def test_every_decision_can_be_logged(
    handler: LLMHandler, call: Callable[..., Result], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "acestep")
    quiet = call(handler, seed=1)
    assert not caplog.records
    result = call(handler, seed=1, constrained_decoding_debug=True)
    assert dataclasses.replace(result, extra_outputs={}) == dataclasses.replace(quiet, extra_outputs={})
    text, counts = caplog.text, result.extra_outputs["counts"]
    assert "forced" in text
    assert "'<think>\\nbpm" in text
    assert text.count("chose") == counts["forwards"]
    forced = sum(record.args[0] for record in caplog.records if "forced" in record.msg)  # type: ignore[index,misc]
    assert forced + text.count("chose") == counts["cot_tokens"]
    choices = [record.args[1] for record in caplog.records if "chose" in record.msg]  # type: ignore[index]
    assert all(isinstance(number, int) and number > 1 for number in choices)


def test_without_a_planner_it_says_so(call: Callable[..., Result]) -> None:
    result = call(LLMHandler())
    assert (result.success, result.error, result.status_message) == (
        False,
        "LLM not initialized",
        "LLM not initialized",
    )


def test_types_of_results(handler: LLMHandler) -> None:
    types = [type(call(handler, seed=1)) for call in CALLS.values()]
    assert types == [UnderstandResult, CreateSampleResult, FormatSampleResult]


def test_handler_methods_return_metadata_and_status(handler: LLMHandler) -> None:
    metadata, status = handler.understand_audio_from_codes(CODES, seed=1)
    assert [name for name in metadata if name != "lyrics"] == FIELDS
    assert status == f"✅ Understanding completed successfully\nGenerated fields: {', '.join(metadata)}"
    metadata, status = handler.create_sample_from_query("love", instrumental=True, seed=1)
    assert metadata["instrumental"] is True
    assert status == f"✅ Sample created successfully\nGenerated fields: {metadata}"
    metadata, status = handler.format_sample_from_input("pop", "la", seed=1)
    assert status == f"✅ Format completed successfully\nGenerated fields: {', '.join(metadata)}"


def test_handler_methods_fail_with_a_status(handler: LLMHandler) -> None:
    assert handler.understand_audio_from_codes("  ")[0] == {}
    assert handler.understand_audio_from_codes("")[1].startswith("❌ No audio codes")
    for llm, codes in ((LLMHandler(), CODES), (handler, "<|audio_code_70000|>")):
        metadata, status = llm.understand_audio_from_codes(codes)
        assert metadata == {}
        assert status.startswith("❌ ")


def test_blank_codes_have_a_piece_invented(handler: LLMHandler) -> None:
    blank, named = (understand_music(handler, codes, seed=1) for codes in (" ", "NO USER INPUT"))
    check(blank)
    assert blank.caption == named.caption
    tokens = [result.extra_outputs["counts"]["prompt_tokens"] for result in (blank, named)]
    words = handler._loaded.vocabulary.encode_text("NO USER INPUT")
    of_codes = understand_music(handler, CODES, seed=1).extra_outputs["counts"]["prompt_tokens"]
    assert tokens == [of_codes - 50 + len(words)] * 2


def test_a_language_stands_fast(handler: LLMHandler) -> None:
    assert {create_sample(handler, "x", vocal_language="no", seed=seed).language for seed in range(2)} == {"no"}
    open_ones = {
        create_sample(handler, "x", vocal_language=language, temperature=1.5, seed=seed).language
        for language, seed in itertools.product((None, "", "unknown"), range(2))
    }
    assert len(open_ones) > 1
    assert not create_sample(handler, "x", vocal_language="xx").success


def test_users_metadata_stand_fast(handler: LLMHandler) -> None:
    given = {"bpm": "100", "duration": 30.7, "keyscale": "C♯ major", "timesignature": "3/4", "language": "es"}
    result = format_sample(handler, "latin pop", "hola", given, seed=1)
    check(result)
    found = (result.bpm, result.duration, result.keyscale, result.timesignature, result.language)
    assert found == (100, 30.0, "C♯ major", "3", "es")


def test_nobody_sings_where_nobody_shall(handler: LLMHandler, monkeypatch: pytest.MonkeyPatch) -> None:
    only_the_end = np.zeros_like(handler._loaded.vocabulary.lyrics_mask)
    only_the_end[handler._loaded.vocabulary.end] = True
    monkeypatch.setitem(vars(handler._loaded.vocabulary), "lyrics_mask", only_the_end)
    silent = create_sample(handler, "x", instrumental=True, seed=1)
    assert (silent.instrumental, silent.lyrics) == (True, "[Instrumental]")
    sung = create_sample(handler, "x", seed=1)
    assert (sung.instrumental, sung.lyrics) == (False, "")
    assert format_sample(handler, "x", "[Verse]\nmine", seed=1).lyrics == "[Verse]\nmine"
    assert understand_music(handler, CODES, seed=1).lyrics == ""


def test_blank_wishes_are_told_to_the_model(handler: LLMHandler) -> None:
    def caption(result: Result) -> str:
        check(result)
        return result.caption

    assert caption(create_sample(handler, " ", seed=1)) == caption(create_sample(handler, "NO USER INPUT", seed=1))
    assert caption(format_sample(handler, "", " ", seed=1)) == caption(
        format_sample(handler, "NO USER INPUT", "[Instrumental]", seed=1)
    )


def test_lyrics_are_text_and_end(handler: LLMHandler) -> None:
    vocabulary = handler._loaded.vocabulary
    allowed = np.flatnonzero(vocabulary.lyrics_mask)
    assert set(allowed.tolist()) & vocabulary.control_ids == {vocabulary.end}
    assert allowed.max() < vocabulary.codes.first_id
    endless = create_sample(handler, "x", temperature=0.0, repetition_penalty=0.5)
    assert endless.extra_outputs["finish"]["phase1"] == "length"
    assert len(vocabulary.encode_text(endless.lyrics)) <= MAX_LYRIC_TOKENS
