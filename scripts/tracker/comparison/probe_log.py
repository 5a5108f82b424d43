"""The file that keeps the results of a bisection's probes, so that an interrupted bisection can go on."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from benchmarks.harness.files import read_lines, write_lines

FORMAT = 2
"""Version of the file's format; files of other versions are discarded."""


class ProbeLog:
    """The results of earlier probes, in a file that grows with each probe.

    Attributes:
        resumed: number of results that were in the file.
    """

    def __init__(self, path: Path, question: Mapping[str, Any]) -> None:
        """Read the results at *path*; they are discarded if they belong to another *question*."""
        self._path = path
        header = {**question, "format": FORMAT}
        lines = read_lines(path)
        known = lines[1:] if lines and lines[0] == header else []
        self._results: dict[str, Any] = {line["probe"]: line["result"] for line in known}
        self.resumed = len(known)
        write_lines(path, [header, *known], "w")

    def result(self, probe: str, run: Callable[[], Any]) -> Any:
        """Return the result of *probe*; if the file does not have it, *run* the probe and store its result."""
        if probe not in self._results:
            self._results[probe] = run()
            write_lines(self._path, [{"probe": probe, "result": self._results[probe]}], "a")
        return self._results[probe]
