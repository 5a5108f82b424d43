"""Settings of a run, from environment variables: model scale, device, cells, and what asv is measuring."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

SCALES = ("tiny", "full")
DEVICES = ("cpu", "cuda", "mps")
DIT_FOLDER = "acestep-v15-turbo"
LM_FOLDER = "acestep-5Hz-lm-0.6B"
SAVED_VARIABLE = "ACESTEP_BENCH_SAVED"
"""Variable in which asv's plugin says whether asv saves the results: yes or no."""
ONCE_VARIABLE = "ACESTEP_BENCH_ONCE"
"""Variable in which asv's plugin says whether each cell is run a single time (``--quick``): yes or no."""
REPOSITORY = Path(__file__).resolve().parents[2]


class SettingsError(ValueError):
    """A setting cannot be used; the message names it and says what to do."""


@dataclass(frozen=True)
class Settings:
    """Settings of a run.

    Attributes:
        scale: ``tiny``, ``full`` or a checkpoints folder.
        device: ``cpu``, ``cuda`` or ``mps``.
        cells: a selection, see `cells.Selection`.
        commit: full hash of the commit; empty for a working tree.
        environment: asv's name of the environment.
        conf_dir: folder of asv.conf.json.
        journal: folder of the journal.
        saved: whether asv saves the results; only then the journal stores records.
        once: whether each cell is run a single time, to check that it runs.
    """

    scale: str
    device: str
    cells: str
    commit: str
    environment: str
    conf_dir: str
    journal: str
    saved: bool = True
    once: bool = False

    @classmethod
    def from_environment(cls, environ: Mapping[str, str] = os.environ) -> Settings:
        """Read the ACESTEP_BENCH_* and ASV_* variables; raises SettingsError for an unknown one."""
        conf_dir = environ.get("ASV_CONF_DIR", str(REPOSITORY))
        return cls(
            scale=_scale(environ.get("ACESTEP_BENCH_SCALE", "tiny")),
            device=_device(environ.get("ACESTEP_BENCH_DEVICE", "cpu")),
            cells=environ.get("ACESTEP_BENCH_CELLS", "quick"),
            commit=environ.get("ASV_COMMIT", ""),
            environment=environ.get("ASV_ENV_NAME", "none"),
            conf_dir=conf_dir,
            journal=environ.get("ACESTEP_BENCH_JOURNAL") or str(Path(conf_dir) / ".asv" / "journal"),
            saved=_yes(SAVED_VARIABLE, environ.get(SAVED_VARIABLE, "yes")),
            once=_yes(ONCE_VARIABLE, environ.get(ONCE_VARIABLE, "no")),
        )


def _scale(scale: str) -> str:
    if scale in SCALES:
        return scale
    folder = Path(scale).expanduser()
    if not folder.is_absolute():
        raise SettingsError(
            f"ACESTEP_BENCH_SCALE={scale!r} is no scale: give tiny, full, or the absolute path of a folder "
            f"that holds {DIT_FOLDER}, vae and Qwen3-Embedding-0.6B."
        )
    if not (folder / DIT_FOLDER / "config.json").is_file():
        raise SettingsError(
            f"ACESTEP_BENCH_SCALE={scale!r} is not a checkpoints folder: it has no {DIT_FOLDER}/config.json. "
            f"Give the folder that holds {DIT_FOLDER}, vae and Qwen3-Embedding-0.6B, or tiny, or full."
        )
    return str(folder)


def _device(device: str) -> str:
    if device not in DEVICES:
        raise SettingsError(f"ACESTEP_BENCH_DEVICE={device!r} is no device: give {', '.join(DEVICES)}.")
    return device


def _yes(variable: str, answer: str) -> bool:
    if answer not in ("yes", "no"):
        raise SettingsError(f"{variable}={answer!r} is no answer: give yes or no.")
    return answer == "yes"
