"""What the project adds to asv: an overview, pages that work offline, early errors, and where the time went.

asv loads this module through ``"plugins": [".scripts.tracker.asv_plugin"]`` in asv.conf.json.
"""

from __future__ import annotations

import atexit
import functools
import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from asv.commands.asv_profiling import Profile
from asv.commands.compare import Compare
from asv.commands.continuous import Continuous
from asv.commands.find import Find
from asv.commands.publish import Publish
from asv.commands.rm import Rm
from asv.commands.run import Run
from asv.commands.setup import Setup
from asv.commands.show import Show
from asv.commands.update import Update
from asv.console import log
from asv.plugins.github import GithubPages
from asv.publishing import OutputPublisher
from asv.util import UserError

from scripts.tracker import asv_errors
from scripts.tracker.asv_patches import patched_asv
from scripts.tracker.git import drop_local_variables
from scripts.tracker.history.acknowledged import FILE, AcknowledgementError, read_acknowledgements
from scripts.tracker.history.migration import migrate
from scripts.tracker.refusal import RefusalError
from scripts.tracker.running import time_spent
from scripts.tracker.running.build_clock import BuildClock
from scripts.tracker.running.lock import WAIT, exclusive, locked_folder
from scripts.tracker.running.process_guard import guard_children
from scripts.tracker.running.run_hooks import RunHooks
from scripts.tracker.running.saving import pass_on_saving
from scripts.tracker.site import assets, offline


class SelfContainedPages(OutputPublisher):  # type: ignore[misc]  # asv ships no types
    """Makes asv's own pages work without a network, where npm is at hand."""

    name = "self-contained"
    button_label = "Self-contained pages"
    description = "Puts the libraries of these pages beside them"
    order = 100
    unavailable: str | None = None
    """Why the pages of this publishing still need a network; None if they do not."""

    @classmethod
    def publish(cls, conf: Any, *_measured: Any) -> None:
        """Called by asv after its own publishers."""
        html_dir = Path(conf.html_dir)
        try:
            assets.make_self_contained(html_dir)
        except assets.AssetsUnavailable as error:
            cls.unavailable = f"asv's own pages need a network and a web server (asv preview), because {error}."
            log.warning(cls.unavailable)
        else:
            cls.unavailable = None
            offline.add_loader(html_dir)


class Overview(OutputPublisher):  # type: ignore[misc]  # asv ships no types
    """Writes ``overview.html``, which stands alone, links it from asv's pages, and gives them the same regressions."""

    name = "overview"
    button_label = "Overview"
    description = "Stages of a generation over the commits, last changes, regressions"
    order = 101

    @classmethod
    def publish(cls, conf: Any, repo: Any, benchmarks: Any, graphs: Any, revisions: Any) -> None:
        """Called by asv last of all."""
        from scripts.tracker.site.overview import (
            write_overview,
        )  # it takes seconds to import, which only publishing needs

        write_overview(conf, repo, benchmarks, graphs, revisions, SelfContainedPages.unavailable)


def setup() -> None:
    """Called by asv once, when it has loaded this module, in the folder of asv.conf.json."""
    drop_local_variables()
    hooks = RunHooks()
    hooks.install(time_spent.journal_folder(Path.cwd()))
    builds = BuildClock()
    builds.attach()
    for command in (Run, Find):
        pass_on_saving(command)
        _wrap(command, partial(_measuring, hooks, builds))
    for command in (Setup, Rm, Update):
        _wrap(command, _alone)
    for command in (Compare, Continuous, Show, GithubPages):
        _wrap(command, _reading)
    _wrap(Profile, _refusing)
    _wrap(Publish, _publishing)


@contextmanager
def _measuring(hooks: RunHooks, builds: BuildClock, conf: Any, options: dict[str, Any]) -> Iterator[None]:
    """Check what asv would find out late, and leave nothing running, whichever way asv ends."""
    hooks.begin(options)
    asv_errors.use_existing_branches(conf)
    asv_errors.require_settings(conf)
    asv_errors.require_writable(conf.results_dir, "results_dir")
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # asv then ends what it has started
    guard_children()
    atexit.register(_report_time_spent, time.time(), os.getpid(), builds)  # below asv's own last line
    with _alone(conf, options):
        migrate(conf.results_dir)
        yield


@contextmanager
def _alone(conf: Any, _options: dict[str, Any]) -> Iterator[None]:
    """Hold the lock over environments, results and journal."""
    try:
        with exclusive(locked_folder(conf), wait=os.environ.get(WAIT) == "1", remedy=f"the variable {WAIT}=1"):
            yield
    except RefusalError as refusal:
        raise UserError(str(refusal)) from refusal


@contextmanager
def _reading(conf: Any, _options: dict[str, Any]) -> Iterator[None]:
    """Read the results of the branches that there are."""
    asv_errors.use_existing_branches(conf)
    yield


@contextmanager
def _refusing(_conf: Any, _options: dict[str, Any]) -> Iterator[None]:
    raise UserError(
        "asv's profiler would see the reading of records. Where the time of a generation goes is told by "
        "scripts/profile_inference.py."
    )
    yield


@contextmanager
def _publishing(conf: Any, _options: dict[str, Any]) -> Iterator[None]:
    """Check what asv would find out late, and complete its pages."""
    asv_errors.require_writable(conf.html_dir, "html_dir")
    asv_errors.require_patterns(conf)
    asv_errors.use_existing_branches(conf)
    asv_errors.require_history(conf)
    migrate(conf.results_dir)
    try:
        read_acknowledgements(Path(conf.benchmark_dir, FILE))
    except AcknowledgementError as error:
        raise UserError(str(error)) from error
    yield
    offline.write_data(Path(conf.html_dir))
    log.info(f"Overview: {Path(conf.html_dir, 'overview.html').resolve()}")


def _wrap(command: Any, around: Callable[[Any, dict[str, Any]], AbstractContextManager[None]]) -> None:
    """Run an asv command within *around*: asv has no hook of its own for that."""
    original = command.run

    @functools.wraps(original)
    def run(conf: Any, *args: Any, **kwargs: Any) -> Any:
        with patched_asv(), around(conf, kwargs):
            return original(conf, *args, **kwargs)

    command.run = staticmethod(run)


def _report_time_spent(started_unix: float, process: int, builds: BuildClock) -> None:
    if os.getpid() != process:
        return
    lines = time_spent.read_ledger(time_spent.journal_folder(Path.cwd()), started_unix)
    line = time_spent.summary(lines, time.time() - started_unix, builds.seconds)
    if line:
        print(line, flush=True)
