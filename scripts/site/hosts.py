"""Which torch, driver and processor really measured: facts of the benchmarks' records, kept beside asv's results.

asv stores what was asked for (requirements, variables) and what ``asv machine`` once wrote. What was loaded stands in
the journal, which stays on the machine that measured. So each result file gets a companion, with a line for every
matrix, in a format that asv passes over; it travels with the results.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from asv.results import get_filename, iter_results

from benchmarks.harness.files import read_lines, write_lines
from benchmarks.harness.stored import machines_here

FACTS = ("os", "cpu", "cores", "python", "torch", "threads", "device_name", "cuda", "driver")
"""What a commit of this repository cannot change about where it is measured."""

Facts = Mapping[str, Any]


def record_hosts(results_dir: str, journal: Path) -> None:
    """Write the companions of the results that this machine measured, from the *journal* folder.

    Raises:
        NotWritable: the folder of results cannot be written.
    """
    here = machines_here()
    for result in iter_results(results_dir):
        if here is not None and result.params["machine"] not in here:
            continue
        path = _companion(results_dir, result)
        kept = {line["matrix"]: line for line in read_lines(path)}
        found = kept | {line["matrix"]: line for line in _measured(journal, result)}
        if found != kept:
            write_lines(path, [found[matrix] for matrix in sorted(found)], "w")


def _measured(journal: Path, result: Any) -> list[dict[str, Any]]:
    """Matrix and host of each journal file of a result, as its last record has them."""
    stem = Path(get_filename("", result.commit_hash, result.env_name)).stem
    hosts = []
    for path in sorted(journal.glob(f"{stem}-*.jsonl")):
        records = [line for line in read_lines(path) if line.get("host")]
        if records:
            hosts.append({"matrix": path.stem.removeprefix(f"{stem}-"), "host": records[-1]["host"]})
    return hosts


def read_facts(results_dir: str, result: Any) -> dict[str, Facts]:
    """The `FACTS` of one result by matrix, the module of its benchmarks; empty without a companion."""
    lines = read_lines(_companion(results_dir, result))
    return {line["matrix"]: {name: line["host"][name] for name in FACTS if name in line["host"]} for line in lines}


def _companion(results_dir: str, result: Any) -> Path:
    name = get_filename(result.params["machine"], result.commit_hash, result.env_name)
    return Path(results_dir, name).with_suffix(".hosts.jsonl")


def breaks(facts: Sequence[tuple[int, Facts]]) -> dict[int, str]:
    """The revisions whose facts differ from those before, and what changed: ``torch 2.12.0 → 2.13.0``.

    *facts* are by revision, ascending. A fact that a revision lacks is taken to be as it was before.
    """
    known: dict[str, Any] = {}
    found = {}
    for revision, here in facts:
        changed = [f"{name} {known[name]} → {value}" for name, value in here.items() if known.get(name, value) != value]
        if changed:
            found[revision] = ", ".join(changed)
        known |= here
    return found
