"""asv's plugin of this project: an overview page, pages that work offline, clear errors, and a summary of the time.

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
    """Makes asv's own pages work without a network, if npm is installed."""

    name = "self-contained"
    button_label = "Self-contained pages"
    description = "Puts the libraries of these pages beside them"
    order = 100
    unavailable: str | None = None
    """The reason why the pages published last still need a network; None if they do not."""

    @classmethod
    def publish(cls, conf: Any, *_measured: Any) -> None:
        """Rewrite asv's pages; asv calls this after its own publishers."""
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
    """Writes the overview, a single HTML file, links it from asv's pages, and replaces asv's list of regressions."""

    name = "overview"
    button_label = "Overview"
    description = "Stages of a generation over the commits, last changes, regressions"
    order = 101

    @classmethod
    def publish(cls, conf: Any, repo: Any, benchmarks: Any, graphs: Any, revisions: Any) -> None:
        """Write the overview; asv calls this last."""
        from scripts.tracker.site.overview import write_overview  # importing it takes seconds

        write_overview(conf, repo, benchmarks, graphs, revisions, SelfContainedPages.unavailable)


def setup() -> None:
    """Wrap asv's commands; asv calls this once, in the folder of asv.conf.json, when it has loaded this module."""
    drop_local_variables()
    hooks = RunHooks()
    hooks.install(time_spent.journal_folder(Path.cwd()))
    builds = BuildClock()
    builds.attach()
    for command in (Run, Find):
        pass_on_saving(command)
        _wrap(command, partial(_run_or_find, hooks, builds))
    for command in (Setup, Rm, Update):
        _wrap(command, _locked)
    for command in (Compare, Continuous, Show, GithubPages):
        _wrap(command, _read_results)
    _wrap(Profile, _refuse_profile)
    _wrap(Publish, _publish)


@contextmanager
def _run_or_find(hooks: RunHooks, builds: BuildClock, conf: Any, options: dict[str, Any]) -> Iterator[None]:
    """Run or find: check settings before asv starts, lock the folder, and leave no process behind."""
    hooks.begin(options)
    asv_errors.use_existing_branches(conf)
    asv_errors.require_settings(conf)
    asv_errors.require_writable(conf.results_dir, "results_dir")
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # SIGTERM then ends asv as Ctrl-C does
    guard_children()
    atexit.register(_report_time_spent, time.time(), os.getpid(), builds)  # prints below asv's own last line
    with _locked(conf, options):
        migrate(conf.results_dir)
        yield


@contextmanager
def _locked(conf: Any, _options: dict[str, Any]) -> Iterator[None]:
    """Setup, rm, update: hold the lock on environments, results and journal."""
    try:
        with exclusive(locked_folder(conf), wait=os.environ.get(WAIT) == "1", remedy=f"the variable {WAIT}=1"):
            yield
    except RefusalError as refusal:
        raise UserError(str(refusal)) from refusal


@contextmanager
def _read_results(conf: Any, _options: dict[str, Any]) -> Iterator[None]:
    """Compare, show and others that only read: use the branches that exist."""
    asv_errors.use_existing_branches(conf)
    yield


@contextmanager
def _refuse_profile(_conf: Any, _options: dict[str, Any]) -> Iterator[None]:
    raise UserError(
        "asv's profiler would see the reading of records. Where the time of a generation goes is told by "
        "scripts/profile_inference.py."
    )
    yield


@contextmanager
def _publish(conf: Any, _options: dict[str, Any]) -> Iterator[None]:
    """Publish: check settings and history before asv starts, and complete its pages afterwards."""
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
    """Run the asv class *command* inside the context that *around* makes from its configuration and options."""
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
