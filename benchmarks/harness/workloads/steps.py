"""Prefill and decode steps of the planner's engine."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

from benchmarks.harness.adapters import probe
from benchmarks.harness.device import observe
from benchmarks.harness.record import Cell
from benchmarks.harness.workload import CellFailed, Sample, TakeSample, Unavailable
from benchmarks.harness.workloads.generation import FIRST_SEED
from benchmarks.harness.workloads.planner_cache import PlannerCache

STEPS = 100
"""Number of tokens that a sample of `decode_step` generates for each piece."""
PROMPT_TOKENS = 16
SAMPLING = {"temperature": 0.85, "top_p": 0.9}
"""Sampling parameters of all steps."""
_NUMBERS = itertools.count()
"""Numbers of the prompts of `prefill`."""

Written = tuple[list[list[int]], int]
"""The token ids of each piece, and the number of forward passes."""


def prefill(engines: PlannerCache, cell: Cell) -> TakeSample:
    """Return a function that prefills a prompt of `prompt_tokens` tokens, two with guidance, and generates one code.

    Each sample has another prompt, because an engine may cache prefixes. So its output does not depend on the cell
    alone, and is dropped.
    """
    length, guidance = int(cell["prompt_tokens"]), bool(cell["guidance"])
    engine = engines.engine(str(cell["engine"]))

    def take() -> Sample:
        prompt = _prompt(length, first=next(_NUMBERS), stride=1 + length // 64)
        write = _code_writer(engine, prompt, guidance, batch=1, codes=1)
        return replace(_sample(engines.settings.device, write, batch=1, count=1), output=None)

    return take


def decode_step(engines: PlannerCache, cell: Cell) -> partial[Sample]:
    """Return a function that generates STEPS codes or text tokens for each piece of the batch."""
    batch, guidance = int(cell["batch"]), bool(cell["guidance"])
    if cell["phase"] == "codes":
        engine = engines.engine(str(cell["engine"]))
        write: Callable[[], Written] = _code_writer(engine, _prompt(PROMPT_TOKENS), guidance, batch=batch, codes=STEPS)
    elif batch > 1 or guidance:
        raise Unavailable("the planner writes text for one sample at a time, without guidance")
    else:
        write = _text_writer(engines.engine(str(cell["engine"])))
    return partial(_sample, engines.settings.device, write, batch=batch, count=STEPS)


def _text_writer(engine: Any) -> Callable[[], Written]:
    write_text = probe.text_writer(engine, _prompt(PROMPT_TOKENS), tokens=STEPS, seed=FIRST_SEED, **SAMPLING)

    def write() -> Written:
        tokens, forwards = write_text()
        return [tokens], forwards

    return write


def _code_writer(engine: Any, prompt: list[int], guidance: bool, *, batch: int, codes: int) -> Callable[[], Written]:
    return probe.code_writer(
        engine,
        prompt,
        unconditional=prompt[::-1] if guidance else None,
        guidance_scale=2.0 if guidance else 1.0,
        codes=codes,
        seeds=[FIRST_SEED + item for item in range(batch)],
        **SAMPLING,
    )


def _prompt(tokens: int, first: int = 0, stride: int = 3) -> list[int]:
    return [7 + (first + stride * position) % 190 for position in range(tokens)]


def _sample(device: str, write: Callable[[], Written], *, batch: int, count: int) -> Sample:
    run = observe(device, write)
    written, forwards = run.result
    counts = [len(row) for row in written]
    if counts != [count] * batch:
        raise CellFailed(f"the planner wrote {counts} tokens instead of {count} for each of {batch}")
    tokens = count * batch
    series = {"time": run.time_s / count, "tokens": float(tokens), "forwards": float(forwards)}
    words = " ".join(str(token) for row in written for token in row)
    work = {"tokens": tokens, "forwards": forwards}
    return Sample(series, work, run.time_s, run.peak_bytes, output=words, wait_s=run.wait_s)
