"""The parent's side of a worker process: it starts the worker, sends requests, waits for answers, and kills it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from inspect import getsourcefile
from pathlib import Path
from queue import Empty, SimpleQueue
from threading import Thread
from typing import Any, Literal

from benchmarks.harness import variables
from benchmarks.harness.expected import is_expected
from benchmarks.harness.host import pinned_threads
from benchmarks.harness.settings import Settings
from benchmarks.harness.workload import Workload

_PACKAGE = Path(__file__).resolve().parents[1]
_BOOT = """
import importlib.util, sys
spec = importlib.util.spec_from_file_location("benchmarks", sys.argv[1])
sys.modules["benchmarks"] = module = importlib.util.module_from_spec(spec)
spec.loader.exec_module(module)
from benchmarks.harness.worker import main
main()
"""
"""Program of the worker. It loads `benchmarks` by file: with its parent folder on the path, the working tree's package
would be imported instead of the commit's."""

_KEEP_MEMORY = {"MALLOC_MMAP_MAX_": "0", "MALLOC_TRIM_THRESHOLD_": str(1 << 36)}
"""Variables with which glibc keeps freed memory instead of returning it to the system.

Otherwise each run would page-fault its large buffers in again. With the tiny models that can take as long as computing,
depending on what ran before.
"""

_ENDED = object()


@dataclass(frozen=True)
class Installed:
    """A Python interpreter, and the folder of the commit's package if it is not installed in the interpreter."""

    python: str
    folder: Path | None = None

    @property
    def environment(self) -> dict[str, str]:
        """Variables with which the interpreter searches the folder first."""
        return {} if self.folder is None else {"PYTHONPATH": str(self.folder)}


HERE = Installed(sys.executable)
"""The interpreter of this process."""


class WorkerDied(Exception):
    """The worker ended before it answered; the message says how it ended."""


class WorkerTimeout(Exception):
    """The worker did not answer within the limit."""


class WorkerProcess:
    """A running worker. As a context manager it kills the worker at the end.

    *by* says whether it measures whole cells or single samples, see `worker`. *installed* says where it finds the
    package under measurement.
    """

    def __init__(
        self,
        matrix: str,
        workload: type[Workload],
        settings: Settings,
        by: Literal["cell", "sample"] = "cell",
        installed: Installed = HERE,
    ) -> None:
        self._scratch = tempfile.TemporaryDirectory(prefix="acestep-bench-")
        self._log = tempfile.TemporaryFile()  # noqa: SIM115 - `kill` closes it, with the process
        self._process = subprocess.Popen(
            [installed.python, "-P", "-c", _BOOT, str(_PACKAGE / "__init__.py")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            text=True,
            env=worker_environment(settings, self._scratch.name) | installed.environment,
            start_new_session=True,  # Ctrl-C ends the parent, which then ends the worker
        )
        self._answers: SimpleQueue[Any] = SimpleQueue()
        self._reader = Thread(target=self._read, daemon=True)
        self._reader.start()
        reference = {
            "module": workload.__module__,
            "file": getsourcefile(workload) or "",
            "name": workload.__qualname__,
        }
        order = {"matrix": matrix, "workload": reference, "settings": asdict(settings), "by": by}
        self.send({**order, "expected": is_expected(matrix, settings)})

    def __enter__(self) -> WorkerProcess:
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    def ask(self, request: Mapping[str, Any], limit_s: float) -> dict[str, Any]:
        """Send *request*, such as a cell, and return the answer; raises as `answer` does."""
        self.send(request)
        return self.answer(limit_s)

    def answer(self, limit_s: float) -> dict[str, Any]:
        """Wait for the next answer; raises WorkerTimeout after *limit_s*, WorkerDied if the worker has ended."""
        try:
            line = self._answers.get(timeout=limit_s)
        except Empty:
            raise WorkerTimeout(f"it took longer than {limit_s:.0f} s") from None
        if line is _ENDED:
            raise WorkerDied(self._how_it_ended())
        answer: dict[str, Any] = json.loads(line)
        return answer

    def stay_on(self, core: int) -> None:
        """Restrict the worker's main thread, and what it starts, to one core."""
        os.sched_setaffinity(self._process.pid, {core})

    def kill(self) -> None:
        """Kill the worker and all processes that it started, and remove its temporary folder."""
        with suppress(ProcessLookupError):  # it has ended by itself, and its children with it
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        self._reader.join()
        for stream in (self._process.stdin, self._process.stdout, self._log):
            if stream is not None:
                with suppress(BrokenPipeError):  # the worker ended before it read everything
                    stream.close()
        self._scratch.cleanup()

    def send(self, message: Mapping[str, Any]) -> None:
        """Send a message, whose answer `answer` waits for."""
        if self._process.stdin is None:
            raise RuntimeError("the worker was started without an input pipe")
        with suppress(BrokenPipeError):  # the worker has ended; `answer` says how
            self._process.stdin.write(json.dumps(dict(message)) + "\n")
            self._process.stdin.flush()

    def _read(self) -> None:
        if self._process.stdout is not None:
            for line in self._process.stdout:
                self._answers.put(line)
        self._answers.put(_ENDED)

    def _how_it_ended(self) -> str:
        code = self._process.wait()
        self._log.seek(0, os.SEEK_END)
        self._log.seek(max(0, self._log.tell() - 2000))
        lines = self._log.read().decode(errors="replace").strip().splitlines()
        return f"the worker {_describe_exit(code)}" + (f"; its last line was: {lines[-1]}" if lines else "")


def worker_environment(settings: Settings, scratch: str) -> dict[str, str]:
    """Return the environment variables of a worker.

    They fix threads, hashing and the temporary folder, and forbid downloads. The others are inherited, except those
    that would change the measured package (see `variables`).
    """
    threads = str(pinned_threads(settings))
    return {
        **variables.for_worker(os.environ, settings.environment),
        **(_KEEP_MEMORY if settings.scale == "tiny" else {}),
        "OMP_NUM_THREADS": threads,
        "MKL_NUM_THREADS": threads,
        "TMPDIR": scratch,
        "PYTHONHASHSEED": "0",
        "PYTHONUNBUFFERED": "1",  # otherwise the last lines of a killed worker are lost
        "TOKENIZERS_PARALLELISM": "false",
        "HF_HUB_OFFLINE": "1",
        "ACESTEP_DISABLE_TQDM": "1",
    }


def _describe_exit(code: int) -> str:
    if code >= 0:
        return f"ended with exit status {code}"
    name = signal.Signals(-code).name
    hint = ", as the system does when memory runs out" if -code == signal.SIGKILL else ""
    return f"was killed by {name}{hint}"
