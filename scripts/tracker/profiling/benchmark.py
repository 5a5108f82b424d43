"""Mode ``benchmark``: measures a matrix of configurations and prints its table."""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product

from acestep.examples import Example
from acestep.gpu_config import GPUConfig
from benchmarks.harness.record import Record
from scripts.tracker.profiling.breakdown import Spread
from scripts.tracker.profiling.generation import Configuration, Generations, entry_of
from scripts.tracker.profiling.options import thinking_of
from scripts.tracker.profiling.results import Results
from scripts.tracker.profiling.session import Session
from scripts.tracker.profiling.text_tables import at_columns, csv_text, markdown
from scripts.tracker.progress import ProgressLine

DURATIONS = (30.0, 60.0, 120.0, 240.0)
BATCHES = (1, 2, 4)
THINKING = (False, True)
STEPS = (8, 16)
REPEAT = 3
HEADER = ("Duration", "Batch", "Think", "Steps", "Wall(s)", "LM(s)", "DiT(s)", "VAE(s)", "Status")
COLUMNS = (0, 11, 19, 27, 35, 46, 57, 68, 79)
RULE = "-" * 122
STAGES = (("wall",), ("lm",), ("condition", "dit"), ("vae",))
"""For each column of seconds, the series whose sum it shows."""


@dataclass(frozen=True)
class Result:
    """One row: the requested configuration, its record, and a note if something else was executed."""

    asked: Configuration
    record: Record
    note: str = ""


def run(session: Session, example: Example, arguments: argparse.Namespace, results: Results) -> int:
    """Measure the matrix and print the table; returns the exit code."""
    wanted = matrix(arguments)
    kept, dropped = clip(wanted, session.gpu, limited=session.gpu.gpu_memory_gb > 0)
    for reason in dropped:
        print(reason)
    print(f"{len(kept)} of {len(wanted)} configurations, {arguments.repeat or REPEAT} samples of each\n", flush=True)
    generations, told = Generations(session, example, arguments), []
    try:
        for result in measure(session, generations, kept, arguments):
            told.append(result)
            entry = entry_of(result.asked, result.record)
            results.add(entry | {"requested_steps": result.asked.inference_steps, "note": result.note or None})
    finally:
        print(f"\n{table(told, arguments.format)}" if told else "Nothing was measured.")
    failed = [result for result in told if result.record.status not in ("ok", "skip")]
    results.summary = {"configurations": len(told), "failed": len(failed)}
    return 3 if failed else 0


def matrix(arguments: argparse.Namespace) -> list[Configuration]:
    """Return all requested configurations, in the order of the table."""
    axes = (
        arguments.duration or DURATIONS,
        arguments.batch_size or BATCHES,
        thinking_of(arguments) or THINKING,
        arguments.inference_steps or STEPS,
    )
    return [Configuration(*values) for values in product(*axes)]


def clip(
    configurations: Iterable[Configuration], gpu: GPUConfig, *, limited: bool
) -> tuple[list[Configuration], list[str]]:
    """Return the configurations within the limits of the GPU's tier, and a sentence for each reason of dropping others.

    Without *limited*, all are kept.
    """
    kept: list[Configuration] = []
    dropped: dict[str, int] = {}
    for configuration in configurations:
        reason = _beyond(configuration, gpu) if limited else ""
        if reason:
            dropped[reason] = dropped.get(reason, 0) + 1
        else:
            kept.append(configuration)
    return kept, [f"Dropped {count}: {reason}" for reason, count in dropped.items()]


def measure(
    session: Session, generations: Generations, configurations: Sequence[Configuration], arguments: argparse.Namespace
) -> Iterable[Result]:
    """Yield a result for each configuration; what executes the same as an earlier one is not measured again."""
    repeat, progress = arguments.repeat or REPEAT, ProgressLine(len(configurations))
    done: dict[Configuration, Record] = {}
    for configuration in configurations:
        executed = replace(configuration, inference_steps=generations.steps(configuration.inference_steps))
        note = ""
        if executed != configuration:
            note = f"{configuration.inference_steps} steps were asked for, {executed.inference_steps} executed"
        if executed not in done:
            if configuration.thinking and session.lm is None:
                record = Record(
                    "benchmark", executed.cell, "skip", session.lm_missing or "the GPU's tier has no planner"
                )
            else:
                record = generations.measure(executed, repeat, warmup=not arguments.no_warmup)
            done[executed] = record
        record = done[executed]
        progress.finished(_told(configuration, record))
        yield Result(configuration, record, note)


def table(results: Sequence[Result], form: str = "table") -> str:
    """Return the table in the format *form*; notes and reasons of failures are below it."""
    rows = [_cells(result) for result in results]
    if form == "markdown":
        return markdown(HEADER, rows)
    if form == "csv":
        return csv_text(HEADER, rows)
    lines = [at_columns(zip(COLUMNS, cells, strict=True)) for cells in (HEADER, *rows)]
    notes = dict.fromkeys(result.note for result in results if result.note)
    reasons = [
        f"{result.record.status.upper()} {_named(result.asked)}: {result.record.reason}"
        for result in results
        if result.record.status != "ok"
    ]
    below = [*(f"Note: {note}, so these rows are the ones above them." for note in notes), *dict.fromkeys(reasons)]
    return "\n".join([lines[0], RULE, *lines[1:], *([""] if below else []), *below])


def _cells(result: Result) -> list[str]:
    asked, record = result.asked, result.record
    seconds = [_seconds(record.samples, names) if record.status == "ok" else "-" for names in STAGES]
    return [
        f"{asked.duration:g}",
        str(asked.batch_size),
        str(asked.thinking),
        str(asked.inference_steps),
        *seconds,
        record.status.upper(),
    ]


def _seconds(samples: Mapping[str, list[float]], names: Sequence[str]) -> str:
    values = [sum(each) for each in zip(*(samples[name] for name in names if name in samples), strict=True)]
    if not values:
        return "0.00"
    spread = Spread.of(values)
    return f"{spread.median:.2f}" + (f"±{spread.mad:.2f}" if spread.n > 1 else "")


def _told(configuration: Configuration, record: Record) -> str:
    if record.status != "ok":
        return f"{_named(configuration)}: {record.status.upper()}"
    wall, lm, dit, _ = (_seconds(record.samples, names) for names in STAGES)
    return f"{_named(configuration)}: OK, wall {wall}, LM {lm}, DiT {dit}"


def _named(configuration: Configuration) -> str:
    return (
        f"{configuration.duration:g} s, batch {configuration.batch_size}, thinking {configuration.thinking}, "
        f"{configuration.inference_steps} steps"
    )


def _beyond(configuration: Configuration, gpu: GPUConfig) -> str:
    duration = gpu.max_duration_with_lm if configuration.thinking else gpu.max_duration_without_lm
    batch = gpu.max_batch_size_with_lm if configuration.thinking else gpu.max_batch_size_without_lm
    planner = "with" if configuration.thinking else "without"
    of = f"of {gpu.tier} ({gpu.gpu_memory_gb:g} GB)"
    if configuration.thinking and not gpu.available_lm_models:
        return f"there is no planner in the limits {of}"
    if configuration.duration is not None and configuration.duration > duration:
        return f"longer than the {duration} s {planner} a planner {of}"
    if configuration.batch_size > batch:
        return f"a batch above the {batch} {planner} a planner {of}"
    return ""
