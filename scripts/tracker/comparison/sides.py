"""A side of a comparison: the commit, where it is installed, and the settings of its workers."""

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
    """One of the two that are compared."""

    commit: Revision
    installed: Installed
    settings: Settings


@dataclass(frozen=True)
class Builder:
    """Makes sides for one scale and device; a commit is built once."""

    build_environment: BuildEnvironment
    folder: Path
    scale: str
    device: str
    cells: str = "quick"
    _built: dict[str, Side] = field(default_factory=dict, init=False)

    def side(self, commit: Revision) -> Side:
        """Return *commit* as a side. Raises RefusalError if it cannot be built."""
        if commit.hash not in self._built:
            self._built[commit.hash] = self._build(commit)
        return self._built[commit.hash]

    def _build(self, commit: Revision) -> Side:
        say(f"Building {commit.label}, unless it was before ...")
        settings = Settings(
            scale=self.scale,
            device=self.device,
            cells=self.cells,
            commit=commit.hash,
            environment=self.build_environment.environment.name,
            conf_dir=str(self.folder),
            journal=str(self.folder / ".asv" / "journal"),
        )
        return Side(commit, self.build_environment.build(commit), settings)
