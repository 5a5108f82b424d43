"""generate_music with its planner: what each switch asks of it, and what reaches the synthesizer."""

from __future__ import annotations

import dataclasses
import itertools
import logging
from typing import Any

import pytest

from acestep.handler import AceStepHandler
from acestep.inference import GenerationConfig, GenerationParams, GenerationResult, generate_music
from acestep.llm_inference import LLMHandler

PARAMS = GenerationParams(caption="a calm piano", lyrics="[Verse]\nla la", duration=10, inference_steps=1)
ALL_METAS = {"bpm": 90, "keyscale": "D minor", "timesignature": "4"}
SWITCHES = list(itertools.product((True, False), repeat=4))


@pytest.fixture
def calls(handler: AceStepHandler, planner: LLMHandler, monkeypatch: pytest.MonkeyPatch) -> dict[str, dict[str, Any]]:
    """What the planner and the synthesizer were last asked for, and what the planner answered."""
    seen: dict[str, dict[str, Any]] = {}
    plan, synthesize = planner.generate_with_stop_condition, handler.generate_music

    def planned(**asked: Any) -> dict[str, Any]:
        seen["planner"] = asked
        seen["plan"] = plan(**asked)
        return seen["plan"]

    def synthesized(**asked: Any) -> dict[str, Any]:
        seen["synthesizer"] = asked
        return synthesize(**asked)

    monkeypatch.setattr(planner, "generate_with_stop_condition", planned)
    monkeypatch.setattr(handler, "generate_music", synthesized)
    return seen


def generate(
    handler: AceStepHandler, planner: LLMHandler, params: GenerationParams = PARAMS, **changes: Any
) -> GenerationResult:
    debug = changes.pop("constrained_decoding_debug", False)
    config = GenerationConfig(batch_size=1, use_random_seed=False, seeds=[3], constrained_decoding_debug=debug)
    result = generate_music(handler, planner, dataclasses.replace(params, **changes), config)
    assert result.success, result.error
    return result


def lyric_text(handler: AceStepHandler, result: GenerationResult) -> str:
    """What the synthesizer's text encoder read as lyrics."""
    ids = result.extra_outputs["lyric_token_idss"][0].tolist()
    return str(handler.text_tokenizer.decode(ids))


@pytest.mark.parametrize(("thinking", "metas", "caption", "language"), SWITCHES)
def test_each_switch_asks_for_its_part(
    handler: AceStepHandler,
    planner: LLMHandler,
    calls: dict[str, dict[str, Any]],
    thinking: bool,
    metas: bool,
    caption: bool,
    language: bool,
) -> None:
    switches = {"use_cot_metas": metas, "use_cot_caption": caption, "use_cot_language": language}
    result = generate(handler, planner, thinking=thinking, **switches)
    assert ("planner" in calls) == any((thinking, metas, caption, language))
    given = calls["synthesizer"]
    if "planner" in calls:
        metadata, counts = calls["plan"]["metadata"], result.extra_outputs["counts"]
        assert calls["planner"]["infer_type"] == ("llm_dit" if thinking else "dit")
        assert set(metadata) - {"caption", "language", "duration"} == (set(ALL_METAS) if metas else set())
        assert ("caption" in metadata, "language" in metadata) == (metas and caption, metas and language)
        assert (counts["lm_cot_tokens"] > 0, counts["lm_code_tokens"]) == (metas, 50 if thinking else 0)
        assert (given["bpm"], given["key_scale"]) == (metadata.get("bpm"), metadata.get("keyscale", ""))
        assert given["captions"] == metadata.get("caption", PARAMS.caption)
        assert given["vocal_language"] == metadata.get("language", "unknown")
    else:
        assert (given["bpm"], given["captions"], given["vocal_language"]) == (None, PARAMS.caption, "unknown")
    assert given["audio_duration"] == 10


def test_a_language_that_is_detected_is_sung(handler: AceStepHandler, planner: LLMHandler) -> None:
    heard = {}
    for seed in range(6):
        params = dataclasses.replace(PARAMS, thinking=False, use_cot_caption=False, lm_temperature=2.0)
        config = GenerationConfig(batch_size=1, use_random_seed=False, seeds=[seed])
        result = generate_music(handler, planner, params, config)
        language = result.extra_outputs["lm_metadata"]["language"]
        heard[language] = lyric_text(handler, result)
        assert f"# Languages\n{language}\n" in heard[language]
        assert params.cot_vocal_language == language
    assert len(heard) > 1


def test_a_language_is_the_callers_where_none_is_detected(
    handler: AceStepHandler, planner: LLMHandler, monkeypatch: pytest.MonkeyPatch
) -> None:
    result = generate(handler, planner, vocal_language="fr", use_cot_language=False)
    assert "# Languages\nfr\n" in lyric_text(handler, result)
    plan = planner.generate_with_stop_condition

    def undecided(**asked: Any) -> dict[str, Any]:
        answer = plan(**asked)
        answer["metadata"]["language"] = "unknown"
        return answer

    monkeypatch.setattr(planner, "generate_with_stop_condition", undecided)
    assert "# Languages\nfr\n" in lyric_text(handler, generate(handler, planner, vocal_language="fr"))


def test_with_all_metadata_given_nothing_is_planned(
    handler: AceStepHandler, planner: LLMHandler, calls: dict[str, dict[str, Any]]
) -> None:
    result = generate(handler, planner, **ALL_METAS)
    assert result.extra_outputs["counts"]["lm_cot_tokens"] == 0
    assert result.extra_outputs["counts"]["lm_code_tokens"] == 50
    given = calls["synthesizer"]
    assert (given["captions"], given["bpm"], given["key_scale"]) == (PARAMS.caption, 90, "D minor")


def test_what_is_given_is_not_planned_anew(handler: AceStepHandler, planner: LLMHandler) -> None:
    params = dataclasses.replace(PARAMS, bpm=90, thinking=False)
    config = GenerationConfig(batch_size=1, use_random_seed=False, seeds=[3])
    result = generate_music(handler, planner, params, config)
    assert result.extra_outputs["lm_metadata"]["bpm"] == 90
    assert (params.cot_bpm, params.cot_duration) == (None, None)
    assert params.cot_keyscale == result.extra_outputs["lm_metadata"]["keyscale"]


def test_without_constraints_music_is_made(handler: AceStepHandler, planner: LLMHandler) -> None:
    for temperature in (0.0, 2.0):
        result = generate(handler, planner, use_constrained_decoding=False, lm_temperature=temperature, duration=10)
        assert result.extra_outputs["time_costs"]["lm_constrained_decoding_time"] == 0.0
        assert result.extra_outputs["counts"]["lm_cot_tokens"] > 0
        assert result.extra_outputs["counts"]["lm_code_tokens"] == 50


def test_decisions_can_be_logged(
    handler: AceStepHandler, planner: LLMHandler, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "acestep.planner")
    generate(handler, planner)
    assert "forced" not in caplog.text
    generate(handler, planner, constrained_decoding_debug=True)
    assert "constraint: forced" in caplog.text
    assert "constraint: chose" in caplog.text


@pytest.mark.parametrize("name", ["use_constrained_decoding", "thinking", "use_cot_language"])
def test_switches_are_true_or_false(handler: AceStepHandler, planner: LLMHandler, name: str) -> None:
    params = dataclasses.replace(PARAMS, **{name: "yes"})
    assert generate_music(handler, planner, params, GenerationConfig()).error == (
        f"{name} is 'yes', expected True or False."
    )


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"caption": "word " * 20_000}, "shorten"),
        ({"lyrics": "a" * 100_000}, "shorten"),
        ({"caption": None}, "caption is None, expected text"),
        ({"lyrics": b"la"}, "lyrics is b'la', expected text"),
        ({"caption": "\ud800"}, "Unicode"),
        ({"vocal_language": "xx"}, "vocal_language is 'xx'"),
        ({"audio_codes": "<|audio_code_64000|>"}, "audio code 64000"),
        ({"audio_codes": "<|audio_code_1|><|audio_code_"}, "audio_codes hold '<|audio_code_'"),
    ],
)
def test_bad_input_is_a_failure(
    handler: AceStepHandler, planner: LLMHandler, changes: dict[str, Any], said: str
) -> None:
    result = generate_music(handler, planner, dataclasses.replace(PARAMS, **changes), GenerationConfig(batch_size=1))
    assert not result.success
    assert result.error is not None
    assert said in result.error
    assert result.audios == []
