"""What an adapter offers to the workloads."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Protocol


class Package(Protocol):
    """A music-generation package, installed at the commit under measurement.

    Every method raises Unsupported if that commit lacks what is asked for; workloads then skip the cell.
    """

    def public(self, name: str) -> Any:
        """Return the function or class *name* that users of the package call, such as `generate_music`."""

    def stage(self, name: str) -> Any:
        """Return the function *name* of `acestep.probe`, or one with the same arguments and results."""

    def modules(self, target: str) -> tuple[str, ...]:
        """Return the modules that a user imports: ``acestep`` is the top package alone, ``inference`` all of it."""

    def load_synthesizer(self, root: Path, folder: str, device: str, **options: Any) -> Any:
        """Return a handler with the models in *root*, the diffusion model from its *folder* there.

        *options* are keywords of `AceStepHandler.initialize_service`. Raises RuntimeError with the package's report if
        it cannot load.
        """

    def load_planner(self, root: Path, folder: str, engine: str, device: str) -> Any:
        """Return a handler with the planner in *folder* of *root*, on the backend *engine*.

        Raises Unavailable if the environment lacks the engine, RuntimeError with the package's report if it cannot
        load.
        """
