"""Reading a prompt, and writing one more token, on the planner's engine."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

from benchmarks.harness.device import observe
from benchmarks.harness.record import Cell
from benchmarks.harness.workload import CellFailed, Sample, TakeSample, Unavailable, require
from benchmarks.harness.workloads.engines import Engines
from benchmarks.harness.workloads.generation import FIRST_SEED

STEPS = 100
"""Tokens that a sample of `decode_step` writes for each piece."""
PROMPT_TOKENS = 16
_NUMBERS = itertools.count()

Written = tuple[list[list[int]], int]
"""The tokens of each piece, and the calls of the model that they took."""


def prefill(engines: Engines, cell: Cell) -> TakeSample:
    """Read prompts of `prompt_tokens` tokens, two with guidance, and write the first code.

    Every sample reads other tokens, for an engine may remember the prompts that it has read; so none has an output
    that depends on the cell alone.
    """
    length, guidance = int(cell["prompt_tokens"]), bool(cell["guidance"])
    engine = engines.engine(str(cell["engine"]))

    def take() -> Sample:
        prompt = _prompt(length, first=next(_NUMBERS), stride=1 + length // 64)
        write = _codes(engine, _codes_request(prompt, guidance, batch=1, count=1))
        return replace(_sample(engines.settings.device, write, batch=1, count=1), output=None)

    return take


def decode_step(engines: Engines, cell: Cell) -> partial[Sample]:
    """Write STEPS tokens for each piece of the batch, codes or text."""
    batch, guidance = int(cell["batch"]), bool(cell["guidance"])
    if cell["phase"] == "codes":
        request = _codes_request(_prompt(PROMPT_TOKENS), guidance, batch=batch, count=STEPS)
        write = _codes(engines.engine(str(cell["engine"])), request)
    elif batch > 1 or guidance:
        raise Unavailable("the planner writes text for one sample at a time, without guidance")
    else:
        write = _text(engines.engine(str(cell["engine"])))
    return partial(_sample, engines.settings.device, write, batch=batch, count=STEPS)


def _codes(engine: Any, request: Any) -> Callable[[], Written]:
    def write() -> Written:
        run = engine.write_codes(request)
        return run.codes, run.forwards

    return write


def _text(engine: Any) -> Callable[[], Written]:
    request_class = require("acestep.planner.engines.base", "TextRequest")
    request = request_class(
        prompt=_prompt(PROMPT_TOKENS),
        constraint=None,
        sampling=_sampling(),
        seed=FIRST_SEED,
        limit=STEPS,
        stops=frozenset(),
    )

    def write() -> Written:
        run = engine.write_text(request)
        return [run.tokens], run.forwards

    return write


def _codes_request(prompt: list[int], guidance: bool, *, batch: int, count: int) -> Any:
    request_class = require("acestep.planner.engines.base", "CodesRequest")
    return request_class(
        prompt=prompt,
        unconditional=prompt[::-1] if guidance else None,
        scale=2.0 if guidance else 1.0,
        count=count,
        limit=count,
        sampling=_sampling(),
        seeds=[FIRST_SEED + item for item in range(batch)],
    )


def _prompt(tokens: int, first: int = 0, stride: int = 3) -> list[int]:
    return [7 + (first + stride * place) % 190 for place in range(tokens)]


def _sampling() -> Any:
    return require("acestep.planner.sampling", "Sampling")(temperature=0.85, top_p=0.9)


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
