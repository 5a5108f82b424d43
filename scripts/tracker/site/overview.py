"""Writes the overview page and the list of regressions from everything that asv publishes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from asv.console import log

from scripts.tracker.history.model import read_environments
from scripts.tracker.history.regressions import Regressions
from scripts.tracker.site import feed, navigation, page
from scripts.tracker.site.page_data import PageData


def write_overview(
    conf: Any, repo: Any, benchmarks: Any, graphs: Any, revisions: Any, asv_pages_note: str | None
) -> None:
    """Write ``overview.html`` and the list of regressions into the ``html_dir`` of *conf*, and link the overview.

    The arguments are those that asv passes to its publishers; *asv_pages_note* says why asv's own pages need a
    network, None if they do not.
    """
    html_dir = Path(conf.html_dir)
    environments = read_environments(conf, repo, benchmarks, revisions)
    regressions = Regressions(conf, repo, revisions)
    worse = [group for environment in environments for group in regressions.regressions(environment)]
    feed.write_regressions(conf, benchmarks, revisions, graphs.get_params(), worse)
    for warning in regressions.warnings():
        log.warning(warning)
    page_data = PageData(conf, repo, benchmarks, revisions, environments, regressions)
    (html_dir / "overview.html").write_text(page.render(page_data.build(asv_pages_note)), encoding="utf-8")
    navigation.link_overview(html_dir / "index.html")
