"""Keeps what the numbers of each matrix mean: `python -m scripts.meanings`.

A curve may only join numbers that mean the same. `benchmarks/meanings.json` holds, for each matrix, a digest of what
defines its numbers (cells, frozen workload, the code that runs and counts) beside the versions of its series. A test
fails when the first changes and the file does not. Run this afterwards: it keeps what is new where versions were
raised, and otherwise asks for the reason why numbers before and after may still be compared.
"""

from __future__ import annotations

import argparse
import ast
import hashlib
import importlib
import inspect
import json
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from benchmarks.harness.cells import Matrix, key
from benchmarks.harness.frozen.tree import frozen_digest
from benchmarks.harness.matrices import MATRICES
from benchmarks.harness.series import FromRecords
from scripts.tracker.comparison.series_names import workload_of

ROOT: Final = Path(__file__).resolve().parents[1]
KEPT: Final = ROOT / "benchmarks" / "meanings.json"
HARNESS: Final = "benchmarks.harness"
COUNTING: Final = ("exact", "fingerprint", "operators", "output", "profiled", "sketch")
"""Modules of the harness that define the exact metrics of every matrix."""
INTERFACE: Final = ("adapters", "cells", "host", "record", "settings", "workload")
"""Modules that workloads import, and that say nothing about what is measured."""
LOADING: Final = "workloads/models.py"
"""The module through which a matrix has to do with the frozen workload."""

Meaning = dict[str, Any]


def main(argv: Sequence[str] | None = None) -> int:
    """Write the file; returns the exit status: 1 if a meaning changed, no version did, and no reason was given."""
    parser = argparse.ArgumentParser(prog="python -m scripts.meanings", description="Keep what the numbers mean.")
    parser.add_argument("--same-meaning", metavar="WHY", help="why numbers before and after may still be compared")
    reason = parser.parse_args(argv).same_meaning
    kept, now = read(), {matrix.name: meaning_of(matrix) for matrix in MATRICES}
    refused = {}
    for name in kept.keys() & now.keys():
        before, meaning = kept[name], now[name]
        if before["versions"] != meaning["versions"]:
            continue
        if changed(before, meaning):
            refused[name] = changed(before, meaning)
            meaning["same_meaning"] = reason
        elif "same_meaning" in before:
            meaning["same_meaning"] = before["same_meaning"]
    if refused and reason is None:
        print(explained(dict(sorted(refused.items()))), file=sys.stderr)
        return 1
    KEPT.write_text(json.dumps(now, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    print(f"{len(now)} matrices: {os.path.relpath(KEPT)}")
    return 0


def read() -> dict[str, Meaning]:
    """Return the meanings that are kept."""
    kept: dict[str, Meaning] = json.loads(KEPT.read_text(encoding="utf-8")) if KEPT.is_file() else {}
    return kept


def meaning_of(matrix: Matrix) -> Meaning:
    """Return what today's numbers of *matrix* mean, and the versions of its series."""
    sources = {path.relative_to(ROOT / "benchmarks/harness").as_posix(): path for path in _sources(matrix)}
    cells = "\n".join(key(cell) for cell in matrix.cells)
    return {
        "cells": _digest(cells),
        **({"workload": frozen_digest()} if LOADING in sources else {}),
        "sources": {name: code_digest(sources[name].read_text(encoding="utf-8")) for name in sorted(sources)},
        "versions": dict(versions_of(matrix)),
    }


def changed(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """Return what of a meaning differs: its cells, its workload, or names of source files."""
    names = {name for name in ("cells", "workload") if before.get(name) != now.get(name)}
    old, new = before["sources"], now["sources"]
    return sorted(names | {name for name in old.keys() | new.keys() if old.get(name) != new.get(name)})


def explained(differing: Mapping[str, Sequence[str]]) -> str:
    """Return what to do about matrices whose meaning changed, each with what of it differs."""
    lines = [f"{matrix}: {', '.join(names)} changed" for matrix, names in differing.items()]
    advice = (
        "Numbers may mean something else now. If those before and after may not be compared, raise the `version` of "
        "the series in benchmarks/MATRIX.py and run `python -m scripts.meanings`; if they may, run `python -m "
        "scripts.meanings --same-meaning WHY`."
    )
    return "\n".join([*lines, advice])


def versions_of(matrix: Matrix) -> Iterator[tuple[str, str]]:
    """Yield the version of each class of *matrix*, and of each series that has another one.

    Distances are left out: their version is that of the outputs that are kept.
    """
    for _, cls in inspect.getmembers(importlib.import_module(f"benchmarks.{matrix.name}"), inspect.isclass):
        if not issubclass(cls, FromRecords) or cls is FromRecords or cls.__name__.startswith("_"):
            continue
        yield cls.__name__, cls.version
        for name in dir(cls):
            version = getattr(getattr(cls, name), "version", cls.version)
            if name.startswith("track_") and name != "track_distance" and version != cls.version:
                yield f"{cls.__name__}.{name}", version


def code_digest(source: str) -> str:
    """Return a digest of what *source* does: comments, docstrings and layout do not count."""
    return _digest(json.dumps(_plain(ast.parse(source))))


def _plain(node: object) -> Any:
    """Return a syntax tree as lists, without what is empty or differs between versions of Python."""
    if isinstance(node, ast.AST):
        fields = [[name, _plain(value)] for name, value in ast.iter_fields(node) if value not in (None, [])]
        return [type(node).__name__, *fields]
    if isinstance(node, list):
        return [_plain(one) for one in node if not _is_docstring(one)]
    return repr(node)


def _is_docstring(node: object) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)


def _sources(matrix: Matrix) -> set[Path]:
    """Return the modules that define the numbers of *matrix*: its workload, what that imports, and `COUNTING`."""
    waiting = [workload_of(matrix.name).__module__, *(f"{HARNESS}.{name}" for name in COUNTING)]
    found: dict[str, Path] = {}
    while waiting:
        module = waiting.pop()
        path = ROOT.joinpath(*module.split(".")).with_suffix(".py")
        parts = module.removeprefix(f"{HARNESS}.").split(".")
        if module in found or not path.is_file() or parts[0] in (*INTERFACE, "frozen", "reference_outputs"):
            continue
        found[module] = path
        waiting += _imported(path)
    return set(found.values())


def _imported(path: Path) -> Iterator[str]:
    """Yield the modules of the harness that *path* imports, anywhere; some may be names within one."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith(HARNESS):
            yield from (node.module, *(f"{node.module}.{alias.name}" for alias in node.names))


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:12]


if __name__ == "__main__":
    sys.exit(main())
