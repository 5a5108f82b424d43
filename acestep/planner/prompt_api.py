"""The planner's prompts as text, for callers of `LLMHandler` who inspect or compare them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from acestep.constants import NO_USER_INPUT
from acestep.planner import prompts
from acestep.planner.metadata import SongMetadata
from acestep.planner.output_parsing import parse_text
from acestep.planner.understanding import CreateTask, FormatTask, UnderstandTask

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast


class PromptBuilderMixin:
    """Builds prompts and parses outputs as text. As plain text, control tokens in a user's input are not escaped.

    Attributes:
        llm_tokenizer: renders the prompts; None while no planner is loaded.
        use_legacy_cfg_prompt: whether the unconditional prompt keeps the lyrics, and the caption if there is no
            negative prompt.
    """

    llm_tokenizer: PreTrainedTokenizerFast | None = None
    use_legacy_cfg_prompt: bool = False

    def build_formatted_prompt(
        self,
        caption: str,
        lyrics: str = "",
        is_negative_prompt: bool = False,
        generation_phase: str = "cot",
        negative_prompt: str = NO_USER_INPUT,
    ) -> str:
        """The prompt of phase 1 (``"cot"``), or of phase 2 (``"codes"``) before any chain of thought.

        Raises:
            ValueError: there is no tokenizer, or the phase is unknown.
        """
        if generation_phase not in ("cot", "codes"):
            raise ValueError(f"generation_phase {generation_phase!r} is not known: use 'cot' or 'codes'.")
        if not is_negative_prompt:
            return prompts.metadata_prompt(self._tokenizer, caption, lyrics).text
        if generation_phase == "cot":
            return prompts.unconditional_metadata_prompt(self._tokenizer, lyrics, negative_prompt).text
        return self._unconditional(caption, lyrics, negative_prompt).text

    def build_formatted_prompt_with_cot(
        self,
        caption: str,
        lyrics: str,
        cot_text: str,
        is_negative_prompt: bool = False,
        negative_prompt: str = NO_USER_INPUT,
    ) -> str:
        """The prompt of phase 2 behind *cot_text* (``<think>`` … ``</think>``), or its unconditional counterpart.

        Raises:
            ValueError: there is no tokenizer.
        """
        if is_negative_prompt:
            return prompts.with_cot(self._unconditional(caption, lyrics, negative_prompt), "").text
        return f"{prompts.metadata_prompt(self._tokenizer, caption, lyrics).text}{cot_text}\n\n"

    def build_formatted_prompt_for_understanding(self, audio_codes: str) -> str:
        """The prompt that asks for a description of *audio_codes*.

        Raises:
            ValueError: there is no tokenizer, or the codes are malformed.
        """
        return UnderstandTask(audio_codes).prompt(self._tokenizer).text

    def build_formatted_prompt_for_inspiration(self, query: str, instrumental: bool = False) -> str:
        """The prompt that asks for a piece according to *query*.

        Raises:
            ValueError: there is no tokenizer.
        """
        return CreateTask(query, instrumental, None).prompt(self._tokenizer).text

    def build_formatted_prompt_for_format(self, caption: str, lyrics: str) -> str:
        """The prompt that asks for a better caption and better lyrics.

        Raises:
            ValueError: there is no tokenizer.
        """
        return FormatTask(caption, lyrics, None).prompt(self._tokenizer).text

    @staticmethod
    def parse_lm_output(text: str) -> tuple[SongMetadata, str]:
        """Metadata and audio-code tokens in *text*, see `acestep.planner.output_parsing.parse_text`."""
        output = parse_text(text)
        return output.metadata, output.codes

    def _unconditional(self, caption: str, lyrics: str, negative_prompt: str) -> prompts.Prompt:
        legacy = (caption, lyrics) if self.use_legacy_cfg_prompt else None
        return prompts.unconditional_chat(self._tokenizer, negative_prompt, legacy)

    @property
    def _tokenizer(self) -> PreTrainedTokenizerFast:
        if self.llm_tokenizer is None:
            raise ValueError("LLM not initialized: call LLMHandler.initialize first.")
        return self.llm_tokenizer
