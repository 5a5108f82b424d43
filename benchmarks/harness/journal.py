"""The journal stores each record as soon as it is measured, so that an interrupted run can be resumed."""

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
"""Length from which a digest replaces the name of an environment in a file's name; asv has the same limit."""
LIFETIME_S = 24 * 3600.0
"""Age, in seconds, from which a record no longer belongs to a run that is resumed."""


class Journal:
    """The records of one commit, environment and matrix: one a line, after a header with what they depend on.

    A record of an earlier run is reused if all of this holds:

    * the definition of the benchmarks and the machine since its last boot are the same;
    * it is not older than LIFETIME_S;
    * it is newer than what asv has *saved* of its cell: a saved cell that is selected again is measured again;
    * it is complete: it has samples, and its exact metrics were counted;
    * it is of a commit: a working tree has no name that identifies it.

    A run whose results asv does not save neither reads nor writes the journal, because the next saved run would publish
    its records.
    """

    def __init__(self, settings: Settings, matrix: str, definition: str, saved: Saved) -> None:
        self._path = Path(settings.journal) / _file_name(settings, matrix)
        self._header = {"definition": definition, "commit": settings.commit, "machine": machine_facts(settings)}
        self._saved = settings.saved
        self.records: dict[str, Record] = {}
        if not self._saved:
            return
        earlier = self._read() if settings.commit else []
        now = time.time()
        reusable = [
            record
            for record in earlier
            if record.complete and max(saved.unix(key(record.cell)), now - LIFETIME_S) < record.ended_unix <= now
        ]
        self.records = {key(record.cell): record for record in reusable}
        lines = [record.to_dict() for record in self.records.values()]
        write_lines(self._path, [self._header, *lines], "w")

    def append(self, record: Record) -> None:
        """Write *record* to the disk, if asv saves the results; raises NotWritable if that fails."""
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
