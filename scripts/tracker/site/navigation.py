"""Links the overview from asv's own pages."""

from __future__ import annotations

from pathlib import Path

_FIRST_ENTRY = '<li id="nav-li-" class="active">'
"""Beginning of the first entry of asv's navigation."""
_LINK = '<li id="nav-li-overview"><a href="overview.html">Overview</a></li>\n\t'


def link_overview(index: Path) -> None:
    """Insert a link to ``overview.html`` before the first entry of the navigation in asv's page *index*."""
    html = index.read_text(encoding="utf-8")
    if _FIRST_ENTRY not in html:
        raise ValueError(f"{index} has no navigation entry {_FIRST_ENTRY}; use the version of asv that is pinned.")
    index.write_text(html.replace(_FIRST_ENTRY, _LINK + _FIRST_ENTRY, 1), encoding="utf-8")
