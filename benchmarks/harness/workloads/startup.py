"""The workload of the matrix `startup`: importing the package, and loading the models."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.harness import contention
from benchmarks.harness.adapters import package, probe
from benchmarks.harness.device import observe, tensor_bytes
from benchmarks.harness.record import Cell, Scalar
from benchmarks.harness.settings import LM_FOLDER, Settings
from benchmarks.harness.workload import CellFailed, Sample, TakeSample, Unavailable, Unsupported
from benchmarks.harness.workloads.models import checkpoints, load_dit, load_lm, workload_digest
from benchmarks.harness.workloads.options import load_with

Load = Callable[[], object]
Prepare = Callable[[Settings, Path], Load]
"""Does what must precede the timed loading, and returns the function that loads."""


def _prepare_grammar(settings: Settings, root: Path) -> Load:  # noqa: ARG001 - all components are called alike
    vocabulary = _vocabulary(root)
    open_grammar, start_constraint, forced_tokens = probe.open_grammar, probe.start_constraint, probe.forced_tokens
    schema = probe.cot_schema(caption=True, language=True)
    return lambda: forced_tokens(start_constraint(open_grammar(vocabulary), schema))


def _vocabulary(root: Path) -> Any:
    if not (root / LM_FOLDER).is_dir():
        raise Unavailable(f"{root} has no {LM_FOLDER}")
    return probe.read_vocabulary(root / LM_FOLDER)


def _dit_with(**option: Scalar) -> Prepare:
    cell: Cell = {"offload": "none", "quantization": "none", "compile": False, **option}

    def prepare(settings: Settings, root: Path) -> Load:
        _ = probe.options_in_effect  # raises Unsupported where load options have no effect
        return partial(load_with, settings, root, cell)

    return prepare


LOADS: dict[str, Prepare] = {
    "dit": lambda settings, root: partial(load_dit, settings, root),
    "lm": lambda settings, root: partial(load_lm, settings, root),
    "lm_vllm": lambda settings, root: partial(load_lm, settings, root, "vllm"),
    "lm_mlx": lambda settings, root: partial(load_lm, settings, root, "mlx"),
    "lm_tokenizer": lambda settings, root: partial(_vocabulary, root),  # noqa: ARG005
    "lm_grammar": _prepare_grammar,
    "dit_offloaded": _dit_with(offload="all"),
    "dit_int8": _dit_with(quantization="int8_weight_only"),
    "dit_fp8": _dit_with(quantization="fp8_weight_only"),
    "dit_w8a8": _dit_with(quantization="w8a8_dynamic"),
    "dit_compiled": _dit_with(compile=True),
}
"""What prepares the loading of each component."""

_IMPORT = """
import sys, time
contention = {}
exec(open(sys.argv[1]).read(), contention)
waits, start = contention["read_waits"](), time.perf_counter()
for name in sys.argv[2:]:
    __import__(name)
time_s = time.perf_counter() - start
print(time_s, contention["waited_s"](waits, contention["read_waits"]()), len(sys.modules))
"""


class Startup:
    """Imports in a new interpreter for each sample, and loads models in a new process for each sample."""

    limit_s = 900.0
    memory = False

    def load(self, settings: Settings) -> Settings:
        """Import what loading models imports, so that forks of this process only load."""
        probe.preload()
        return settings

    def facts(self, state: Settings) -> Mapping[str, Scalar]:
        """Return the digest of the checkpoints; nothing for full ones, which the first cell that loads them writes."""
        return {} if state.scale == "full" else {"workload": workload_digest(state)}

    def weight(self, cell: Cell) -> float:
        """Return a high weight for importing everything."""
        return 15.0 if cell.get("target") == "inference" else 1.0

    def prepare(self, state: Settings, cell: Cell) -> TakeSample:
        """Return a function that imports or loads once."""
        if cell["stage"] == "Import":
            return partial(_import, package.modules(str(cell["target"])))
        prepare = LOADS[str(cell["component"])]
        root = Path(in_fork(lambda: str(checkpoints(state))))
        return partial(_load_in_fork, partial(_load, prepare, state, root))


def _import(modules: tuple[str, ...]) -> Sample:
    """Import *modules* in a new interpreter, which measures the time and its run-queue wait itself."""
    command = [sys.executable, "-P", "-c", _IMPORT, contention.__file__, *modules]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise CellFailed(done.stderr.strip().splitlines()[-1])
    time_s, wait_s, count = done.stdout.split()[-3:]
    return Sample(
        {"time": float(time_s)},
        {"modules": int(count)},
        timed_s=float(time_s),
        in_torch=False,
        wait_s=None if wait_s == "None" else float(wait_s),
    )


def _load(prepare: Prepare, settings: Settings, root: Path) -> tuple[dict[str, float], float | None]:
    """Load; return the series (seconds, and bytes of the tensors that stay), and the run-queue wait."""
    load = prepare(settings, root)
    before = tensor_bytes()
    region = observe(settings.device, load)
    added = float(tensor_bytes() - before)
    if hasattr(region.result, "unload"):
        region.result.unload()  # also ends processes that an engine has started
    return {"time": region.time_s, **({"memory": added} if added else {})}, region.wait_s


def _load_in_fork(load: Callable[[], tuple[dict[str, float], float | None]]) -> Sample:
    series, wait_s = in_fork(load)
    return Sample(series, {}, timed_s=series["time"], in_torch=False, wait_s=wait_s)


def in_fork(call: Callable[[], Any]) -> Any:
    """Run *call* in a fork of this process and return its result, which must be JSON data.

    Raises Unsupported or Unavailable if *call* does, and CellFailed if it raises anything else or the fork dies.
    Threads and a CUDA context do not survive a fork, so this process must do no more than import.
    """
    read_end, write_end = os.pipe()
    child = os.fork()
    if child == 0:
        _answer(write_end, call)
    os.close(write_end)
    with os.fdopen(read_end) as answer:
        message = answer.read()
    os.waitpid(child, 0)
    result, kind, reason = json.loads(message) if message else (None, CellFailed.__name__, "the loading process died")
    if kind is not None:
        raise _KINDS[kind](reason)
    return result


_KINDS: dict[str, type[Exception]] = {kind.__name__: kind for kind in (Unsupported, Unavailable, CellFailed)}
"""Exceptions that `in_fork` raises, by the name that the fork sends."""


def _answer(write_end: int, call: Callable[[], Any]) -> None:
    """Write the result of *call*, or why it failed, and end this process without the parent's clean-up handlers."""
    try:
        outcome = [call(), None, None]
    except Unsupported as error:
        outcome = [None, type(error).__name__, str(error)]
    except Exception as error:  # noqa: BLE001 - the parent process raises it again
        outcome = [None, CellFailed.__name__, f"{type(error).__name__}: {error}"]
    with os.fdopen(write_end, "w") as answer:
        answer.write(json.dumps(outcome))
    os._exit(0)
