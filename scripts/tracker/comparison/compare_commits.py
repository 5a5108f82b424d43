"""Compares two commits: builds, samples, reports and stores (``python -m scripts.compare``)."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from pathlib import Path

from benchmarks.harness.cells import Selection
from benchmarks.harness.host import describe
from benchmarks.harness.matrices import MATRICES
from benchmarks.harness.settings import Settings
from scripts.tracker.comparison.asv_results import AsvResultWriter
from scripts.tracker.comparison.build import BuildEnvironment
from scripts.tracker.comparison.cell import CellComparison
from scripts.tracker.comparison.report import Report, interval
from scripts.tracker.comparison.result import ComparisonResult
from scripts.tracker.comparison.revisions import WORKING_TREE, Revision, resolve
from scripts.tracker.comparison.schedule import Schedule
from scripts.tracker.comparison.sides import Side, SideBuilder
from scripts.tracker.preflight import require_history, require_room
from scripts.tracker.progress import say
from scripts.tracker.refusal import RefusalError
from scripts.tracker.running.lock import locked_folder, measuring_exclusively

SLOW_MATRIX = "startup"
"""The matrix that the quick cells leave out: each of its runs takes seconds, so it would spend its time without a
verdict."""


@dataclass(frozen=True)
class CompareRequest:
    """The options of the command.

    Attributes:
        baseline: name of the commit to compare with.
        candidate: name of the commit that is judged.
        budget_s: seconds of sampling.
        cells: chosen cells.
        scale: scale of the checkpoints, or their folder.
        device: device of the workers.
        delta: relative difference up to which two times are the same.
        config: asv's configuration.
        markdown: file for the Markdown report, or None.
        json: file for the JSON report, or None.
        wait: whether to wait for another command that measures here.
        store: whether to add the samples to asv's results.
    """

    baseline: str
    candidate: str
    budget_s: float
    cells: str
    scale: str
    device: str
    delta: float
    config: Path
    markdown: Path | None
    json: Path | None
    wait: bool
    store: bool


def compare_commits(request: CompareRequest) -> int:
    """Compare two commits as *request* says; returns an exit status.

    Raises:
        RefusalError: the repository, the disk or the options do not allow it, or another command measures here.
        SettingsError: the scale, the device or the cells are invalid.
    """
    config, outputs = request.config.resolve(), [_writable(path) for path in (request.markdown, request.json)]
    root = config.parent
    baseline, candidate = _revisions(root, request)
    comparisons = chosen_cells(request)
    build_environment = BuildEnvironment.open(config, request.scale, request.device)
    with measuring_exclusively(locked_folder(build_environment.conf), wait=request.wait):
        builder = SideBuilder(build_environment, root, request.scale, request.device, request.cells)
        sides = builder.side(baseline), builder.side(candidate)
        schedule, spent_s = _measure(request, comparisons, sides)
        result = ComparisonResult.of(schedule)
        conditions: dict[str, object] = {**describe(sides[1].settings), **schedule.host, "spent_s": spent_s}
        report = Report(result, baseline, candidate, conditions, request.delta)
        print(report.text())
        for path, text in zip(outputs, (report.markdown, report.json), strict=True):
            if path is not None:
                path.write_text(text() + "\n", encoding="utf-8")
        if request.store:
            _store(build_environment, schedule)
    return result.status


def chosen_cells(request: CompareRequest) -> list[CellComparison]:
    """Return the cells that *request* chooses; raises RefusalError or SettingsError if it chooses none."""
    environ = {
        "ACESTEP_BENCH_CELLS": request.cells,
        "ACESTEP_BENCH_SCALE": request.scale,
        "ACESTEP_BENCH_DEVICE": request.device,
    }
    selection = Selection(Settings.from_environment(environ).cells, MATRICES)
    matrices = [matrix for matrix in MATRICES if selection.text != "quick" or matrix.name != SLOW_MATRIX]
    comparisons = [CellComparison.of(matrix.name, cell) for matrix in matrices for cell in selection.of(matrix)]
    if not comparisons:
        raise RefusalError(f"--cells {request.cells!r} chooses no cell. Loosen its conditions.")
    return comparisons


def _revisions(root: Path, request: CompareRequest) -> tuple[Revision, Revision]:
    """Return the baseline and the candidate; raises RefusalError if they cannot be compared in *root*."""
    require_history(root)
    require_room(root / ".asv")
    baseline, candidate = resolve(root, request.baseline), resolve(root, request.candidate)
    if baseline.hash == candidate.hash:
        raise RefusalError(
            f"{request.baseline} and {request.candidate} are the same commit ({baseline.hash[:8]}). "
            f"Give another, or {WORKING_TREE} for the working tree: python -m scripts.compare HEAD {WORKING_TREE}"
        )
    return baseline, candidate


def _writable(path: Path | None) -> Path | None:
    """Return the absolute *path*; raises RefusalError, before anything is measured, if it cannot be written."""
    if path is None:
        return None
    path = path.resolve()
    if not path.parent.is_dir() or path.is_dir() or not os.access(path.parent, os.W_OK):
        raise RefusalError(f"{path} cannot be written. Give a file in a folder that exists and is writable.")
    return path


def _measure(
    request: CompareRequest, comparisons: list[CellComparison], sides: tuple[Side, Side]
) -> tuple[Schedule, float]:
    """Return the schedule after it has run or was interrupted, and the seconds that it took."""
    left_out = "" if request.cells.strip() != "quick" else f" {SLOW_MATRIX} is left out: --cells matrix={SLOW_MATRIX}"
    say(f"Comparing {len(comparisons)} cells for {request.budget_s / 60:.3g} minutes.{left_out}")
    schedule = Schedule(comparisons, sides, request.budget_s, on_sampled=_say_progress, delta=request.delta)
    start = time.perf_counter()
    try:
        schedule.run()
    except KeyboardInterrupt:
        say("\nInterrupted: this is what was measured until now.")
    return schedule, time.perf_counter() - start


def _say_progress(schedule: Schedule, comparison: CellComparison) -> None:
    """Print the present verdict of a cell that has been sampled."""
    decided = len(schedule.comparisons) - len(schedule.open_cells())
    if comparison.failed:
        state: str = next(error[1] for error in comparison.errors if error is not None)
    elif comparison.exact:
        diffs = comparison.counter_diffs
        state = f"{len(diffs)} differences" if diffs else "equal"
    else:
        name = comparison.rows[0]
        verdict = schedule.last_round_verdict(comparison, name)
        state = f"round {len(comparison.rounds)}, {verdict} ({interval(comparison.evidence(name))})"
    left_s = max(0.0, schedule.left_s)
    say(f"[{decided}/{len(schedule.comparisons)}] {comparison.name}: {state}, {left_s:.0f} s left")


def _store(build_environment: BuildEnvironment, schedule: Schedule) -> None:
    """Add the samples of both sides to asv's results, except those of a working tree."""
    stored = [(index, side) for index, side in enumerate(schedule.sides) if side.revision.stored]
    if not stored:
        return
    writer = AsvResultWriter(build_environment, [side.revision.hash for _, side in stored])
    for index, side in stored:
        samples = [(one, one.samples[index]) for one in schedule.comparisons if one.samples[index]]
        say(f"The samples of {side.revision.label} are in {writer.save(side, samples)}")
