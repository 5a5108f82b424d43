"""A side of a comparison: a commit, its installation, and the settings of its workers."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.harness.process import Installed
from benchmarks.harness.settings import Settings
from scripts.tracker.comparison.build import BuildEnvironment
from scripts.tracker.comparison.revisions import Revision
from scripts.tracker.progress import say


@dataclass(frozen=True)
class Side:
    """The baseline or the candidate of a comparison."""

    revision: Revision
    installed: Installed
    settings: Settings


@dataclass(frozen=True)
class SideBuilder:
    """Builds sides for one scale and one device; each commit is built once.

    Attributes:
        build_environment: where commits are built.
        folder: root of the repository.
        scale: scale of the checkpoints, or their folder.
        device: device of the workers.
        cells: the chosen cells, as in ``ACESTEP_BENCH_CELLS``.
    """

    build_environment: BuildEnvironment
    folder: Path
    scale: str
    device: str
    cells: str = "quick"
    _built: dict[str, Side] = field(default_factory=dict, init=False)

    def side(self, revision: Revision) -> Side:
        """Return the side of *revision*; raises RefusalError if it cannot be built."""
        if revision.hash not in self._built:
            self._built[revision.hash] = self._build(revision)
        return self._built[revision.hash]

    def _build(self, revision: Revision) -> Side:
        say(f"Building {revision.label}, unless it is built already ...")
        settings = Settings(
            scale=self.scale,
            device=self.device,
            cells=self.cells,
            commit=revision.hash,
            environment=self.build_environment.environment.name,
            conf_dir=str(self.folder),
            journal=str(self.folder / ".asv" / "journal"),
        )
        return Side(revision, self.build_environment.build(revision), settings)
