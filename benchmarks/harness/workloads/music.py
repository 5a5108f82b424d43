"""Whole pieces of music, through `acestep.inference.generate_music`."""

from __future__ import annotations

import statistics
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from benchmarks.harness.device import observe
from benchmarks.harness.fingerprint import fingerprint
from benchmarks.harness.record import Cell, Scalar
from benchmarks.harness.settings import Settings
from benchmarks.harness.workload import CellFailed, Sample, TakeSample, Unsupported, require
from benchmarks.harness.workloads.models import checkpoints, load_dit, load_lm

SAMPLE_RATE = 48_000
CODES_PER_SECOND = 5
FIRST_SEED = 42
CAPTION = "An unhurried folk waltz: fingerpicked guitar, upright bass, brushed snare, a warm alto voice."
LYRICS = """[verse]
The ferry left at a quarter past nine,
we counted the gulls and the lamps on the line.

[chorus]
Row me home, row me slow,
the river remembers the way that we go.
"""

SIXTEEN_TIMES = [
    *(1, 21 / 22, 9 / 10, 7 / 8, 6 / 7, 5 / 6, 3 / 4, 2 / 3),
    *(5 / 8, 6 / 11, 1 / 2, 2 / 5, 3 / 8, 3 / 10, 1 / 4, 1 / 8),
]
"""A turbo model runs at most 8 steps unless it is given its times; these 16 are among those it accepts."""

STAGES = {
    "lm": "lm_total_time",
    "text_encode": "text_encode_time_cost",
    "condition": "dit_encoder_time_cost",
    "code_decode": "code_decode_time_cost",
    "dit": "dit_diffusion_time_cost",
    "vae": "dit_vae_decode_time_cost",
    "post": "post_process_time_cost",
    "save": "audio_save_time_cost",
    "other": "other_time_cost",
}
"""Series and the entry of `time_costs` they come from; together they are the wall time."""


@dataclass(frozen=True)
class Handlers:
    """The loaded models; without a planner `lm` is None and `lm_missing` says why."""

    dit: Any
    lm: Any
    lm_missing: str
    device: str


class Music:
    """Generates a piece a sample, always the same one: seeds, words and work are pinned."""

    limit_s = 1800.0
    memory = True

    def load(self, settings: Settings) -> Handlers:
        """Load synthesizer and planner."""
        require("acestep.inference", "generate_music")
        root = checkpoints(settings)
        dit = load_dit(settings, root)
        try:
            return Handlers(dit, load_lm(settings, root), "", settings.device)
        except Unsupported as error:
            return Handlers(dit, None, str(error), settings.device)

    def facts(self, state: Handlers) -> Mapping[str, Scalar]:
        """Return number format and planner engine."""
        return {"dtype": str(state.dit.dtype), "engine": getattr(state.lm, "llm_backend", "none")}

    def weight(self, cell: Cell) -> float:
        """Audio seconds, and a little more for the planner and for more steps."""
        audio_s = float(cell["duration"]) * float(cell["batch"])
        return audio_s * (1.3 if cell["thinking"] else 1.0) * (1.1 if cell["steps"] == 16 else 1.0)

    def prepare(self, state: Handlers, cell: Cell) -> TakeSample:
        """Return a function that generates, checks and measures one piece; Unsupported without a planner."""
        if cell["thinking"] and state.lm is None:
            raise Unsupported(state.lm_missing)
        return partial(_sample, state, cell)


def _sample(state: Handlers, cell: Cell) -> Sample:
    generate = require("acestep.inference", "generate_music")
    params, config = _request(cell, state.dit.is_turbo_model())
    with tempfile.TemporaryDirectory() as folder:
        run = observe(state.device, partial(generate, state.dit, state.lm, params, config, save_dir=folder))
    if not run.result.success:
        raise CellFailed(str(run.result.error))
    work = {**_work(run.result), "vae_path": _vae_path(run.result, state.dit.vae)}
    check_work(work, cell)
    return Sample(_series(run.result, cell, run.time_s), work, run.time_s, run.peak_bytes)


def _request(cell: Cell, turbo: bool) -> tuple[Any, Any]:
    params_class, config_class = require("acestep.inference", "GenerationParams", "GenerationConfig")
    thinking, steps, batch = bool(cell["thinking"]), int(cell["steps"]), int(cell["batch"])
    params = params_class(
        caption=CAPTION,
        lyrics=LYRICS,
        vocal_language="en",
        duration=float(cell["duration"]),
        inference_steps=steps,
        timesteps=SIXTEEN_TIMES if turbo and steps == 16 else None,
        shift=3.0,
        thinking=thinking,
        use_cot_metas=thinking,
        use_cot_caption=thinking,
        use_cot_language=thinking,
        lm_temperature=0.85,
        lm_cfg_scale=2.0,
    )
    config = config_class(
        batch_size=batch,
        use_random_seed=False,
        seeds=[FIRST_SEED + item for item in range(batch)],
        audio_format="flac",
    )
    return params, config


def _work(result: Any) -> dict[str, Scalar]:
    """Return what the call did: the counts it reports, and what its output shows."""
    audios = result.audios
    return {
        **result.extra_outputs.get("counts", {}),
        "audios": len(audios),
        "audio_samples": min(audio["tensor"].shape[-1] for audio in audios),
        "files": sum(bool(audio["path"]) for audio in audios),
        "codes": sum(audio["params"].get("audio_codes", "").count("<|audio_code_") for audio in audios),
    }


def _vae_path(result: Any, vae: Any) -> str:
    """Return how the VAE decoded: older commits tell by a switch of its own."""
    told = result.extra_outputs.get("vae_decode")
    return str(told["path"]) if told else "tiled" if getattr(vae, "use_tiling", False) else "whole"


def check_work(work: Mapping[str, Scalar], cell: Cell) -> None:
    """Raise CellFailed if *work* is not what *cell* asks for: its time would say nothing about its speed."""
    duration, batch = int(cell["duration"]), int(cell["batch"])
    wanted = {
        "audios": batch,
        "files": batch,
        "audio_samples": duration * SAMPLE_RATE,
        "codes": CODES_PER_SECOND * duration * batch if cell["thinking"] else 0,
        "steps": int(cell["steps"]),
    }
    wrong = [f"{name} {work[name]} instead of {n}" for name, n in wanted.items() if work.get(name, n) != n]
    if wrong:
        raise CellFailed(f"it did other work than it was asked for: {', '.join(wrong)}")


def _series(result: Any, cell: Cell, wall_s: float) -> dict[str, float]:
    """Return every series; a stage that did not run has none."""
    import numpy as np

    costs, counts = result.extra_outputs["time_costs"], result.extra_outputs.get("counts", {})
    series = {name: costs[entry] for name, entry in STAGES.items() if costs.get(entry)}
    tokens = counts.get("lm_cot_tokens", 0) + counts.get("lm_code_tokens", 0)
    return {
        "wall": wall_s,
        **series,
        **({"dit_step": statistics.median(costs["dit_step_time_costs"])} if "dit" in series else {}),
        "s_per_audio_s": wall_s / (int(cell["duration"]) * int(cell["batch"])),
        **({"tokens": float(tokens)} if tokens else {}),
        **({"forwards": float(counts["lm_forwards"])} if counts.get("lm_forwards") else {}),
        "fingerprint": fingerprint(np.stack([audio["tensor"].numpy() for audio in result.audios])),
    }
