"""Compiles forms for a tokenizer, once per process and tokenizer."""

from __future__ import annotations

from functools import lru_cache
from time import perf_counter
from typing import Any

from llguidance import LLMatcher, LLTokenizer

from acestep.planner import PlannerError
from acestep.planner.constraint import Constraint, TracedConstraint, first_line
from acestep.planner.cot_schema import CotSchema
from acestep.planner.vocabulary import Vocabulary


class Grammar:
    """Makes constraints for one tokenizer.

    The first one for a large tokenizer takes seconds, a form milliseconds; both are kept for the process, so that
    another grammar for the same tokenizer finds them.

    Attributes:
        compile_s: seconds that compiling the tokenizer took, whenever that was.
        reused: whether it had been compiled before.
    """

    def __init__(self, vocabulary: Vocabulary) -> None:
        self._vocabulary = vocabulary
        hits = _compiler.cache_info().hits
        self._compiler = _compiler(vocabulary.grammar_json, vocabulary.size, vocabulary.end)
        self.reused = _compiler.cache_info().hits > hits
        self.compile_s = self._compiler.seconds

    def constraint(self, form: CotSchema, *, debug: bool = False) -> Constraint:
        """A fresh constraint that accepts one answer of *form*; with *debug* it logs its decisions.

        Raises:
            PlannerError: llguidance rejects the grammar.
        """
        started = perf_counter()
        matcher = self._compiler.matcher(form).deep_copy()
        kind = TracedConstraint if debug else Constraint
        return kind(matcher, self._vocabulary, form, perf_counter() - started)


class _Compiler:
    """One tokenizer as llguidance needs it, and the forms compiled for it."""

    def __init__(self, grammar_json: str, size: int, end: int) -> None:
        started = perf_counter()
        self._tokenizer = LLTokenizer(grammar_json, n_vocab=size, eos_token=end)
        self.seconds = perf_counter() - started
        self.matcher = lru_cache(maxsize=64)(self._compile)

    def _compile(self, form: CotSchema) -> Any:
        matcher = LLMatcher(self._tokenizer, form.lark())
        if matcher.is_error():
            raise PlannerError(f"the metadata {dict(form.fixed)} cannot be written: {first_line(matcher)}")
        return matcher


@lru_cache(maxsize=4)
def _compiler(grammar_json: str, size: int, end: int) -> _Compiler:
    return _Compiler(grammar_json, size, end)
