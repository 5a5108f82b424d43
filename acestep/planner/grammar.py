"""Compiles schemas to grammars for a tokenizer, once per process and tokenizer."""

from __future__ import annotations

from functools import lru_cache
from time import perf_counter
from typing import Any

from llguidance import LLMatcher, LLTokenizer

from acestep.planner import PlannerError
from acestep.planner.constraint import Constraint, LoggingConstraint, first_line
from acestep.planner.cot_schema import CotSchema
from acestep.planner.vocabulary import Vocabulary


class Grammar:
    """Makes constraints for one tokenizer.

    Compiling a large tokenizer takes seconds, compiling a schema milliseconds. Both results are kept for the process,
    so that another grammar for the same tokenizer reuses them.

    Attributes:
        compile_s: seconds that compiling the tokenizer took, also if an earlier grammar did it.
        reused: whether the tokenizer had been compiled before.
    """

    def __init__(self, vocabulary: Vocabulary) -> None:
        self._vocabulary = vocabulary
        hits = _compiler.cache_info().hits
        self._compiler = _compiler(vocabulary.grammar_json, vocabulary.size, vocabulary.end)
        self.reused = _compiler.cache_info().hits > hits
        self.compile_s = self._compiler.seconds

    def constraint(self, schema: CotSchema, *, debug: bool = False) -> Constraint:
        """A new constraint for one text of *schema*; with *debug* it logs its decisions.

        Raises:
            PlannerError: llguidance rejects the grammar.
        """
        started = perf_counter()
        matcher = self._compiler.matcher(schema).deep_copy()
        kind = LoggingConstraint if debug else Constraint
        return kind(matcher, self._vocabulary, schema, perf_counter() - started)


class _Compiler:
    """One tokenizer in llguidance's form, and the schemas compiled for it."""

    def __init__(self, grammar_json: str, size: int, end: int) -> None:
        started = perf_counter()
        self._tokenizer = LLTokenizer(grammar_json, n_vocab=size, eos_token=end)
        self.seconds = perf_counter() - started
        self.matcher = lru_cache(maxsize=64)(self._compile)

    def _compile(self, schema: CotSchema) -> Any:
        matcher = LLMatcher(self._tokenizer, schema.lark())
        if matcher.is_error():
            raise PlannerError(f"the metadata {dict(schema.fixed)} cannot be written: {first_line(matcher)}")
        return matcher


@lru_cache(maxsize=4)
def _compiler(grammar_json: str, size: int, end: int) -> _Compiler:
    return _Compiler(grammar_json, size, end)
