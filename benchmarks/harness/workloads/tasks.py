"""The workload of the matrix `tasks`: generations by task, from text, from source audio, or from audio codes."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.harness.adapters import package, probe
from benchmarks.harness.adapters.lookup import require_keywords
from benchmarks.harness.record import Cell, Scalar
from benchmarks.harness.settings import Settings
from benchmarks.harness.workload import Sample, TakeSample
from benchmarks.harness.workloads import generation
from benchmarks.harness.workloads.generation import CODES_PER_SECOND, SAMPLE_RATE, GenerationRequest, audio_codes
from benchmarks.harness.workloads.models import checkpoints, dit_folder, load_dit, workload_digest
from benchmarks.harness.workloads.synthesizer import LATENT_RATE, seeded_waveform

FAMILY = "base"
"""The variant of the diffusion model; base supports every task."""
STEPS = 8
PIECE_S = 10
"""Seconds of each piece and of its source: the shortest duration that text2music accepts."""
REFERENCE_S = 30
"""Seconds of the reference audio: what the timbre encoder reads; a shorter file would be repeated."""
REGION_S = (3, 6)
"""Start and end of the repaint region, in seconds."""

PINNED: dict[str, Any] = {
    "inference_steps": STEPS,
    "shift": 3.0,
    "guidance_scale": 7.0,
    "thinking": False,
    "use_cot_metas": False,
    "use_cot_caption": False,
    "use_cot_language": False,
}
_REGION = {
    "repainting_start": float(REGION_S[0]),
    "repainting_end": float(REGION_S[1]),
    "chunk_mask_mode": "auto",
    "repaint_mode": "balanced",
    "repaint_strength": 0.5,
}
TASKS: dict[str, dict[str, Any]] = {
    "text2music": {},
    "cover": {"audio_cover_strength": 1.0},
    "repaint": _REGION,
    "lego": {"track_name": "guitar", **_REGION},
    "extract": {"track_name": "vocals"},
    "complete": {"complete_track_classes": ["drums", "bass"]},
}
"""Fields of `GenerationParams` that each task sets, besides its source."""

TASK_TIME_COSTS = {
    **generation.TIME_COSTS,
    "audio_load": "audio_load_time_cost",
    "source_encode": "source_encode_time_cost",
    "reference_encode": "reference_encode_time_cost",
}
"""The entry of ``time_costs`` that each series is; their sum is the wall time."""
FILES = {
    "audio_load": {"src_audio", "reference_audio"},
    "source_encode": {"src_audio"},
    "reference_encode": {"reference_audio"},
}
"""Stages that run only if one of these fields is given; without them some commits report a time of zero."""


@dataclass(frozen=True)
class TaskState:
    """The loaded synthesizer, the digest of its checkpoints, and the audio files that the cells use."""

    dit: Any
    source: str
    reference: str
    device: str
    workload: str = ""


class Tasks:
    """Calls `generate_music` once a sample, with the task that the cell names and otherwise fixed arguments."""

    limit_s = 3600.0
    memory = True

    def load(self, settings: Settings) -> TaskState:
        """Load the synthesizer and write the audio files."""
        needed = {"task_type", "src_audio", "reference_audio", "audio_codes"}.union(PINNED, *TASKS.values())
        require_keywords(package.public("GenerationParams"), *sorted(needed))
        dit = load_dit(settings, checkpoints(settings, dits=(FAMILY,)), dit_folder(FAMILY))
        folder = Path(tempfile.mkdtemp())
        source = write_audio(folder / "source.wav", PIECE_S)
        reference = write_audio(folder / "reference.wav", REFERENCE_S)
        return TaskState(dit, source, reference, settings.device, workload_digest(settings, dits=(FAMILY,)))

    def facts(self, state: TaskState) -> Mapping[str, Scalar]:
        """Return the dtype, the variant and the digest of the checkpoints."""
        return {"dtype": str(state.dit.dtype), "family": FAMILY, "workload": state.workload}

    def weight(self, cell: Cell) -> float:
        """Return the seconds of encoded audio, which take several times as long as everything else."""
        return 0.2 * PIECE_S + _encoded_s(cell)

    def prepare(self, state: TaskState, cell: Cell) -> TakeSample:
        """Return a function that calls `generate_music` once and checks the work."""
        return partial(_sample, state, request_for(state, cell))


def request_for(state: TaskState, cell: Cell) -> GenerationRequest:
    """Return the request of *cell*: its task, its source, and the work that it has to do."""
    task, codes = str(cell["task"]), cell["stage"] == "FromCodes"
    given: dict[str, Any] = {"src_audio": state.source}
    if task == "text2music":
        given = {"duration": float(PIECE_S)}
    elif codes:
        given = {"audio_codes": audio_codes(PIECE_S)}
    if cell.get("reference"):
        given["reference_audio"] = state.reference
    span = ("full", 0, LATENT_RATE * PIECE_S)
    if "repainting_start" in TASKS[task]:
        span = ("repainting", LATENT_RATE * REGION_S[0], LATENT_RATE * REGION_S[1])
    work: dict[str, Scalar] = {
        "audios": 1,
        "files": 1,
        "audio_samples": PIECE_S * SAMPLE_RATE,
        "codes": CODES_PER_SECOND * PIECE_S if codes else 0,
        "encoded_samples": _encoded_s(cell) * SAMPLE_RATE,
        "span": " ".join(map(str, span)),
        "steps": STEPS,
        "dit_rows": 2 * STEPS,  # guided
    }
    return GenerationRequest({"task_type": task, **PINNED, **TASKS[task], **given}, 1, work)


def write_audio(path: Path, seconds: int) -> str:
    """Write *seconds* of fixed audio as 32-bit float and return the path."""
    probe.save_audio(seeded_waveform(SAMPLE_RATE * seconds), path, "wav32")
    return str(path)


def _encoded_s(cell: Cell) -> int:
    """Return the seconds of audio that the VAE has to encode."""
    source = cell["stage"] == "Types" and cell["task"] != "text2music"
    return PIECE_S * source + (REFERENCE_S if cell.get("reference") else 0)


def _sample(state: TaskState, request: GenerationRequest) -> Sample:
    run = generation.generate(state.dit, None, state.device, request)
    stages = {
        name: entry
        for name, entry in TASK_TIME_COSTS.items()
        if name not in FILES or FILES[name] & request.params.keys()
    }
    return generation.as_sample(run, state.dit, request, stages)
