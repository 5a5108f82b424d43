"""Renders the overview page: one HTML file that loads nothing else."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from plotly.offline import get_plotlyjs

_HERE = Path(__file__).parent
_SCRIPTS = ("format.js", "charts.js", "tables.js", "page.js")
"""Scripts of the page, in the order in which they are joined."""


def render(page_data: dict[str, Any]) -> str:
    """Return the page with its style, scripts, plotly and *page_data* inside.

    Parts are inserted in one pass, so text of a part that looks like a placeholder stays as it is.
    """
    parts = {
        "style": (_HERE / "page.css").read_text(encoding="utf-8"),
        "plotly": get_plotlyjs(),
        "data": embedded(page_data),
        "script": "\n".join((_HERE / name).read_text(encoding="utf-8") for name in _SCRIPTS),
    }
    template = (_HERE / "page.html").read_text(encoding="utf-8")
    return re.sub(r"\{\{(\w+)\}\}", lambda match: parts[match[1]], template)


def embedded(page_data: dict[str, Any]) -> str:
    """Return *page_data* as JSON that cannot end the script element around it, whatever its strings contain."""
    text = json.dumps(page_data, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")
