"""Text tasks: describing a piece from its codes, inventing one from a query, improving caption and lyrics."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

from acestep.constants import INSTRUMENTAL, NO_USER_INPUT
from acestep.planner import PlannerError, prompts
from acestep.planner.codes import parse_codes_strict
from acestep.planner.cot_schema import CotSchema
from acestep.planner.metadata import FIELDS, SongMetadata
from acestep.planner.output_parsing import parse_tokens
from acestep.planner.stats import RequestStats
from acestep.planner.user_metadata import check_text, clean_metadata

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

    from acestep.planner.options import DecodingOptions
    from acestep.planner.planner import Planner
    from acestep.planner.prompts import Prompt

EMPTY = "Empty metadata returned"


@dataclass(frozen=True)
class UnderstandTask:
    """Describe the piece of *audio_codes*; with ``NO USER INPUT`` the planner invents a piece.

    Attributes:
        audio_codes: ``<|audio_code_N|>`` tokens.
        headline: first words of the status.
        user_metadata: fields that the user fixed; this task has none.
    """

    audio_codes: str

    headline: ClassVar = "Understanding completed successfully"
    user_metadata: ClassVar[Mapping[str, Any]] = {}

    def prompt(self, tokenizer: PreTrainedTokenizerFast) -> Prompt:
        """The prompt of the task.

        Raises:
            PlannerError: there are no audio codes, or they are malformed.
        """
        text = check_text("audio_codes", self.audio_codes).strip()
        if not text:
            raise PlannerError("No audio codes given: pass <|audio_code_N|> tokens.")
        try:
            codes = [] if text == NO_USER_INPUT else parse_codes_strict(text)
        except ValueError as error:
            raise PlannerError(str(error)) from None
        return prompts.understand_prompt(tokenizer, codes)

    def add_extras(self, metadata: dict[str, Any], lyrics: str) -> str:
        """Add the lyrics to *metadata*; returns the fields' part of the status."""
        metadata |= {"lyrics": lyrics} if lyrics else {}
        return ", ".join(metadata)


@dataclass(frozen=True)
class CreateTask:
    """Invent a piece from *query*.

    Attributes:
        query: what the user wants, in words.
        instrumental: whether the piece has no vocals.
        vocal_language: the language that the user fixed, or None.
        headline: first words of the status.
    """

    query: str
    instrumental: bool
    vocal_language: str | None

    headline: ClassVar = "Sample created successfully"

    @property
    def user_metadata(self) -> dict[str, Any]:
        """The field that the user fixed: the language."""
        return {"language": self.vocal_language}

    def prompt(self, tokenizer: PreTrainedTokenizerFast) -> Prompt:
        """The prompt of the task.

        Raises:
            PlannerError: the query is not text.
        """
        query = check_text("query", self.query)
        return prompts.inspire_prompt(tokenizer, query if query.strip() else NO_USER_INPUT, self.instrumental)

    def add_extras(self, metadata: dict[str, Any], lyrics: str) -> str:
        """Add ``instrumental`` and the lyrics to *metadata*; returns the fields' part of the status."""
        metadata["instrumental"] = self.instrumental
        if lyrics or self.instrumental:
            metadata["lyrics"] = lyrics or INSTRUMENTAL
        return str(metadata)


@dataclass(frozen=True)
class FormatTask:
    """Improve *caption* and *lyrics*, and complete the metadata.

    Attributes:
        caption, lyrics: the user's texts.
        user_metadata: fields that the user fixed.
        headline: first words of the status.
    """

    caption: str
    lyrics: str
    user_metadata: Mapping[str, Any] | None

    headline: ClassVar = "Format completed successfully"

    def prompt(self, tokenizer: PreTrainedTokenizerFast) -> Prompt:
        """The prompt of the task.

        Raises:
            PlannerError: caption or lyrics are not text.
        """
        caption, lyrics = check_text("caption", self.caption), check_text("lyrics", self.lyrics)
        return prompts.format_prompt(
            tokenizer,
            caption if caption.strip() else NO_USER_INPUT,
            lyrics if lyrics.strip() else INSTRUMENTAL,
        )

    def add_extras(self, metadata: dict[str, Any], lyrics: str) -> str:
        """Add the new lyrics, else the user's, to *metadata*; returns the fields' part of the status."""
        if lyrics or self.lyrics.strip():
            metadata["lyrics"] = lyrics or self.lyrics
        return ", ".join(metadata)


TextTask = UnderstandTask | CreateTask | FormatTask


@dataclass
class TextTaskResult:
    """The result of a `TextTask`, filled in while the task runs.

    Attributes:
        stats: statistics; the only phase is ``phase1``.
        metadata: the fields of the piece, lyrics included; empty if the task failed.
        error: why the task failed, or None.
        status: one line that begins with ✅ and names the fields, or with ❌ and gives the reason.
    """

    stats: RequestStats
    metadata: dict[str, Any] = field(default_factory=dict)
    error: str | None = None
    status: str = ""


def run_text_task(
    planner: Planner, task: TextTask, options: DecodingOptions, seed: int, result: TextTaskResult
) -> None:
    """Run *task* and store the piece's metadata and the status in *result*.

    Raises:
        PlannerError: the task's input is invalid, or the generated text has no valid field.
    """
    user: SongMetadata = clean_metadata(task.user_metadata)
    if user.get("language") == "unknown":
        del user["language"]
    prompt = task.prompt(planner.vocabulary.tokenizer)
    with result.stats.clock.span("phase1"):
        tokens = planner.write_text(prompt, CotSchema.for_text_task(user), options, seed, result.stats)
        output = parse_tokens(planner.vocabulary, tokens)
    if not output.metadata:
        raise PlannerError(EMPTY)
    found = output.metadata | user
    metadata: dict[str, Any] = {name: found[name] for name in FIELDS if name in found}
    fields = task.add_extras(metadata, output.lyrics)
    result.metadata = metadata
    result.status = f"✅ {task.headline}\nGenerated fields: {fields}"
