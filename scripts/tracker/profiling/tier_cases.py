"""One case of the tier test, which is one generation at one simulated GPU size, and its result."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from acestep.gpu_config import GPUConfig
from acestep.memory.predict import ModelSetup


@dataclass(frozen=True)
class TierResult:
    """The result of one generation at one simulated GPU size.

    Attributes:
        size_gb: the simulated size, in GiB.
        config: the configuration of its tier.
        variant: ``default``, ``no-quant``, ``no-offload``, ``batch-noLM-2``, ``batch-LM-2``, ...
        lm: size of the planner; "" without one.
        backend: engine of the planner.
        offload, offload_dit, quantization: the load options in effect.
        duration_s, batch: duration in seconds and batch size of the generation.
        status: ``ok``, ``oom``, ``fail``, ``timeout`` or ``skip``.
        reason: why the status is not ``ok``.
        stage: name of the stage that failed.
        peak_gb: peak memory, in GiB.
        vae_path: how the VAE decoded: ``whole``, or ``tiled`` or ``cpu`` with the latent frames of a tile.
        how: ``measured`` or ``computed``, and on what.
        wall_s: wall time in seconds; None if nothing was timed.
        stages_gb: peak memory of each stage, in GiB.
        footprint: bytes of weights, peak bytes, FLOP and operator calls of each stage that was run without storage.
    """

    size_gb: int
    config: GPUConfig
    variant: str
    lm: str
    offload: bool
    offload_dit: bool
    quantization: str | None
    duration_s: float
    batch: int
    status: str
    how: str
    backend: str = ""
    reason: str = ""
    stage: str = ""
    peak_gb: float | None = None
    vae_path: str = ""
    wall_s: float | None = None
    stages_gb: dict[str, float] | None = None
    footprint: dict[str, dict[str, int]] | None = None

    @property
    def notes(self) -> str:
        """The conditions of the result in a fixed order; the reason if the status is not ``ok``."""
        if self.status != "ok":
            return f"{self.stage}: {self.reason}" if self.stage else self.reason
        seen = [{"cpu": "VAE decoded on CPU", "whole": "", "": ""}.get(self.vae_path.partition(" ")[0], "")]
        if self.vae_path.startswith("tiled"):
            seen.append(f"tiled VAE chunk={self.vae_path.partition(' ')[2]}")
        if self.lm:
            seen.append(f"{self.backend} backend")
        dit = " with DiT" if self.offload_dit else ""
        everything = "no offload" if self.quantization else "all models on GPU"
        seen.append(f"offload{dit}" if self.offload else everything)
        seen.append("int8" if self.quantization else "")
        return ", ".join([*filter(None, seen), self.how])


@dataclass(frozen=True)
class TierCase:
    """One case to run.

    Attributes:
        size_gb: the simulated size, in GiB.
        config: the configuration of its tier.
        variant: name of the case, see `TierResult`.
        setup: how the models are loaded.
        duration_s, batch: duration in seconds and batch size of the generation.
        compile: whether the diffusion model is compiled.
        skip: why the case is skipped; "" if it is run.
    """

    size_gb: int
    config: GPUConfig
    variant: str
    setup: ModelSetup
    duration_s: float
    batch: int
    compile: bool
    skip: str = ""

    def result(self, status: str, how: str, **found: Any) -> TierResult:
        """Return a result of this case with *status*; *how* says what was measured or computed, and on what."""
        setup = self.setup
        found = {"backend": setup.lm_backend if setup.lm else ""} | found
        return TierResult(
            size_gb=self.size_gb,
            config=self.config,
            variant=self.variant,
            lm=setup.lm or "",
            offload=setup.offload,
            offload_dit=setup.offload_dit,
            quantization="int8_weight_only" if setup.quantized else None,
            duration_s=self.duration_s,
            batch=self.batch,
            status=status,
            how=how,
            **found,
        )
