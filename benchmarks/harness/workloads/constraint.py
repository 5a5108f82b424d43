"""The grammar of the chain of thought: compiling it, and asking it what may follow, without a model."""

from __future__ import annotations

from copy import copy
from functools import partial
from itertools import count
from time import perf_counter
from typing import Any

from benchmarks.harness.contention import read_waits, waited_s
from benchmarks.harness.record import Cell
from benchmarks.harness.settings import LM_FOLDER
from benchmarks.harness.workload import CellFailed, Sample, require
from benchmarks.harness.workloads.engines import Engines
from benchmarks.harness.workloads.models import checkpoints

CAPTION_LINE = "caption: A quiet bossa nova with nylon guitar, brushed drums and a double bass that walks.\n"
METADATA = "\nbpm: 96\n{caption}duration: 187\nkeyscale: F# minor\nlanguage: pt\ntimesignature: 4\n"
"""What the model is taken to choose wherever the grammar leaves a choice."""
LONGEST_S = 600
FORMS = 256
"""Forms differ in the longest duration; grammars that keep what they compile keep fewer than these."""


def write_with(engines: Engines, cell: Cell) -> partial[Sample]:
    """Compile what the cell calls new, and follow METADATA to its end."""
    folder = checkpoints(engines.settings) / LM_FOLDER
    vocabulary = require("acestep.planner.vocabulary", "Vocabulary")(folder)
    grammar = require("acestep.planner.grammar", "Grammar")
    caption = bool(cell["caption"])
    chosen = _choices(grammar(vocabulary), vocabulary, caption)
    return partial(_sample, grammar, vocabulary, grammar(vocabulary), str(cell["new"]), caption, chosen, count(1))


def _form(caption: bool, longest_s: int = LONGEST_S) -> Any:
    schema = require("acestep.planner.cot_schema", "CotSchema")
    return schema.for_phase1({}, caption=caption, language=True, max_duration_s=longest_s)


def _choices(grammar: Any, vocabulary: Any, caption: bool) -> list[int]:
    """Return the tokens of METADATA that the grammar leaves to the model, as the tokenizer would write them."""
    text = METADATA.format(caption=CAPTION_LINE if caption else "")
    constraint = grammar.constraint(_form(caption))
    controls = set(vocabulary.controls.values())
    written: list[int] = []
    chosen: list[int] = []
    while True:
        written += [token for token in constraint.forced() if token not in controls]
        if constraint.done:
            return chosen
        rest = text.removeprefix(vocabulary.decode(written))
        token = vocabulary.encode_text(rest)[0]
        if not constraint.allowed()[token]:
            raise CellFailed(f"the grammar does not let {rest[:40]!r} be written")
        constraint.accept(token)
        written.append(token)
        chosen.append(token)


def _like(vocabulary: Any, number: int) -> Any:
    """Return a copy of *vocabulary* whose tokenizer has not been compiled for another *number*."""
    twin = copy(vocabulary)
    twin.grammar_json = vocabulary.grammar_json + " " * number
    return twin


def _sample(
    grammar_class: Any, vocabulary: Any, known: Any, new: str, caption: bool, chosen: list[int], numbers: count[int]
) -> Sample:
    number = next(numbers)
    form = _form(caption, LONGEST_S - number % FORMS if new == "form" else LONGEST_S)
    tokenizer = _like(vocabulary, number)
    waits, start = read_waits(), perf_counter()
    grammar = grammar_class(tokenizer) if new == "tokenizer" else known
    constraint = grammar.constraint(form)
    compiled = perf_counter()
    tokens = len(constraint.forced())
    for token in chosen:
        constraint.allowed()
        constraint.accept(token)
        tokens += 1 + len(constraint.forced())
    end = perf_counter()
    wait_s = waited_s(waits, read_waits())
    if not constraint.done:
        raise CellFailed("the grammar expects more than was written")
    series = {
        "compile": compiled - start,
        "mask": (end - compiled) / len(chosen),
        "tokens": float(tokens),
        "chosen_tokens": float(len(chosen)),
        "chosen_share": len(chosen) / tokens,
    }
    work = {"tokens": tokens, "chosen": len(chosen)}
    return Sample(series, work, end - start, in_torch=False, wait_s=wait_s)
