"""Stores the outputs of the quick cells as reference outputs: `python -m scripts.reference`.

The distance of every commit's outputs to them is a series of the benchmarks.

Run it in a clean working tree when outputs have changed on purpose, and commit the file that it writes. Scale and
device come from ACESTEP_BENCH_SCALE (tiny or full) and ACESTEP_BENCH_DEVICE.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator, Mapping
from dataclasses import replace

from benchmarks.harness.cells import Matrix, Selection, key
from benchmarks.harness.host import pinned_threads
from benchmarks.harness.matrices import MATRICES
from benchmarks.harness.reference_outputs import Entry, entry_of, file_of, name_of
from benchmarks.harness.settings import SCALES, Settings, SettingsError
from scripts.tracker.command import run


def main() -> int:
    """Run the command; returns its exit status: 0 written, 2 not, 130 interrupted."""
    return run("scripts.reference", write, SettingsError)


def write() -> int:
    """Write the file; returns 0.

    Raises:
        SettingsError: the scale is not that of synthetic checkpoints.
    """
    settings = replace(Settings.from_environment(), cells="quick")
    if settings.scale not in SCALES:
        raise SettingsError("ACESTEP_BENCH_SCALE: outputs are kept of synthetic checkpoints alone, give tiny or full.")
    entries = {name: entry for matrix in MATRICES if matrix.outputs for name, entry in outputs(matrix, settings)}
    path = file_of(settings.scale, settings.device)
    path.parent.mkdir(exist_ok=True)
    path.write_text(as_text(entries), encoding="utf-8")
    print(f"{len(entries)} outputs, {path.stat().st_size} bytes: {os.path.relpath(path)}")
    return 0


def outputs(matrix: Matrix, settings: Settings) -> Iterator[tuple[str, Entry]]:
    """Yield the name and the entry of each chosen cell of *matrix* that has an output."""
    import torch

    workload = matrix.workload()
    state = workload.load(settings)
    torch.set_num_threads(pinned_threads(settings))
    for cell in Selection(settings.cells, MATRICES).of(matrix):
        output = workload.prepare(state, cell)().output
        if output is not None:
            print(name_of(matrix.name, key(cell)), flush=True)
            yield name_of(matrix.name, key(cell)), entry_of(output)


def as_text(entries: Mapping[str, Entry]) -> str:
    """Return JSON with a line for each output, so that a change of one is a change of a line."""
    lines = [f"{json.dumps(name)}: {json.dumps(entry)}" for name, entry in entries.items()]
    return "{\n" + ",\n".join(lines) + "\n}\n"


if __name__ == "__main__":
    sys.exit(main())
