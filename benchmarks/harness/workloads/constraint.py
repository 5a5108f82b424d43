"""Constrained decoding of a chain of thought without a model: compiling the grammar, and computing the masks."""

from __future__ import annotations

from functools import partial
from itertools import count
from time import perf_counter
from typing import Any

from benchmarks.harness.adapters import probe
from benchmarks.harness.contention import read_waits, waited_s
from benchmarks.harness.record import Cell
from benchmarks.harness.settings import LM_FOLDER
from benchmarks.harness.workload import CellFailed, Sample
from benchmarks.harness.workloads.models import checkpoints
from benchmarks.harness.workloads.planner_cache import PlannerCache

CAPTION_LINE = "caption: A quiet bossa nova with nylon guitar, brushed drums and a double bass that walks.\n"
METADATA = "\nbpm: 96\n{caption}duration: 187\nkeyscale: F# minor\nlanguage: pt\ntimesignature: 4\n"
"""The chain of thought that is written: wherever the grammar leaves a choice, the next token of this text is chosen."""
LONGEST_S = 600
SCHEMAS = 256
"""Number of schemas that samples take in turn; the package keeps fewer compiled ones, so each is compiled anew."""


def write_metadata(engines: PlannerCache, cell: Cell) -> partial[Sample]:
    """Return a function that compiles what the cell calls new and then accepts METADATA token by token."""
    vocabulary = probe.read_vocabulary(checkpoints(engines.settings) / LM_FOLDER)
    caption = bool(cell["caption"])
    chosen = _choices(vocabulary, caption)
    return partial(_sample, vocabulary, probe.open_grammar(vocabulary), str(cell["new"]), caption, chosen, count(1))


def _schema(caption: bool, longest_s: int = LONGEST_S) -> Any:
    return probe.cot_schema(caption=caption, language=True, max_duration_s=longest_s)


def _choices(vocabulary: Any, caption: bool) -> list[int]:
    """Return the tokens of METADATA that the grammar does not force."""
    text = METADATA.format(caption=CAPTION_LINE if caption else "")
    constraint = probe.start_constraint(probe.open_grammar(vocabulary), _schema(caption))
    controls = probe.control_tokens(vocabulary)
    written: list[int] = []
    chosen: list[int] = []
    while True:
        written += [token for token in probe.forced_tokens(constraint) if token not in controls]
        if probe.is_complete(constraint):
            return chosen
        rest = text.removeprefix(probe.detokenize(vocabulary, written))
        token = probe.tokenize(vocabulary, rest)[0]
        if not probe.allowed_tokens(constraint)[token]:
            raise CellFailed(f"the grammar does not let {rest[:40]!r} be written")
        probe.accept_token(constraint, token)
        written.append(token)
        chosen.append(token)


def _sample(vocabulary: Any, compiled: Any, new: str, caption: bool, chosen: list[int], numbers: count[int]) -> Sample:
    number = next(numbers)
    schema = _schema(caption, LONGEST_S - number % SCHEMAS if new == "form" else LONGEST_S)
    uncompiled = probe.vocabulary_copy(vocabulary, number)
    open_grammar, start_constraint = probe.open_grammar, probe.start_constraint
    forced_tokens, allowed_tokens, accept_token = probe.forced_tokens, probe.allowed_tokens, probe.accept_token
    waits, start = read_waits(), perf_counter()
    grammar = open_grammar(uncompiled) if new == "tokenizer" else compiled
    constraint = start_constraint(grammar, schema)
    compiled_at = perf_counter()
    tokens = len(forced_tokens(constraint))
    for token in chosen:
        allowed_tokens(constraint)
        accept_token(constraint, token)
        tokens += 1 + len(forced_tokens(constraint))
    end = perf_counter()
    wait_s = waited_s(waits, read_waits())
    if not probe.is_complete(constraint):
        raise CellFailed("the grammar expects more than was written")
    series = {
        "compile": compiled_at - start,
        "mask": (end - compiled_at) / len(chosen),
        "tokens": float(tokens),
        "chosen_tokens": float(len(chosen)),
        "chosen_share": len(chosen) / tokens,
    }
    work = {"tokens": tokens, "chosen": len(chosen)}
    return Sample(series, work, end - start, in_torch=False, wait_s=wait_s)
