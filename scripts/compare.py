"""Measure two commits side by side: ``python -m scripts.compare BASE HEAD``.

Both are built with asv's environment. One warm worker a side takes turns with the other, run by run, until every cell
has a verdict or the budget is spent: faster, slower, the same, or not enough evidence.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from benchmarks.harness.cells import Selection
from benchmarks.harness.host import describe
from benchmarks.harness.matrices import MATRICES
from benchmarks.harness.settings import Settings, SettingsError
from scripts.tracker.command import run
from scripts.tracker.comparison.arguments import add_measuring_options, percentage
from scripts.tracker.comparison.asv_results import AsvResultWriter
from scripts.tracker.comparison.build import BuildEnvironment
from scripts.tracker.comparison.cell import CellComparison
from scripts.tracker.comparison.report import Report, interval
from scripts.tracker.comparison.result import ComparisonResult
from scripts.tracker.comparison.revisions import WORKING_TREE, resolve
from scripts.tracker.comparison.schedule import Schedule
from scripts.tracker.comparison.sides import Builder, Side
from scripts.tracker.preflight import require_history, require_room
from scripts.tracker.progress import say
from scripts.tracker.refusal import RefusalError
from scripts.tracker.running.lock import locked_folder, measuring_exclusively
from scripts.tracker.statistics.judging import DELTA

SLOW_MATRIX = "startup"
"""The matrix whose runs take seconds each: among the quick cells it would use its share of the time up for nothing."""


@dataclass(frozen=True)
class Request:
    """What the command line asks for."""

    base: str
    head: str
    budget: float
    cells: str
    scale: str
    device: str
    delta: float
    config: Path
    markdown: Path | None
    json: Path | None
    wait: bool
    store: bool


def main(argv: list[str] | None = None) -> int:
    """Run the command; returns its exit status: 0, 1 if something is slower, 2 not measured, 130 interrupted."""
    request = parse(argv)
    interrupted = "\nInterrupted before there was anything to tell."
    return run("scripts.compare", lambda: compare(request), SettingsError, interrupted=interrupted)


def parse(argv: list[str] | None) -> Request:
    """Return what the command line asks for; ends the program if it cannot be read."""
    parser = argparse.ArgumentParser(
        prog="python -m scripts.compare",
        description="Measure two commits side by side, and say of every cell which is faster.",
        epilog="Exit status: 0 nothing is slower, 1 something is, 2 not everything could be measured.",
    )
    parser.add_argument("base", nargs="?", default="main", help="the commit to compare with (default main)")
    parser.add_argument(
        "head", nargs="?", default="HEAD", help="the commit that is judged (default HEAD); . is the working tree"
    )
    parser.add_argument(
        "--cells",
        default="quick",
        help=f"quick (default; without {SLOW_MATRIX}, whose runs take seconds each), full, or conditions: "
        f"stage=DiTForward,batch=1 or matrix={SLOW_MATRIX}",
    )
    parser.add_argument(
        "--delta",
        type=percentage,
        default=DELTA,
        metavar="PERCENT",
        help="times within so many percent are the same (default 2)",
    )
    add_measuring_options(parser, budget="10m", budget_help="measure for so long")
    parser.add_argument(
        "--markdown", type=Path, metavar="FILE", help="also write the table as Markdown, for a pull request"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write everything as JSON")
    parser.add_argument(
        "--no-store", dest="store", action="store_false", help="do not add the samples to asv's results"
    )
    return Request(**vars(parser.parse_args(argv)))


def compare(request: Request) -> int:
    """Build, measure, tell and store what *request* asks for; returns an exit status.

    Raises:
        RefusalError: the repository, the disk or the options do not allow it, or another command measures here.
    """
    config, outputs = request.config.resolve(), [_writable(path) for path in (request.markdown, request.json)]
    root = config.parent
    require_history(root)
    require_room(root / ".asv")
    base, head = resolve(root, request.base), resolve(root, request.head)
    if base.hash == head.hash:
        raise RefusalError(
            f"{request.base} and {request.head} are the same commit ({base.hash[:8]}). "
            f"Give another, or {WORKING_TREE} for the working tree: python -m scripts.compare HEAD {WORKING_TREE}"
        )
    cells = comparisons(request)
    build_environment = BuildEnvironment.open(config, request.scale, request.device)
    with measuring_exclusively(locked_folder(build_environment.conf), wait=request.wait):
        builder = Builder(build_environment, root, request.scale, request.device, request.cells)
        sides = builder.side(base), builder.side(head)
        match, spent_s = _measured(request, cells, sides)
        outcome = ComparisonResult.of(match)
        facts: dict[str, object] = {**describe(sides[1].settings), **match.host, "spent_s": spent_s}
        report = Report(outcome, base, head, facts, request.delta)
        print(report.text())
        for path, text in zip(outputs, (report.markdown, report.json), strict=True):
            if path is not None:
                path.write_text(text() + "\n", encoding="utf-8")
        if request.store:
            _store(build_environment, match)
    return outcome.status


def _measured(request: Request, cells: list[CellComparison], sides: tuple[Side, Side]) -> tuple[Schedule, float]:
    """Return the match of *sides* when it is over, or was interrupted, and the seconds that it took."""
    left_out = "" if request.cells.strip() != "quick" else f" {SLOW_MATRIX} is left out: --cells matrix={SLOW_MATRIX}"
    say(f"Comparing {len(cells)} cells for {request.budget / 60:.3g} minutes.{left_out}")
    match = Schedule(cells, sides, request.budget, tell=_tell, delta=request.delta)
    start = time.perf_counter()
    try:
        match.run()
    except KeyboardInterrupt:
        say("\nInterrupted: this is what was measured until now.")
    return match, time.perf_counter() - start


def _writable(path: Path | None) -> Path | None:
    """Return *path*, made absolute; what cannot be written is refused before anything is measured."""
    if path is None:
        return None
    path = path.resolve()
    if not path.parent.is_dir() or path.is_dir() or not os.access(path.parent, os.W_OK):
        raise RefusalError(f"{path} cannot be written. Give a file in a folder that exists and is writable.")
    return path


def comparisons(request: Request) -> list[CellComparison]:
    """Return the cells that *request* chooses; raises RefusalError or SettingsError if it chooses none."""
    environ = {
        "ACESTEP_BENCH_CELLS": request.cells,
        "ACESTEP_BENCH_SCALE": request.scale,
        "ACESTEP_BENCH_DEVICE": request.device,
    }
    selection = Selection(Settings.from_environment(environ).cells, MATRICES)
    chosen = [matrix for matrix in MATRICES if selection.text != "quick" or matrix.name != SLOW_MATRIX]
    found = [CellComparison.of(matrix.name, cell) for matrix in chosen for cell in selection.of(matrix)]
    if not found:
        raise RefusalError(f"--cells {request.cells!r} chooses no cell. Loosen its conditions.")
    return found


def _tell(match: Schedule, comparison: CellComparison) -> None:
    """Say how a cell stands after a visit."""
    settled = len(match.comparisons) - len(match.unsettled())
    if comparison.failed:
        told: str = next(trouble[0] for trouble in comparison.trouble if trouble is not None)
    elif comparison.exact:
        told = f"{len(comparison.facts)} differences" if comparison.facts else "equal"
    else:
        name = comparison.rows[0]
        verdict = match.latest(comparison, name)
        told = f"round {len(comparison.rounds)}, {verdict} ({interval(comparison.evidence(name))})"
    say(f"[{settled}/{len(match.comparisons)}] {comparison.name}: {told}, {max(0.0, match.left_s):.0f} s left")


def _store(build_environment: BuildEnvironment, match: Schedule) -> None:
    stored = [(place, side) for place, side in enumerate(match.sides) if side.commit.stored]
    if not stored:
        return
    store = AsvResultWriter(build_environment, [side.commit.hash for _, side in stored])
    for place, side in stored:
        taken = [
            (comparison, comparison.samples[place]) for comparison in match.comparisons if comparison.samples[place]
        ]
        say(f"The samples of {side.commit.label} are in {store.save(side, taken)}")


if __name__ == "__main__":
    sys.exit(main())
