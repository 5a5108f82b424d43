"""The planner on the engine that a cell names, loaded when the first cell asks for it."""

from __future__ import annotations

import gc
from dataclasses import replace
from typing import Any

from benchmarks.harness.adapters import probe
from benchmarks.harness.device import tensor_bytes
from benchmarks.harness.host import pinned_threads
from benchmarks.harness.settings import Settings
from benchmarks.harness.workload import TakeSample, Unsupported
from benchmarks.harness.workloads.models import checkpoints, load_lm


class PlannerCache:
    """Holds one planner at a time; another engine takes its place.

    What keeps an engine from loading is told to every cell that asks for it, and tried once. `loaded_bytes` is the
    size of the tensors that loading has made.
    """

    def __init__(self, settings: Settings) -> None:
        """Import what loading needs."""
        self._engine_of = probe.planner_engine
        self.settings = settings
        self.loaded_bytes = 0
        self._name = ""
        self._handler: Any = None
        self._failed: dict[str, Exception] = {}

    def handler(self, name: str) -> Any:
        """Return the LLMHandler on the engine *name*; Unsupported where there is no such engine."""
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
            _pin_threads(pinned_threads(self.settings))
            gc.collect()
            self.loaded_bytes = tensor_bytes()
            gc.freeze()  # collecting between samples need not visit the engine
        return self._handler

    def engine(self, name: str) -> Any:
        """Return the engine itself, as `handler` does."""
        engine = self._engine_of(self.handler(name))
        if engine is None:
            raise Unsupported("the planner of this commit has no engine to be measured alone")
        return engine

    def release(self) -> None:
        """Free the planner, if there is one."""
        if self._handler is not None:
            self._handler.unload()
        self._handler, self._name = None, ""
        gc.unfreeze()
        gc.collect()
        gc.freeze()


def computed_by(engine: str, take: TakeSample) -> TakeSample:
    """Let samples of *take* say that torch, in this process, does not compute them, if the *engine* is not its own."""
    return take if engine == "pt" else lambda: replace(take(), in_torch=False)


def dtype_of(settings: Settings) -> str:
    """Return the number format that planners compute in."""
    return str(probe.default_dtype(settings.device))


def _pin_threads(count: int) -> None:
    """Undo what loading an engine has done to torch's threads."""
    import torch

    torch.set_num_threads(count)
