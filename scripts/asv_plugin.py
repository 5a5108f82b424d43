"""What the project adds to asv: an overview, pages that work offline, early errors, and where the time went.

asv loads this module through ``"plugins": [".scripts.asv_plugin"]`` in asv.conf.json.
"""

from __future__ import annotations

import atexit
import functools
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from asv.commands.publish import Publish
from asv.commands.run import Run
from asv.console import log
from asv.publishing import OutputPublisher
from asv.util import UserError

from scripts.site import assets, checks, feed, from_disk, ledger, navigation, page
from scripts.site.acknowledged import FILE, AcknowledgementError, read_acknowledgements
from scripts.site.history import read_environments
from scripts.site.hosts import record_hosts
from scripts.site.payload import Payload
from scripts.site.regressions import Regressions


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
            from_disk.add_loader(html_dir)


class Overview(OutputPublisher):  # type: ignore[misc]  # asv ships no types
    """Writes ``overview.html``, which stands alone, links it from asv's pages, and gives them the same regressions."""

    name = "overview"
    button_label = "Overview"
    description = "Stages of a generation over the commits, last changes, regressions"
    order = 101

    @classmethod
    def publish(cls, conf: Any, repo: Any, benchmarks: Any, graphs: Any, revisions: Any) -> None:
        """Called by asv last of all."""
        html_dir = Path(conf.html_dir)
        environments = read_environments(conf, repo, benchmarks, revisions)
        regressions = Regressions(conf, repo, revisions)
        worse = [group for environment in environments for group in regressions.regressions(environment)]
        feed.write_regressions(conf, benchmarks, revisions, graphs.get_params(), worse)
        for warning in regressions.warnings():
            log.warning(warning)
        journal = ledger.journal_folder(Path.cwd())
        payload = Payload(conf, repo, benchmarks, revisions, environments, regressions, journal)
        text = page.render(payload.build(SelfContainedPages.unavailable))
        (html_dir / "overview.html").write_text(text, encoding="utf-8")
        navigation.link_overview(html_dir / "index.html")


def setup() -> None:
    """Called by asv once, when it has loaded this module, in the folder of asv.conf.json."""
    _wrap(Publish, before=_before_publish, after=_after_publish)
    _wrap(Run, before=_before_run, after=_record_hosts)
    atexit.register(_report_time_spent, time.time(), os.getpid(), ledger.journal_folder(Path.cwd()))


def _before_run(conf: Any) -> None:
    checks.require_settings(conf)
    checks.require_writable(conf.results_dir, "results_dir")


def _before_publish(conf: Any) -> None:
    checks.require_writable(conf.html_dir, "html_dir")
    checks.require_history(conf)
    try:
        read_acknowledgements(Path(conf.benchmark_dir, FILE))
    except AcknowledgementError as error:
        raise UserError(str(error)) from error
    _record_hosts(conf)


def _record_hosts(conf: Any) -> None:
    record_hosts(conf.results_dir, ledger.journal_folder(Path.cwd()))


def _after_publish(conf: Any) -> None:
    from_disk.write_data(Path(conf.html_dir))
    log.info(f"Overview: {Path(conf.html_dir, 'overview.html').resolve()}")


def _wrap(command: Any, before: Callable[[Any], None], after: Callable[[Any], None] = lambda _conf: None) -> None:
    """Call *before* and *after* around the ``run`` of an asv command, which has no hook of its own for that."""
    original = command.run

    @functools.wraps(original)
    def run(conf: Any, *args: Any, **kwargs: Any) -> Any:
        before(conf)
        with checks.write_errors_named():
            status = original(conf, *args, **kwargs)
            after(conf)
        return status

    command.run = staticmethod(run)


def _report_time_spent(started_unix: float, process: int, folder: Path) -> None:
    if os.getpid() != process:
        return
    now = time.time()
    line = ledger.summary(ledger.read_ledger(folder, started_unix), now - started_unix)
    if line:
        print(line, flush=True)
