"""Keeps each record the moment it is measured, so that an interrupted run goes on where it stopped."""

from __future__ import annotations

import hashlib
import os
import time
from pathlib import Path

from benchmarks.harness.cells import key
from benchmarks.harness.files import read_lines, write_lines
from benchmarks.harness.host import machine_facts
from benchmarks.harness.record import Record
from benchmarks.harness.settings import Settings
from benchmarks.harness.stored import Saved

LONGEST_NAME = 128
"""asv, too, replaces the name of an environment in a file's name when it gets as long as this."""
LIFETIME_S = 24 * 3600.0
"""Age at which a record is no longer of the run that goes on."""


class Journal:
    """The records of one commit, environment and matrix, one a line, after a line with what they depend on.

    What an earlier run left counts only under the same definition, on the same machine since it was started last, and
    only if it is not older than LIFETIME_S and newer than what asv has *saved* of the same cell: a cell that asv has
    taken over is measured anew when somebody asks for it again. What has no samples, or could not be counted, is
    tried again. A working tree has no name, so nothing of it is taken up again. A run whose results asv does not save
    neither reads nor writes: the next one that is saved would publish it.
    """

    def __init__(self, settings: Settings, matrix: str, definition: str, saved: Saved) -> None:
        self._path = Path(settings.journal) / _file_name(settings, matrix)
        self._header = {"definition": definition, "commit": settings.commit, "machine": machine_facts(settings)}
        self._saved = settings.saved
        self.records: dict[str, Record] = {}
        if not self._saved:
            return
        left = self._read() if settings.commit else []
        now = time.time()
        useful = [
            record
            for record in left
            if record.complete and max(saved.unix(key(record.cell)), now - LIFETIME_S) < record.ended_unix <= now
        ]
        self.records = {key(record.cell): record for record in useful}
        kept = [record.to_dict() for record in self.records.values()]
        write_lines(self._path, [self._header, *kept], "w")

    def append(self, record: Record) -> None:
        """Have *record* on the disk before returning, if asv saves the results; raises NotWritable if that fails."""
        if self._saved:
            write_lines(self._path, [record.to_dict()], "a")

    def _read(self) -> list[Record]:
        lines = read_lines(self._path)
        if not lines or lines[0] != self._header:
            return []
        return [Record.from_dict(line) for line in lines[1:]]


def _file_name(settings: Settings, matrix: str) -> str:
    environment = settings.environment.replace(os.sep, "_")
    if len(environment) >= LONGEST_NAME:
        environment = "env-" + hashlib.md5(environment.encode()).hexdigest()
    return f"{settings.commit[:8] or 'worktree'}-{environment}-{matrix}.jsonl"
