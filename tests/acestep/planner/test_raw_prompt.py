"""generate_from_formatted_prompt: a rendered prompt in, text out."""

from __future__ import annotations

import re
from typing import Any

import pytest

from acestep.constants import BPM_MAX, BPM_MIN
from acestep.llm_inference import LLMHandler
from acestep.planner.codes import parse_codes

HOT = {"temperature": 2.0}


def write(handler: LLMHandler, cfg: dict[str, Any] | None = None, **options: Any) -> str:
    prompt = handler.build_formatted_prompt("a calm piano", "[Verse]\nla la")
    text, status = handler.generate_from_formatted_prompt(prompt, cfg, **({"seed": 1} | options))
    assert status.startswith(f"✅ Generated (pt) | length={len(text)} | finish="), status
    return text


def test_a_chain_of_thought_can_stand_alone(handler: LLMHandler) -> None:
    text = write(handler, {"user_metadata": {"bpm": 90}, "skip_genres": True}, stop_at_reasoning=True)
    assert text.startswith("<think>\nbpm: 90\ncaption: ")
    assert text.endswith("\n</think>")
    metadata, codes = handler.parse_lm_output(text)
    assert list(metadata) == ["bpm", "caption", "duration", "keyscale", "language", "timesignature"]
    assert codes == ""


def test_codes_follow_the_chain_of_thought(handler: LLMHandler) -> None:
    text = write(handler, {"target_duration": 12, "cfg_scale": 2.0})
    metadata, codes = handler.parse_lm_output(text)
    assert metadata["duration"] == 12
    assert len(parse_codes(codes)) == 60
    assert re.fullmatch(r"<think>\n.*\n</think>\n\n(<\|audio_code_\d+\|>){60}<\|im_end\|>", text, flags=re.DOTALL)


def test_codes_are_as_long_as_the_planned_duration(handler: LLMHandler) -> None:
    metadata, codes = handler.parse_lm_output(write(handler, {"user_metadata": {"duration": 11}}))
    assert (metadata["duration"], len(parse_codes(codes))) == (11, 55)


def test_codes_alone(handler: LLMHandler) -> None:
    prompt = handler.build_formatted_prompt_with_cot("x", "y", "<think>\nbpm: 90\n</think>")
    cfg = {"generation_phase": "codes", "target_duration": 10, "cfg_scale": 2.0}
    text, status = handler.generate_from_formatted_prompt(prompt, cfg, seed=3)
    assert re.fullmatch(r"(<\|audio_code_\d+\|>){50}<\|im_end\|>", text)
    assert "finish=['count']" in status
    negative, _ = handler.generate_from_formatted_prompt(prompt, cfg | {"negative_prompt": "noise" * 40}, seed=3)
    assert negative != text


@pytest.mark.parametrize("skipped", ["caption", "language", "genres"])
def test_fields_can_be_left_out(handler: LLMHandler, skipped: str) -> None:
    cfg = {"generation_phase": "understand", f"skip_{skipped}": True, "temperature": 1.0}
    text = write(handler, cfg)
    metadata, _ = handler.parse_lm_output(text)
    assert skipped not in metadata
    assert len(metadata) == 6
    assert "<|audio_code" not in text
    assert text.endswith("<|im_end|>")


def test_a_seed_repeats_a_text(handler: LLMHandler) -> None:
    assert write(handler, HOT, stop_at_reasoning=True) == write(handler, HOT, stop_at_reasoning=True)
    assert write(handler, HOT, stop_at_reasoning=True, seed=2) != write(handler, HOT, stop_at_reasoning=True)


@pytest.mark.parametrize("phase", ["cot", "codes", "understand"])
def test_without_constraints_nothing_breaks(handler: LLMHandler, phase: str) -> None:
    text = write(handler, HOT | {"generation_phase": phase, "target_duration": 10}, use_constrained_decoding=False)
    metadata, codes = handler.parse_lm_output(text)
    assert BPM_MIN <= int(metadata.get("bpm", BPM_MIN)) <= BPM_MAX
    assert len(parse_codes(codes)) == (0 if phase == "understand" else 50)


@pytest.mark.parametrize(
    ("cfg", "said"),
    [
        ({"generation_phase": "poem"}, "'poem' is not known: use one of 'cot', 'codes', 'understand'"),
        ({"temprature": 1.0}, "unknown cfg key 'temprature'; known are temperature"),
        ({"top_p": 2.0}, "top_p 2.0"),
        ({"target_duration": float("nan")}, "nan"),
        ({"user_metadata": {"bpm": 5}}, "30 to 300"),
        ({"temperature": "hot"}, "TypeError: must be real number"),
    ],
)
def test_what_cannot_be_done_is_a_status(handler: LLMHandler, cfg: dict[str, Any], said: str) -> None:
    text, status = handler.generate_from_formatted_prompt("x", cfg)
    assert text == ""
    assert status.startswith("❌ ")
    assert said in status


def test_without_a_planner_it_says_so() -> None:
    assert LLMHandler().generate_from_formatted_prompt("x") == (
        "",
        "❌ LLM not initialized: call LLMHandler.initialize first.",
    )
