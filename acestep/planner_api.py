"""The public functions that use only the planner, and their results; `acestep.inference` exports them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from acestep.constants import NO_USER_INPUT
from acestep.llm_inference import LLMHandler
from acestep.planner.options import DecodingOptions
from acestep.planner.understanding import CreateTask, FormatTask, TextTask, UnderstandTask

NOT_INITIALIZED = "LLM not initialized"


@dataclass
class UnderstandResult:
    """Description of a piece.

    Attributes:
        caption, lyrics: text; empty if the planner wrote none.
        bpm: beats per minute, or None.
        duration: seconds, or None.
        keyscale, language, timesignature: from the vocabularies in `acestep.constants`, or empty.
        status_message: what happened, for people.
        success: whether there is a description.
        error: why there is no description, or None.
        extra_outputs: ``time_costs`` (seconds), ``counts`` (tokens, forwards), ``finish`` (why the text ended) and
            ``genres``, if the planner named any.
    """

    caption: str = ""
    lyrics: str = ""
    bpm: int | None = None
    duration: float | None = None
    keyscale: str = ""
    language: str = ""
    timesignature: str = ""
    status_message: str = ""
    success: bool = True
    error: str | None = None
    extra_outputs: dict[str, Any] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """All fields as plain data."""
        return asdict(self)


@dataclass
class CreateSampleResult(UnderstandResult):
    """Description of an invented piece; *instrumental* is what the caller asked for."""

    instrumental: bool = False


@dataclass
class FormatSampleResult(UnderstandResult):
    """Description of a piece whose caption and lyrics were improved."""


def understand_music(
    llm_handler: LLMHandler,
    audio_codes: str,
    temperature: float = 0.85,
    top_k: int | None = None,
    top_p: float | None = None,
    repetition_penalty: float = 1.0,
    use_constrained_decoding: bool = True,
    constrained_decoding_debug: bool = False,
    seed: int | None = None,
) -> UnderstandResult:
    """Describe a piece.

    Args:
        llm_handler: initialised planner.
        audio_codes: the piece as ``<|audio_code_N|>`` tokens; the planner invents a piece if they are blank or
            ``NO USER INPUT``.
        temperature, top_k, top_p, repetition_penalty: see `acestep.planner.sampling.Sampling`.
        use_constrained_decoding: constrain the text by a grammar, so that it can always be parsed.
        constrained_decoding_debug: log forced tokens, and sampled ones with the number of allowed tokens.
        seed: seed of the sampling; None is random.

    Returns:
        The description, or a failure with ``error``.
    """
    blank = isinstance(audio_codes, str) and not audio_codes.strip()
    task = UnderstandTask(NO_USER_INPUT if blank else audio_codes)
    options = DecodingOptions(
        temperature, top_k, top_p, repetition_penalty, use_constrained_decoding, constrained_decoding_debug
    )
    return UnderstandResult(**_run(llm_handler, task, options, seed))


def create_sample(
    llm_handler: LLMHandler,
    query: str,
    instrumental: bool = False,
    vocal_language: str | None = None,
    temperature: float = 0.85,
    top_k: int | None = None,
    top_p: float | None = None,
    repetition_penalty: float = 1.0,
    use_constrained_decoding: bool = True,
    constrained_decoding_debug: bool = False,
    seed: int | None = None,
) -> CreateSampleResult:
    """Invent a piece.

    Args:
        llm_handler: initialised planner.
        query: what the piece should be like, in words; blank leaves it open.
        instrumental: whether the piece has no vocals.
        vocal_language: one of `acestep.constants.LANGUAGES`; None, blank and ``unknown`` leave it to the planner.
        temperature, top_k, top_p, repetition_penalty: see `acestep.planner.sampling.Sampling`.
        use_constrained_decoding, constrained_decoding_debug, seed: see `understand_music`.

    Returns:
        The description, or a failure with ``error``.
    """
    task = CreateTask(query, instrumental, vocal_language)
    options = DecodingOptions(
        temperature, top_k, top_p, repetition_penalty, use_constrained_decoding, constrained_decoding_debug
    )
    fields = _run(llm_handler, task, options, seed)
    return CreateSampleResult(**fields, instrumental=instrumental)


def format_sample(
    llm_handler: LLMHandler,
    caption: str,
    lyrics: str,
    user_metadata: Mapping[str, Any] | None = None,
    temperature: float = 0.85,
    top_k: int | None = None,
    top_p: float | None = None,
    repetition_penalty: float = 1.0,
    use_constrained_decoding: bool = True,
    constrained_decoding_debug: bool = False,
    seed: int | None = None,
) -> FormatSampleResult:
    """Improve a caption and lyrics, and find the metadata that fit.

    Args:
        llm_handler: initialised planner.
        caption: blank for none.
        lyrics: blank for ``[Instrumental]``; returned as they are where the planner writes none.
        user_metadata: what stands fast: bpm, duration, keyscale, timesignature, language.
        temperature, top_k, top_p, repetition_penalty: see `acestep.planner.sampling.Sampling`.
        use_constrained_decoding, constrained_decoding_debug, seed: see `understand_music`.

    Returns:
        The description, or a failure with ``error``.
    """
    task = FormatTask(caption, lyrics, user_metadata)
    options = DecodingOptions(
        temperature, top_k, top_p, repetition_penalty, use_constrained_decoding, constrained_decoding_debug
    )
    return FormatSampleResult(**_run(llm_handler, task, options, seed))


def _run(llm: LLMHandler, task: TextTask, options: DecodingOptions, seed: int | None) -> dict[str, Any]:
    """Fields of a result."""
    if not llm.llm_initialized:
        return _failed(NOT_INITIALIZED, NOT_INITIALIZED, {})
    result = llm.describe(task, options, seed)
    metadata, extra = result.metadata, result.stats.extra_outputs
    if result.error is not None:
        return _failed(result.error, result.status, extra)
    duration = metadata.get("duration")
    return {
        **{name: metadata.get(name, "") for name in ("caption", "lyrics", "keyscale", "language", "timesignature")},
        "bpm": metadata.get("bpm"),
        "duration": None if duration is None else float(duration),
        "status_message": result.status,
        "extra_outputs": extra | ({"genres": metadata["genres"]} if "genres" in metadata else {}),
    }


def _failed(error: str, status: str, extra: dict[str, Any]) -> dict[str, Any]:
    return {"success": False, "error": error, "status_message": status, "extra_outputs": extra}
