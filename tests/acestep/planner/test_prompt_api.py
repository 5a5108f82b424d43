"""The planner's prompts as text, all eleven of them, against the reference's."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from acestep.constants import NO_USER_INPUT
from acestep.llm_inference import LLMHandler
from acestep.planner.prompt_api import PromptBuilderMixin
from acestep.planner.user_metadata import clean_metadata
from acestep.planner.vocabulary import Vocabulary

NEGATIVE = "noisy, low quality"
CODES = "<|audio_code_5|><|audio_code_63999|><|audio_code_1234|>"
Build = Callable[[PromptBuilderMixin, dict[str, Any], dict[str, Any]], str]


def _legacy(prompts: PromptBuilderMixin, given: dict[str, Any], _: dict[str, Any]) -> str:
    prompts.use_legacy_cfg_prompt = True
    return prompts.build_formatted_prompt_with_cot(given["caption"], given["lyrics"], "", is_negative_prompt=True)


BUILDERS: dict[str, Build] = {
    "cot_conditional": lambda p, given, _: p.build_formatted_prompt(given["caption"], given["lyrics"]),
    "cot_unconditional_default": lambda p, given, _: p.build_formatted_prompt(
        given["caption"], given["lyrics"], is_negative_prompt=True
    ),
    "cot_unconditional_negative": lambda p, given, _: p.build_formatted_prompt(
        given["caption"], given["lyrics"], is_negative_prompt=True, negative_prompt=NEGATIVE
    ),
    "codes_conditional": lambda p, given, lm: p.build_formatted_prompt_with_cot(
        given["caption"], given["lyrics"], lm["cot_text"]
    ),
    "codes_unconditional_default": lambda p, given, lm: p.build_formatted_prompt_with_cot(
        given["caption"], given["lyrics"], lm["cot_text"], is_negative_prompt=True
    ),
    "codes_unconditional_negative": lambda p, given, lm: p.build_formatted_prompt_with_cot(
        given["caption"], given["lyrics"], lm["cot_text"], is_negative_prompt=True, negative_prompt=NEGATIVE
    ),
    "codes_unconditional_legacy_toggle": _legacy,
    "understand": lambda p, *_: p.build_formatted_prompt_for_understanding(CODES),
    "inspiration": lambda p, given, _: p.build_formatted_prompt_for_inspiration(given["caption"]),
    "inspiration_instrumental": lambda p, given, _: p.build_formatted_prompt_for_inspiration(given["caption"], True),
    "format": lambda p, given, _: p.build_formatted_prompt_for_format(given["caption"], given["lyrics"]),
}


@pytest.fixture
def prompts(vocabulary: Vocabulary) -> PromptBuilderMixin:
    built = PromptBuilderMixin()
    built.llm_tokenizer = vocabulary.tokenizer
    return built


def test_every_prompt_of_the_reference_is_compared(rendered: list[dict[str, Any]]) -> None:
    assert all(case["lm"]["prompts"].keys() == BUILDERS.keys() for case in rendered)


@pytest.mark.parametrize("case", range(3))
@pytest.mark.parametrize("name", BUILDERS)
def test_prompts_are_the_references(
    prompts: PromptBuilderMixin, rendered: list[dict[str, Any]], case: int, name: str
) -> None:
    given, lm = rendered[case]["input"], rendered[case]["lm"]
    expected = lm["prompts"][name]
    # the reference's caller puts these in the place of blank lyrics
    if name == "format" and not given["lyrics"].strip():
        expected = expected.replace("# Lyric\n<", "# Lyric\n[Instrumental]<")
    assert BUILDERS[name](prompts, given, lm) == expected


def test_the_references_chain_of_thought_is_read(prompts: PromptBuilderMixin, rendered: list[dict[str, Any]]) -> None:
    for case in rendered:
        lm = case["lm"]
        expected = {name: clean_metadata({name: value})[name] for name, value in lm["cot_metadata"].items()}
        assert prompts.parse_lm_output(lm["cot_text"]) == (expected, "")


def test_the_legacy_prompt_prefers_a_negative_prompt(prompts: PromptBuilderMixin) -> None:
    prompts.use_legacy_cfg_prompt = True
    built = prompts.build_formatted_prompt("mine", "la", True, "codes", NEGATIVE)
    assert f"# Caption\n{NEGATIVE}\n\n# Lyric\nla\n" in built
    assert "# Caption\nmine\n\n# Lyric\nla\n" in prompts.build_formatted_prompt("mine", "la", True, "codes")
    prompts.use_legacy_cfg_prompt = False
    assert NO_USER_INPUT in prompts.build_formatted_prompt("mine", "la", True, "codes")


def test_the_legacy_toggle_changes_what_guidance_reads(handler: LLMHandler) -> None:
    def plan(legacy: bool) -> dict[str, Any]:
        handler.use_legacy_cfg_prompt = legacy
        return handler.generate_with_stop_condition(
            "a calm piano",
            "[Verse]\nla la",
            "llm_dit",
            cfg_scale=3.0,
            target_duration=10,
            use_cot_metas=False,
            seeds=[1],
        )

    try:
        now, legacy = plan(False), plan(True)
    finally:
        handler.use_legacy_cfg_prompt = False
    assert (now["error"], legacy["error"]) == (None, None)
    assert now["audio_codes"] != legacy["audio_codes"]
    counts = [result["extra_outputs"]["counts"]["prompt_tokens"] for result in (now, legacy)]
    assert counts[0] < counts[1]


def test_prompts_need_a_tokenizer() -> None:
    handler = LLMHandler()
    for build in (
        lambda: handler.build_formatted_prompt("a"),
        lambda: handler.build_formatted_prompt_with_cot("a", "b", ""),
        lambda: handler.build_formatted_prompt_for_understanding(CODES),
        lambda: handler.build_formatted_prompt_for_inspiration("a"),
        lambda: handler.build_formatted_prompt_for_format("a", "b"),
    ):
        with pytest.raises(ValueError, match="LLM not initialized"):
            build()


def test_an_unknown_phase_is_named(prompts: PromptBuilderMixin) -> None:
    with pytest.raises(ValueError, match="'poem'"):
        prompts.build_formatted_prompt("a", generation_phase="poem")
