"""All matrices. Their cells are the same on every machine; a cell that cannot run on one is n/a there."""

from __future__ import annotations

from benchmarks.harness.cells import Axes, Matrix, grid
from benchmarks.harness.record import Cell
from benchmarks.harness.workloads.apis import Apis
from benchmarks.harness.workloads.footprint import Footprints
from benchmarks.harness.workloads.music import Music
from benchmarks.harness.workloads.options import Options
from benchmarks.harness.workloads.planner import Planner
from benchmarks.harness.workloads.stages import Stages
from benchmarks.harness.workloads.startup import Startup
from benchmarks.harness.workloads.tasks import Tasks
from benchmarks.harness.workloads.tiers import Tiers

GENERATE_AXES: Axes = {
    "duration": (30, 60, 120, 240),
    "batch": (1, 2, 4),
    "thinking": (False, True),
    "steps": (8, 16),
}

STAGES_AXES: dict[str, Axes] = {
    "TextEncode": {"batch": (1, 2, 4)},
    "ConditionEncode": {"batch": (1, 2, 4), "lyric_tokens": (128, 512, 2048)},
    "DiTForward": {"duration": (30, 60, 120, 240), "batch": (1, 2, 4)},
    "VAEDecode": {"duration": (30, 60, 120, 240), "tiled": (False, True)},
    "VAEWindows": {"duration": (30, 60, 120, 240), "window": (128, 512, 0), "batch": (1, 2, 4)},
    "VAEEncode": {"duration": (0.2, 5, 30)},
    "AudioSave": {"format": ("flac", "wav", "wav32", "mp3", "ogg", "opus"), "duration": (30, 240)},
    "DiTStep": {"family": ("turbo", "base", "xl-turbo", "xl-base"), "duration": (30, 120), "batch": (1, 2)},
}

ENGINES = ("pt", "vllm", "mlx")

PLANNER_AXES: dict[str, Axes] = {
    "Prefill": {"engine": ENGINES, "prompt_tokens": (128, 512, 2048), "guidance": (False, True)},
    "DecodeStep": {
        "engine": ENGINES,
        "phase": ("text", "codes"),
        "batch": (1, 2, 4),
        "guidance": (False, True),
    },
    "ChainOfThought": {"engine": ENGINES, "constrained": (True, False), "caption": (True, False)},
    "CodesPhase": {"engine": ENGINES, "duration": (30, 60, 120, 240), "batch": (1, 2, 4)},
    "Constraint": {"new": ("tokenizer", "form", "nothing"), "caption": (True, False)},
}

APIS_AXES: dict[str, Axes] = {
    "Understand": {"engine": ENGINES, "constrained": (True, False), "codes_s": (30, 120, 0)},
    "CreateSample": {"engine": ENGINES, "constrained": (True, False), "instrumental": (False, True)},
    "FormatSample": {"engine": ENGINES, "constrained": (True, False), "lyric_lines": (4, 16, 64)},
}

TASKS_AXES: dict[str, Axes] = {
    "Types": {
        "task": ("text2music", "cover", "repaint", "lego", "extract", "complete"),
        "reference": (False, True),
    },
    "FromCodes": {"task": ("cover", "repaint", "lego", "extract", "complete")},
}

OPTIONS_AXES: Axes = {
    "offload": ("none", "models", "all"),
    "quantization": ("none", "int8_weight_only", "fp8_weight_only", "w8a8_dynamic"),
    "compile": (False, True),
}

FOOTPRINT_AXES: dict[str, Axes] = {
    "Shapes": {
        "family": ("turbo", "base", "xl-turbo", "xl-base"),
        "loaded": ("plain", "offloaded", "offloaded int8"),
        "duration": (30, 240),
        "batch": (1, 4),
    },
}

SIZES = (4, 6, 8, 12, 16, 20, 24)
TIERS_AXES: dict[str, Axes] = {
    "Resolve": {"vram_gb": (0, 4, 6, 7, 8, 12, 15.5, 16, 20, 24, 48, 80)},
    "Estimators": {
        "dit": ("turbo", "base", "xl_turbo", "xl_base"),
        "batch": (1, 8),
        "duration": (30, 240),
        "lm": ("none", "4B"),
    },
    "MemoryModel": {
        "vram_gb": SIZES,
        "variant": ("default", "no-quant", "no-offload"),
        "lm": ("none", "tier"),
    },
    "Boundary": {"lm": ("none", "tier"), "duration": (30, 240)},
    "BatchBoundary": {"vram_gb": SIZES, "lm": ("none", "tier")},
    "Run": {"vram_gb": SIZES, "lm": ("none", "tier")},
}

STARTUP_AXES: dict[str, Axes] = {
    "Import": {"target": ("acestep", "inference")},
    "Load": {
        "component": (
            *("dit", "lm", "lm_vllm", "lm_mlx", "lm_tokenizer", "lm_grammar"),
            *("dit_offloaded", "dit_int8", "dit_fp8", "dit_w8a8", "dit_compiled"),
        )
    },
}


def _of(stages: dict[str, Axes]) -> tuple[Cell, ...]:
    """Return all cells of the classes in *stages*, each with its class as the parameter `stage`."""
    return tuple(cell for stage, axes in stages.items() for cell in grid(axes, stage=stage))


GENERATE_MATRIX = Matrix(
    "generate",
    Music,
    tuple(grid(GENERATE_AXES)),
    quick=(
        {"duration": 30, "batch": 1, "thinking": False, "steps": 8},
        {"duration": 30, "batch": 1, "thinking": True, "steps": 8},
        {"duration": 30, "batch": 2, "thinking": True, "steps": 8},
    ),
    outputs=True,
)

STAGES_MATRIX = Matrix(
    "stages",
    Stages,
    _of(STAGES_AXES),
    quick=(
        {"stage": "TextEncode", "batch": 1},
        {"stage": "TextEncode", "batch": 2},
        {"stage": "ConditionEncode", "batch": 1, "lyric_tokens": 128},
        {"stage": "ConditionEncode", "batch": 2, "lyric_tokens": 512},
        {"stage": "DiTForward", "duration": 30, "batch": 1},
        {"stage": "DiTForward", "duration": 60, "batch": 2},
        {"stage": "VAEDecode", "duration": 30, "tiled": False},
        {"stage": "VAEDecode", "duration": 30, "tiled": True},
        {"stage": "VAEWindows", "duration": 30, "window": 128, "batch": 1},
        {"stage": "VAEEncode", "duration": 0.2},
        {"stage": "AudioSave", "format": "flac", "duration": 30},
        {"stage": "AudioSave", "format": "wav", "duration": 30},
        {"stage": "DiTStep", "family": "turbo", "duration": 30, "batch": 1},
        {"stage": "DiTStep", "family": "base", "duration": 30, "batch": 1},
    ),
    outputs=True,
)


def _by_engine(stages: dict[str, Axes]) -> tuple[Cell, ...]:
    """Return all cells of *stages*, sorted by engine, so that a worker loads each engine once."""
    return tuple(sorted(_of(stages), key=lambda cell: ENGINES.index(str(cell.get("engine", "pt")))))


PLANNER_MATRIX = Matrix(
    "planner",
    Planner,
    _by_engine(PLANNER_AXES),
    quick=(
        {"stage": "Prefill", "engine": "pt", "prompt_tokens": 128, "guidance": False},
        {"stage": "Prefill", "engine": "pt", "prompt_tokens": 512, "guidance": True},
        {"stage": "DecodeStep", "engine": "pt", "phase": "text", "batch": 1, "guidance": False},
        {"stage": "DecodeStep", "engine": "pt", "phase": "codes", "batch": 1, "guidance": False},
        {"stage": "DecodeStep", "engine": "pt", "phase": "codes", "batch": 2, "guidance": True},
        {"stage": "ChainOfThought", "engine": "pt", "constrained": True, "caption": True},
        {"stage": "CodesPhase", "engine": "pt", "duration": 30, "batch": 1},
        {"stage": "Constraint", "new": "tokenizer", "caption": True},
        {"stage": "Constraint", "new": "nothing", "caption": True},
    ),
    outputs=True,
)

APIS_MATRIX = Matrix(
    "apis",
    Apis,
    _by_engine(APIS_AXES),
    quick=(
        {"stage": "Understand", "engine": "pt", "constrained": True, "codes_s": 30},
        {"stage": "CreateSample", "engine": "pt", "constrained": True, "instrumental": False},
        {"stage": "FormatSample", "engine": "pt", "constrained": True, "lyric_lines": 4},
    ),
    outputs=True,
)

STARTUP_MATRIX = Matrix(
    "startup",
    Startup,
    _of(STARTUP_AXES),
    quick=(
        {"stage": "Import", "target": "acestep"},
        {"stage": "Load", "component": "dit"},
        {"stage": "Load", "component": "lm"},
        {"stage": "Load", "component": "lm_grammar"},
    ),
)

TASKS_MATRIX = Matrix(
    "tasks",
    Tasks,
    _of(TASKS_AXES),
    quick=(
        {"stage": "Types", "task": "text2music", "reference": False},
        {"stage": "FromCodes", "task": "cover"},
    ),
    outputs=True,
)

OPTIONS_MATRIX = Matrix(
    "options",
    Options,
    tuple(grid(OPTIONS_AXES)),
    quick=(
        {"offload": "none", "quantization": "none", "compile": False},
        {"offload": "all", "quantization": "int8_weight_only", "compile": False},
    ),
    outputs=True,
)

FOOTPRINT_MATRIX = Matrix(
    "footprint",
    Footprints,
    _of(FOOTPRINT_AXES),
    quick=(
        {"stage": "Shapes", "family": "turbo", "loaded": "plain", "duration": 30, "batch": 1},
        {"stage": "Shapes", "family": "turbo", "loaded": "plain", "duration": 240, "batch": 1},
        {"stage": "Shapes", "family": "turbo", "loaded": "plain", "duration": 30, "batch": 4},
        {"stage": "Shapes", "family": "turbo", "loaded": "offloaded int8", "duration": 30, "batch": 1},
        {"stage": "Shapes", "family": "base", "loaded": "plain", "duration": 30, "batch": 1},
    ),
)

QUICK_RUNS = ((4, "none"), (8, "tier"))
"""Size and planner of the cells of `Run` that are quick."""

TIERS_MATRIX = Matrix(
    "tiers",
    Tiers,
    _of(TIERS_AXES),
    quick=tuple(c for c in _of(TIERS_AXES) if c["stage"] != "Run" or (c["vram_gb"], c["lm"]) in QUICK_RUNS),
)

MATRICES = (
    GENERATE_MATRIX,
    TASKS_MATRIX,
    OPTIONS_MATRIX,
    STAGES_MATRIX,
    PLANNER_MATRIX,
    APIS_MATRIX,
    FOOTPRINT_MATRIX,
    TIERS_MATRIX,
    STARTUP_MATRIX,
)


def matrix_named(name: str) -> Matrix:
    """Return the matrix called *name*; raises KeyError if there is none."""
    return {matrix.name: matrix for matrix in MATRICES}[name]
