"""What a request took: seconds, tokens, calls of the model, and how its texts ended."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from acestep.timing.clock import Clock


@dataclass
class Costs:
    """Filled as a request goes on.

    Attributes:
        clock: has the spans ``phase1`` and ``phase2``.
        constrained_s: seconds for grammar and masks, inside phase 1.
        guidance_s: seconds for guidance, inside phase 2.
        counts: tokens read (prompts) and written (text, codes), and calls of the model.
        finish: why each phase ended, by its name: ``"stop"`` (the model ended), ``"count"`` (as many codes as wanted)
            or ``"length"`` (a limit); phase 2 has one entry a sample.
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
        """Seconds; token generation, constrained decoding and guidance add up to the total of the two phases."""
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
    def public(self) -> dict[str, Any]:
        """What every result tells under ``extra_outputs``."""
        return {"time_costs": self.time_costs, "counts": self.counts, "finish": self.finish}
