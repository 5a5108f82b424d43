"""Modes ``understand``, ``create_sample`` and ``format_sample``: one call of the planner and its result."""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from acestep.examples import Example
from benchmarks.harness.device import Region, observe
from benchmarks.harness.host import describe
from benchmarks.harness.measure import classify
from benchmarks.harness.record import Record
from benchmarks.harness.workload import CellFailed
from benchmarks.harness.workloads.planner_reports import planner_counts, planner_series
from scripts.tracker.profiling.breakdown import Spread
from scripts.tracker.profiling.generation import DEFAULT_SEED
from scripts.tracker.profiling.results import Results, spreads
from scripts.tracker.profiling.session import Session
from scripts.tracker.profiling.token_table import block

QUERY = "a soft love song for a quiet evening"
SHOWN_CHARACTERS = 100
FIELDS = ("caption", "bpm", "duration", "keyscale", "language", "timesignature", "lyrics")


def run(session: Session, example: Example, arguments: argparse.Namespace, results: Results) -> int:
    """Measure the call and print its result; returns the exit code."""
    told, call = _call(session, example, arguments)
    print("\n".join(told) + "\n", flush=True)
    device, runs = session.device, []
    record = Record(arguments.mode, {"stage": arguments.mode}, "ok", host=describe(session.settings))
    try:
        warmup_s = 0.0 if arguments.no_warmup else observe(device, call).time_s
        runs = [_checked(observe(device, call)) for _ in range(arguments.repeat or 1)]
        series = [planner_series(one.result.extra_outputs, one.time_s) for one in runs]
        samples = {name: [one[name] for one in series] for name in series[0]}
        work = planner_counts(runs[-1].result.extra_outputs, None)
        told_record = {"samples": samples, "work": work, "warmup_s": warmup_s, "ended_unix": time.time()}
        record = Record(record.matrix, record.cell, "ok", host=record.host, **told_record)  # type: ignore[arg-type]
    except Exception as error:  # noqa: BLE001 - a failed call is a result, too
        status, reason = classify(error)
        record = Record(record.matrix, record.cell, status, reason, host=record.host, ended_unix=time.time())
    fields = {name: getattr(runs[-1].result, name) for name in FIELDS} if record.status == "ok" else {}
    results.add(_entry(record, fields))
    if record.status != "ok":
        print(f"{record.status.upper()}: {record.reason}")
        return 3
    print(_report(record, fields, arguments))
    return 0


def _call(session: Session, example: Example, arguments: argparse.Namespace) -> tuple[list[str], Callable[[], Any]]:
    """Return the lines to print first, and the call to measure."""
    from acestep.inference import create_sample, format_sample, understand_music

    seed = DEFAULT_SEED if arguments.seed is None else arguments.seed
    shared = {
        "temperature": arguments.lm_temperature,
        "use_constrained_decoding": not arguments.no_constrained_decoding,
        "seed": None if seed < 0 else seed,
    }
    if arguments.mode == "understand":
        codes = arguments.audio_codes or ""
        told = (
            f"Audio codes: {codes.count('<|audio_code_')} given" if codes else "Audio codes: none, a piece is invented"
        )
        return [told], partial(understand_music, session.lm, codes, **shared)
    if arguments.mode == "create_sample":
        query = arguments.sample_query or QUERY
        lines = [f"Query: {query}", f"Instrumental: {arguments.instrumental}"]
        return lines, partial(create_sample, session.lm, query, instrumental=arguments.instrumental, **shared)
    lines = [f"Example: {example.name}", f"Caption: {_short(example.caption)}", f"Lyrics: {_short(example.lyrics)}"]
    return lines, partial(format_sample, session.lm, example.caption, example.lyrics, **shared)


def _checked(run: Region[Any]) -> Region[Any]:
    if not run.result.success:
        raise CellFailed(str(run.result.error))
    return run


def _report(record: Record, fields: Mapping[str, Any], arguments: argparse.Namespace) -> str:
    wall = Spread.of(record.samples["wall"])
    spread = f" ± {wall.mad:.3f} of {wall.n}" if wall.n > 1 else ""
    lines = [f"Wall time: {wall.median:.3f} s{spread}"]
    if record.warmup_s:
        lines.append(f"Warm-up: {record.warmup_s:.3f} s")
    lines += [
        "Success: True",
        f"Caption: {_short(fields['caption'])}",
        f"BPM: {fields['bpm']}, duration: {fields['duration']} s, key: {fields['keyscale']}",
        f"Language: {fields['language']}, time signature: {fields['timesignature']}",
    ]
    if arguments.mode == "create_sample":
        lines.append(f"Instrumental: {arguments.instrumental}")
    if arguments.mode != "format_sample":
        lines.append(f"Lyrics: {_short(fields['lyrics'])}")
    if arguments.llm_debug:
        work: Mapping[str, Any] = record.work
        tokens = work["cot_tokens"] + work["code_tokens"]
        times = record.samples["wall"]
        lines += ["", block(work["prompt_tokens"], work["forwards"], {"text": (tokens, times)})]
    return "\n".join(lines)


def _entry(record: Record, fields: Mapping[str, Any]) -> dict[str, Any]:
    told = spreads(record.samples)
    return {
        "config": {"mode": record.matrix},
        "status": record.status,
        "success": record.status == "ok",
        "error": record.reason or None,
        "wall_time": told["wall"]["median"] if told else None,
        "lm_time": told["wall"]["median"] if told else None,
        "fields": dict(fields),
        "samples": told,
        "record": record.to_dict(),
    }


def _short(text: str) -> str:
    flat = " / ".join(line for line in text.splitlines() if line)
    return flat if len(flat) <= SHOWN_CHARACTERS else flat[:SHOWN_CHARACTERS] + "..."
