"""Statistics of one request: seconds, token counts, calls of the model, and why each phase ended."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from acestep.timing.clock import Clock


@dataclass
class RequestStats:
    """Statistics that are filled in while a request runs.

    Attributes:
        clock: measures the spans ``phase1`` and ``phase2``.
        constrained_s: seconds for grammar and masks, a part of phase 1.
        guidance_s: seconds for guidance, a part of phase 2.
        counts: prompt tokens, generated tokens (chain of thought, codes) and calls of the model (``forwards``).
        finish: why each phase ended, by the phase's name: ``"stop"`` (the model ended it), ``"count"`` (the requested
            number of codes) or ``"length"`` (a limit); phase 2 has one entry for each sample.
    """

    clock: Clock
    constrained_s: float = 0.0
    guidance_s: float = 0.0
    counts: dict[str, int] = field(
        default_factory=lambda: dict.fromkeys(("prompt_tokens", "cot_tokens", "code_tokens", "forwards"), 0)
    )
    finish: dict[str, Any] = field(default_factory=dict)

    @property
    def time_costs(self) -> dict[str, float]:
        """Seconds by part. Token generation, constrained decoding and guidance add up to the two phases' total."""
        phase1, phase2 = self.clock.seconds("phase1"), self.clock.seconds("phase2")
        return {
            "phase1_time": phase1,
            "phase2_time": phase2,
            "total_time": phase1 + phase2,
            "token_generation_time": phase1 + phase2 - self.constrained_s - self.guidance_s,
            "constrained_decoding_time": self.constrained_s,
            "cfg_time": self.guidance_s,
        }

    @property
    def extra_outputs(self) -> dict[str, Any]:
        """The entries that every result has under ``extra_outputs``."""
        return {"time_costs": self.time_costs, "counts": self.counts, "finish": self.finish}
