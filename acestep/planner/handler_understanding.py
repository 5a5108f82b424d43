"""The part of `LLMHandler` that describes pieces."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from acestep.planner.errors import failure, seed_or_random
from acestep.planner.stats import Costs
from acestep.planner.understanding import Description, Formatting, Inspiration, Question, Understanding, describe
from acestep.timing.clock import Clock

if TYPE_CHECKING:
    from acestep.planner.planner import Planner


class Describer(ABC):
    """Answers questions about pieces.

    These keywords mean the same everywhere: *temperature* (0 is greedy), *top_k*, *top_p* and *repetition_penalty* see
    `acestep.planner.sampling.Sampling`; *use_constrained_decoding* holds the answer to its grammar, so that it can
    always be read; *constrained_decoding_debug* logs what the grammar forced, and what was chosen among how many
    tokens; *seed* is that of the draws, None a random one.

    Attributes:
        device: where the model computes.
    """

    device: str

    @property
    @abstractmethod
    def _loaded(self) -> Planner:
        """The planner; PlannerError if there is none."""

    def understand_audio_from_codes(
        self,
        audio_codes: str,
        temperature: float = 0.3,
        top_k: int | None = None,
        top_p: float | None = None,
        repetition_penalty: float = 1.0,
        use_constrained_decoding: bool = True,
        constrained_decoding_debug: bool = False,
        seed: int | None = None,
    ) -> tuple[dict[str, Any], str]:
        """Describe the piece of *audio_codes*: ``<|audio_code_N|>`` tokens, or ``NO USER INPUT`` to invent a piece.

        Returns:
            ``bpm``, ``caption``, ``duration``, ``genres``, ``keyscale``, ``language``, ``timesignature`` and, if any
            were written, ``lyrics``; and a status: ✅ with the fields, or ❌ with the reason and no metadata.
        """
        drawing = temperature, top_k, top_p, repetition_penalty
        decoding = use_constrained_decoding, constrained_decoding_debug
        return self.describe(Understanding(audio_codes), *drawing, *decoding, seed).answer

    def create_sample_from_query(
        self,
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
    ) -> tuple[dict[str, Any], str]:
        """Invent a piece.

        Args:
            query: the wish; blank for none.
            instrumental: nobody sings; echoed in the metadata.
            vocal_language: stands fast; None, blank and ``unknown`` leave it open.
            temperature, top_k, top_p, repetition_penalty: see `Describer`.
            use_constrained_decoding, constrained_decoding_debug, seed: see `Describer`.

        Returns:
            As `understand_audio_from_codes`.
        """
        drawing = temperature, top_k, top_p, repetition_penalty
        decoding = use_constrained_decoding, constrained_decoding_debug
        return self.describe(Inspiration(query, instrumental, vocal_language), *drawing, *decoding, seed).answer

    def format_sample_from_input(
        self,
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
    ) -> tuple[dict[str, Any], str]:
        """Improve *caption* and *lyrics*, and complete *user_metadata*, whose values stand fast.

        Returns:
            As `understand_audio_from_codes`; the lyrics are the given ones where the model wrote none.
        """
        drawing = temperature, top_k, top_p, repetition_penalty
        decoding = use_constrained_decoding, constrained_decoding_debug
        return self.describe(Formatting(caption, lyrics, user_metadata), *drawing, *decoding, seed).answer

    def describe(
        self,
        question: Question,
        temperature: float = 0.85,
        top_k: int | None = None,
        top_p: float | None = None,
        repetition_penalty: float = 1.0,
        use_constrained_decoding: bool = True,
        constrained_decoding_debug: bool = False,
        seed: int | None = None,
    ) -> Description:
        """Ask *question*; whatever goes wrong is told in the description."""
        from acestep.planner.planner import Decoding
        from acestep.planner.sampling import Sampling

        description = Description(Costs(Clock(self.device)))

        def work() -> None:
            sampling = Sampling(temperature, top_k, top_p, repetition_penalty)
            how = Decoding(sampling, use_constrained_decoding, constrained_decoding_debug)
            describe(self._loaded, question, how, seed_or_random(seed), description)

        if error := failure(work):
            description.error, description.status = error, f"❌ {error}"
        return description
