"""Planners by engine, each loaded when the first cell needs it."""

from __future__ import annotations

import gc
from dataclasses import replace
from typing import Any

from benchmarks.harness.adapters import probe
from benchmarks.harness.device import tensor_bytes
from benchmarks.harness.host import pin_threads
from benchmarks.harness.settings import Settings
from benchmarks.harness.workload import TakeSample, Unsupported
from benchmarks.harness.workloads.models import checkpoints, load_lm


class PlannerCache:
    """Holds one planner at a time; loading another engine drops it.

    An engine that fails to load is tried once, and every cell that needs it gets the same exception.

    Attributes:
        settings: of the run.
        loaded_bytes: size of all tensors after the planner was loaded.
    """

    def __init__(self, settings: Settings) -> None:
        """Raise Unsupported if the commit has no engines."""
        self._engine_of = probe.planner_engine
        self.settings = settings
        self.loaded_bytes = 0
        self._name = ""
        self._handler: Any = None
        self._failed: dict[str, Exception] = {}

    def handler(self, name: str) -> Any:
        """Return the handler of the planner on the engine *name*; raises as `load_lm`."""
        if name in self._failed:
            raise self._failed[name]
        if name != self._name:
            self.release()
            try:
                self._handler = load_lm(self.settings, checkpoints(self.settings), name)
            except Exception as error:
                self._failed[name] = error
                raise
            self._name = name
            pin_threads(self.settings)  # loading an engine may have changed them
            gc.collect()
            self.loaded_bytes = tensor_bytes()
            gc.freeze()  # the garbage collector need not visit the engine between samples
        return self._handler

    def engine(self, name: str) -> Any:
        """Return the engine itself; raises as `handler`, and Unsupported if the commit does not offer it."""
        engine = self._engine_of(self.handler(name))
        if engine is None:
            raise Unsupported("the planner of this commit has no engine to be measured alone")
        return engine

    def release(self) -> None:
        """Unload the planner, if one is loaded."""
        if self._handler is not None:
            self._handler.unload()
        self._handler, self._name = None, ""
        gc.unfreeze()
        gc.collect()
        gc.freeze()


def computed_by(engine: str, take: TakeSample) -> TakeSample:
    """Return *take*; unless *engine* is ``pt``, its samples say that torch does not compute them in this process."""
    return take if engine == "pt" else lambda: replace(take(), in_torch=False)


def dtype_of(settings: Settings) -> str:
    """Return the dtype in which planners compute."""
    return str(probe.default_dtype(settings.device))
