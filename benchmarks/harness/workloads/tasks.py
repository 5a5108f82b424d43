"""Pieces by task: made of text, of audio that is encoded first, or of audio codes."""

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
"""The one that knows every task."""
STEPS = 8
PIECE_S = 10
"""Of every piece, its source too: no piece made of text alone may be shorter."""
REFERENCE_S = 30
"""What the timbre encoder hears: a shorter reference would be repeated."""
WINDOW_S = (3, 6)

PINNED: dict[str, Any] = {
    "inference_steps": STEPS,
    "shift": 3.0,
    "guidance_scale": 7.0,
    "thinking": False,
    "use_cot_metas": False,
    "use_cot_caption": False,
    "use_cot_language": False,
}
_WINDOW = {
    "repainting_start": float(WINDOW_S[0]),
    "repainting_end": float(WINDOW_S[1]),
    "chunk_mask_mode": "auto",
    "repaint_mode": "balanced",
    "repaint_strength": 0.5,
}
TASKS: dict[str, dict[str, Any]] = {
    "text2music": {},
    "cover": {"audio_cover_strength": 1.0},
    "repaint": _WINDOW,
    "lego": {"track_name": "guitar", **_WINDOW},
    "extract": {"track_name": "vocals"},
    "complete": {"complete_track_classes": ["drums", "bass"]},
}
"""What each task is told besides its source."""

TASK_TIME_COSTS = {
    **generation.TIME_COSTS,
    "audio_load": "audio_load_time_cost",
    "source_encode": "source_encode_time_cost",
    "reference_encode": "reference_encode_time_cost",
}
"""Series and the entry of `time_costs` they come from; together they are the wall time."""
FILES = {
    "audio_load": {"src_audio", "reference_audio"},
    "source_encode": {"src_audio"},
    "reference_encode": {"reference_audio"},
}
"""Stages that there are only where one of these files is given; commits may report a time of nothing without it."""


@dataclass(frozen=True)
class TaskState:
    """The loaded synthesizer with the digest of its checkpoints, and the files that pieces start from."""

    dit: Any
    source: str
    reference: str
    device: str
    workload: str = ""


class Tasks:
    """Makes a piece a sample, always the same one, with the task that the cell names."""

    limit_s = 3600.0
    memory = True

    def load(self, settings: Settings) -> TaskState:
        """Load the synthesizer, and write the files."""
        needed = {"task_type", "src_audio", "reference_audio", "audio_codes"}.union(PINNED, *TASKS.values())
        require_keywords(package.public("GenerationParams"), *sorted(needed))
        dit = load_dit(settings, checkpoints(settings, dits=(FAMILY,)), dit_folder(FAMILY))
        folder = Path(tempfile.mkdtemp())
        source = write_audio(folder / "source.wav", PIECE_S)
        reference = write_audio(folder / "reference.wav", REFERENCE_S)
        return TaskState(dit, source, reference, settings.device, workload_digest(settings, dits=(FAMILY,)))

    def facts(self, state: TaskState) -> Mapping[str, Scalar]:
        """Return number format, family and checkpoints."""
        return {"dtype": str(state.dit.dtype), "family": FAMILY, "workload": state.workload}

    def weight(self, cell: Cell) -> float:
        """Encoding audio takes several times as long as all the rest."""
        return 0.2 * PIECE_S + _heard_s(cell)

    def prepare(self, state: TaskState, cell: Cell) -> TakeSample:
        """Return a function that makes, checks and measures one piece."""
        return partial(_sample, state, request_for(state, cell))


def request_for(state: TaskState, cell: Cell) -> GenerationRequest:
    """Return what *cell* asks for: its task, its source, and the work that this has to be."""
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
        span = ("repainting", LATENT_RATE * WINDOW_S[0], LATENT_RATE * WINDOW_S[1])
    work: dict[str, Scalar] = {
        "audios": 1,
        "files": 1,
        "audio_samples": PIECE_S * SAMPLE_RATE,
        "codes": CODES_PER_SECOND * PIECE_S if codes else 0,
        "encoded_samples": _heard_s(cell) * SAMPLE_RATE,
        "span": " ".join(map(str, span)),
        "steps": STEPS,
        "dit_rows": 2 * STEPS,  # guided
    }
    return GenerationRequest({"task_type": task, **PINNED, **TASKS[task], **given}, 1, work)


def write_audio(path: Path, seconds: int) -> str:
    """Write the same *seconds* of audio every time, sample by sample as they are, and return the path."""
    probe.save_audio(seeded_waveform(SAMPLE_RATE * seconds), path, "wav32")
    return str(path)


def _heard_s(cell: Cell) -> int:
    """Return the seconds of audio that have to be encoded."""
    source = cell["stage"] == "Types" and cell["task"] != "text2music"
    return PIECE_S * source + (REFERENCE_S if cell.get("reference") else 0)


def _sample(state: TaskState, asked: GenerationRequest) -> Sample:
    run = generation.generate(state.dit, None, state.device, asked)
    stages = {
        name: entry for name, entry in TASK_TIME_COSTS.items() if name not in FILES or FILES[name] & asked.params.keys()
    }
    return generation.as_sample(run, state.dit, asked, stages)
