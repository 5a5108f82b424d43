"""Every cell there is, the same on every machine: what cannot run on one is n/a there, never left out."""

from __future__ import annotations

from benchmarks.harness.cells import Axes, Matrix, grid

MUSIC: Axes = {
    "duration": (30, 60, 120, 240),
    "batch": (1, 2, 4),
    "thinking": (False, True),
    "steps": (8, 16),
}

STAGES: dict[str, Axes] = {
    "TextEncode": {"batch": (1, 2, 4)},
    "ConditionEncode": {"batch": (1, 2, 4), "lyric_tokens": (128, 512, 2048)},
    "DiTForward": {"duration": (30, 60, 120, 240), "batch": (1, 2, 4)},
    "VAEDecode": {"duration": (30, 60, 120, 240), "tiled": (False, True)},
    "AudioSave": {"format": ("flac", "wav", "wav32", "mp3", "ogg", "opus"), "duration": (30, 240)},
    "LMPrefill": {"prompt_tokens": (128, 512, 2048), "guidance": (False, True)},
    "LMDecodeStep": {"batch": (1, 2, 4), "guidance": (False, True)},
}

STARTUP: dict[str, Axes] = {
    "Import": {"target": ("acestep", "inference")},
    "Load": {"component": ("dit", "lm")},
}

GENERATE_MATRIX = Matrix(
    "generate",
    tuple(grid(MUSIC)),
    quick=(
        {"duration": 30, "batch": 1, "thinking": False, "steps": 8},
        {"duration": 30, "batch": 1, "thinking": True, "steps": 8},
        {"duration": 30, "batch": 2, "thinking": True, "steps": 8},
    ),
)

STAGES_MATRIX = Matrix(
    "stages",
    tuple(cell for stage, axes in STAGES.items() for cell in grid(axes, stage=stage)),
    quick=(
        {"stage": "TextEncode", "batch": 1},
        {"stage": "TextEncode", "batch": 2},
        {"stage": "ConditionEncode", "batch": 1, "lyric_tokens": 128},
        {"stage": "ConditionEncode", "batch": 2, "lyric_tokens": 512},
        {"stage": "DiTForward", "duration": 30, "batch": 1},
        {"stage": "DiTForward", "duration": 60, "batch": 2},
        {"stage": "VAEDecode", "duration": 30, "tiled": False},
        {"stage": "VAEDecode", "duration": 30, "tiled": True},
        {"stage": "AudioSave", "format": "flac", "duration": 30},
        {"stage": "AudioSave", "format": "wav", "duration": 30},
        {"stage": "LMPrefill", "prompt_tokens": 128, "guidance": False},
        {"stage": "LMPrefill", "prompt_tokens": 512, "guidance": True},
        {"stage": "LMDecodeStep", "batch": 1, "guidance": False},
        {"stage": "LMDecodeStep", "batch": 2, "guidance": True},
    ),
)

STARTUP_MATRIX = Matrix(
    "startup",
    tuple(cell for stage, axes in STARTUP.items() for cell in grid(axes, stage=stage)),
    quick=(
        {"stage": "Import", "target": "acestep"},
        {"stage": "Load", "component": "dit"},
        {"stage": "Load", "component": "lm"},
    ),
)

MATRICES = (GENERATE_MATRIX, STAGES_MATRIX, STARTUP_MATRIX)
