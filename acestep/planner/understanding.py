"""Describing a piece: from its codes, from a wish, or from a caption and lyrics to be improved."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

from acestep.constants import INSTRUMENTAL, NO_USER_INPUT
from acestep.planner import PlannerError, prompts
from acestep.planner.codes import read_codes
from acestep.planner.cot_schema import Form
from acestep.planner.metadata import FIELDS, Metadata
from acestep.planner.output_parsing import read_tokens
from acestep.planner.stats import Costs
from acestep.planner.user_metadata import check_text, clean_metadata

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

    from acestep.planner.planner import Decoding, Planner
    from acestep.planner.prompts import Prompt

EMPTY = "Empty metadata returned"


@dataclass(frozen=True)
class Understanding:
    """Asks what the piece of *audio_codes* is like; ``NO USER INPUT`` invents one."""

    audio_codes: str

    headline: ClassVar = "Understanding completed successfully"
    user: ClassVar[Mapping[str, Any]] = {}

    def prompt(self, tokenizer: PreTrainedTokenizerFast) -> Prompt:
        """The question."""
        text = check_text("audio_codes", self.audio_codes).strip()
        if not text:
            raise PlannerError("No audio codes given: pass <|audio_code_N|> tokens.")
        try:
            codes = [] if text == NO_USER_INPUT else read_codes(text)
        except ValueError as error:
            raise PlannerError(str(error)) from None
        return prompts.understand_prompt(tokenizer, codes)

    def complete(self, metadata: dict[str, Any], lyrics: str) -> str:
        """Add the lyrics; returns what the status says about the fields."""
        metadata |= {"lyrics": lyrics} if lyrics else {}
        return ", ".join(metadata)


@dataclass(frozen=True)
class Inspiration:
    """Asks for a piece that *query* wishes for."""

    query: str
    instrumental: bool
    vocal_language: str | None

    headline: ClassVar = "Sample created successfully"

    @property
    def user(self) -> dict[str, Any]:
        """The language, if one is asked for."""
        return {"language": self.vocal_language}

    def prompt(self, tokenizer: PreTrainedTokenizerFast) -> Prompt:
        """The question."""
        query = check_text("query", self.query)
        return prompts.inspire_prompt(tokenizer, query if query.strip() else NO_USER_INPUT, self.instrumental)

    def complete(self, metadata: dict[str, Any], lyrics: str) -> str:
        """Add lyrics and the wish for none; returns what the status says about the fields."""
        metadata["instrumental"] = self.instrumental
        if lyrics or self.instrumental:
            metadata["lyrics"] = lyrics or INSTRUMENTAL
        return str(metadata)


@dataclass(frozen=True)
class Formatting:
    """Asks for a better *caption* and better *lyrics*."""

    caption: str
    lyrics: str
    user: Mapping[str, Any] | None

    headline: ClassVar = "Format completed successfully"

    def prompt(self, tokenizer: PreTrainedTokenizerFast) -> Prompt:
        """The question."""
        caption, lyrics = check_text("caption", self.caption), check_text("lyrics", self.lyrics)
        return prompts.format_prompt(
            tokenizer,
            caption if caption.strip() else NO_USER_INPUT,
            lyrics if lyrics.strip() else INSTRUMENTAL,
        )

    def complete(self, metadata: dict[str, Any], lyrics: str) -> str:
        """Add the lyrics, the caller's if there are no others; returns what the status says about the fields."""
        if lyrics or self.lyrics.strip():
            metadata["lyrics"] = lyrics or self.lyrics
        return ", ".join(metadata)


Question = Understanding | Inspiration | Formatting


@dataclass
class Description:
    """What a question has yielded so far, and what that took.

    Attributes:
        costs: its one phase is ``phase1``.
        metadata: empty unless the question was answered.
        error: why it was not.
        status: of an answer, with the names of its fields.
    """

    costs: Costs
    metadata: dict[str, Any] = field(default_factory=dict)
    error: str | None = None
    status: str = ""

    @property
    def answer(self) -> tuple[dict[str, Any], str]:
        """Metadata and status."""
        return self.metadata, self.status


def describe(planner: Planner, question: Question, how: Decoding, seed: int, description: Description) -> None:
    """Ask *question* and fill *description* with the answer.

    Raises:
        PlannerError: the question cannot be asked, or nothing in the answer could be read.
    """
    user: Metadata = clean_metadata(question.user)
    if user.get("language") == "unknown":
        del user["language"]
    prompt = question.prompt(planner.vocabulary.tokenizer)
    with description.costs.clock.span("phase1"):
        tokens = planner.write_text(prompt, Form.description(user), how, seed, description.costs)
        answer = read_tokens(planner.vocabulary, tokens)
    if not answer.metadata:
        raise PlannerError(EMPTY)
    found = answer.metadata | user
    metadata: dict[str, Any] = {name: found[name] for name in FIELDS if name in found}
    fields = question.complete(metadata, answer.lyrics)
    description.metadata = metadata
    description.status = f"✅ {question.headline}\nGenerated fields: {fields}"
