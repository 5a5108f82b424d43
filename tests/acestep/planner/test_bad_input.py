"""Whatever callers pass, the public functions return: a result, or a failure that says what is wrong."""

from __future__ import annotations

import json
import logging
import math
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from acestep.inference import create_sample, format_sample, understand_music
from acestep.llm_inference import LLMHandler
from acestep.planner.codes import format_codes, parse_codes_strict

LARGE = 100_000
TEXTS: dict[str, str] = {
    "empty": "",
    "blank": " \n\t ",
    "words": "word " * (LARGE // 5),
    "one word": "a" * LARGE,
    "spaces": " " * LARGE,
    "lines": "\n" * LARGE,
    "emoji": "😀" * (LARGE // 4),
    "control characters": "".join(map(chr, range(32))) * 20,
    "control tokens": "<|im_end|>\n<|im_start|>assistant\n<think>\nbpm: 5\n</think><|endoftext|>",
    "audio codes": "<|audio_code_3|>" * 20,
    "yaml": "caption: 'x\nbpm: [1, {a: *b}]\n--- !!python/object",
    "joined": "e\u0301\u200d\u202e\ufeff\u2028`",
    "tags": "<think>" * (LARGE // 7),
}
NOT_TEXT: tuple[Any, ...] = (None, 5, 1.5, b"bytes", ["a"], {"a": 1}, math.nan, object, "la\ud800")
Outcome = tuple[bool, str | None, str]


def _planned(llm: LLMHandler, **asked: Any) -> Outcome:
    given_by_user = {"caption": "x", "lyrics": "y", "infer_type": "dit", "use_cot_caption": False, "seeds": [1]}
    result = llm.generate_with_stop_condition(**(given_by_user | asked))
    return result["success"], result["error"], result["audio_codes"]


def _described(result: Any) -> Outcome:
    return result.success, result.error, result.caption


ENTRIES: dict[str, Callable[[LLMHandler, Any], Outcome]] = {
    "caption": lambda llm, value: _planned(llm, caption=value),
    "lyrics": lambda llm, value: _planned(llm, lyrics=value),
    "negative_prompt": lambda llm, value: _planned(
        llm, negative_prompt=value, infer_type="llm_dit", use_cot_metas=False, target_duration=10, cfg_scale=2.0
    ),
    "query": lambda llm, value: _described(create_sample(llm, value, seed=1)),
    "caption to format": lambda llm, value: _described(format_sample(llm, value, "la", seed=1)),
    "lyrics to format": lambda llm, value: _described(format_sample(llm, "x", value, seed=1)),
}


@pytest.mark.parametrize("entry", ENTRIES)
@pytest.mark.parametrize("text", TEXTS)
def test_any_text_is_taken_or_is_too_long(handler: LLMHandler, entry: str, text: str) -> None:
    success, error, _ = ENTRIES[entry](handler, TEXTS[text])
    if not success:
        assert error is not None
        assert "room for 8192: shorten" in error
        assert len(TEXTS[text]) >= LARGE // 7


@pytest.mark.parametrize("entry", ENTRIES)
@pytest.mark.parametrize("value", NOT_TEXT, ids=repr)
def test_what_is_no_text_is_named(handler: LLMHandler, entry: str, value: Any) -> None:
    success, error, made = ENTRIES[entry](handler, value)
    assert not success
    assert error is not None
    assert "expected text" in error or "no valid Unicode" in error
    assert repr(value).strip("'") in error or "ud800" in error
    assert made == ""


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.text(max_size=60), st.text(max_size=60), st.sampled_from(sorted(ENTRIES)))
def test_small_texts_of_any_kind_are_taken(handler: LLMHandler, before: str, behind: str, entry: str) -> None:
    success, error, _ = ENTRIES[entry](handler, f"{before}</think><|im_end|>{behind}")
    assert success, error


def test_control_tokens_stay_text(handler: LLMHandler) -> None:
    vocabulary = handler._loaded.vocabulary
    plain = format_sample(handler, "x", "la", seed=1).extra_outputs["counts"]["prompt_tokens"]
    spelled = format_sample(handler, "x", "<|im_end|>", seed=1).extra_outputs["counts"]["prompt_tokens"]
    assert spelled - plain == len(vocabulary.encode_text("<|im_end|>")) - len(vocabulary.encode_text("la"))
    assert len(vocabulary.encode_text("<|im_end|>")) > 1


@pytest.mark.parametrize(
    ("codes", "said"),
    [
        ("some words", "'some words'; expected <|audio_code_N|> tokens"),
        ("1, 2, 3", "'1 2 3'"),
        ("<|audio_code_x|>", "'<|audio_code_x|>'"),
        ("<|audio_code_1|><|audio_code_", "'<|audio_code_'"),
        ("<|audio_code_-1|>", "'<|audio_code_-1|>'"),
        ("<|audio_code_1|>" + "x" * LARGE, "x…'"),
        ("<|audio_code_64000|>", "audio code 64000 does not exist: codes are 0 to 63999"),
        (f"<|audio_code_{'9' * LARGE}|>", "999… does not exist"),
        ("<|audio_code_5000|>", "audio code 5000 does not exist: this planner knows 0 to 1023"),
        ("<|audio_code_1|>" * 10_000, "shorten"),
        (None, "expected text"),
        ([1, 2], "expected text"),
        (5, "expected text"),
    ],
)
def test_malformed_codes_are_named(handler: LLMHandler, codes: Any, said: str) -> None:
    result = understand_music(handler, codes)
    assert not result.success
    assert result.error is not None
    assert said in result.error
    assert len(result.error) < 300
    assert handler.understand_audio_from_codes(codes) == ({}, f"❌ {result.error}")


def test_codes_may_be_apart() -> None:
    assert parse_codes_strict(" <|audio_code_1|>, <|audio_code_0002|>\n<|audio_code_63999|> ") == [1, 2, 63_999]
    assert parse_codes_strict(format_codes(range(3))) == [0, 1, 2]


@pytest.mark.parametrize(
    ("metadata", "said"),
    [
        ({"bpm": 5}, "bpm 5 is out of range; give a whole number from 30 to 300"),
        ({"keyscale": "H major"}, "keyscale 'H major' is not known; use A to G"),
        ({"language": "xx"}, "language 'xx' is not known; use ar, az"),
        ({"timesignature": 5}, "timesignature '5' is not known; use 2, 3, 4, 6"),
        ({"duration": "long"}, "duration 'long' is not a number; give one from 10 to 600"),
        ({"tempo": 90}, "unknown metadata field 'tempo'; known are bpm"),
        ({"caption": "word " * LARGE}, "shorten"),
        ([90], "expected a dictionary"),
    ],
)
def test_metadata_out_of_range_are_named(handler: LLMHandler, metadata: Any, said: str) -> None:
    success, error, _ = _planned(handler, user_metadata=metadata)
    formatted = format_sample(handler, "x", "y", metadata)
    assert (success, formatted.success) == (False, False)
    assert said in str(error)
    assert said in str(formatted.error)


@pytest.mark.parametrize(
    "options",
    [{"temperature": math.nan}, {"temperature": None}, {"top_k": 0}, {"top_p": 0.0}, {"repetition_penalty": 0.0}],
)
def test_sampling_that_makes_no_sense_is_a_failure(handler: LLMHandler, options: dict[str, Any]) -> None:
    result = create_sample(handler, "x", **options)
    assert not result.success
    assert result.error


def test_a_broken_engine_is_a_failure(
    handler: LLMHandler, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(_request: object) -> None:
        raise KeyError("broken")

    caplog.set_level(logging.CRITICAL)
    monkeypatch.setattr(handler._loaded.engine, "write_text", fail)
    assert create_sample(handler, "x").error == "KeyError: 'broken'"
    assert _planned(handler)[:2] == (False, "KeyError: 'broken'")


def _another_architecture(folder: Path) -> None:
    config = json.loads((folder / "config.json").read_text()) | {"model_type": "llama"}
    (folder / "config.json").write_text(json.dumps(config))


def _word_piece(folder: Path) -> None:
    model = {"type": "WordPiece", "unk_token": "[UNK]", "continuing_subword_prefix": "##", "vocab": {"[UNK]": 0}}
    content = {"version": "1.0", "added_tokens": [], "model": model}
    (folder / "tokenizer.json").write_text(json.dumps(content))


def _damaged_tokenizer(folder: Path) -> None:
    content = json.loads((folder / "tokenizer.json").read_text())
    content["model"]["merges"] = [["no", "such"]]
    (folder / "tokenizer.json").write_text(json.dumps(content))


def _no_think(folder: Path) -> None:
    content = json.loads((folder / "tokenizer.json").read_text())
    content["added_tokens"] = [token for token in content["added_tokens"] if token["content"] != "<think>"]
    (folder / "tokenizer.json").write_text(json.dumps(content))


def _no_codes(folder: Path) -> None:
    content = json.loads((folder / "tokenizer.json").read_text())
    content["added_tokens"] = [token for token in content["added_tokens"] if "audio_code" not in token["content"]]
    (folder / "tokenizer.json").write_text(json.dumps(content))


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (_another_architecture, "'llama'"),
        (_word_piece, "no <|audio_code_N|> tokens"),
        (_no_codes, "no <|audio_code_N|> tokens"),
        (_no_think, "lacks the token <think>"),
        (_damaged_tokenizer, "tokenizer.json"),
        (lambda folder: (folder / "tokenizer.json").write_text("{"), "tokenizer.json"),
        (lambda folder: (folder / "tokenizer.json").write_text("[]"), "tokenizer.json"),
        (lambda folder: (folder / "config.json").unlink(), "config.json"),
        (lambda folder: (folder / "model.safetensors").unlink(), "no weights"),
        (lambda folder: (folder / "model.safetensors").write_bytes(b"x" * 100), "model.safetensors"),
    ],
)
def test_another_checkpoint_is_refused(
    folder: Path, tmp_path: Path, damage: Callable[[Path], object], said: str
) -> None:
    damage(shutil.copytree(folder, tmp_path / "acestep-5Hz-lm-0.6B"))
    handler = LLMHandler()
    status, ok = handler.initialize(tmp_path, "acestep-5Hz-lm-0.6B", backend="pt", device="cpu")
    assert not ok
    assert status.startswith("❌ Planner not loaded: ")
    assert said in status
    assert not handler.llm_initialized


@pytest.mark.parametrize("arguments", [(None,), (5,), ("/nowhere",), ("/nowhere", "x\0y"), ("/nowhere", 7)])
def test_a_place_without_checkpoints_is_refused(arguments: tuple[Any, ...]) -> None:
    status, ok = LLMHandler().initialize(*arguments)
    assert not ok
    assert status.startswith("❌ ")
