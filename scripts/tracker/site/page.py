"""The overview page: one HTML file that needs nothing beside it."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from plotly.offline import get_plotlyjs

_HERE = Path(__file__).parent
_SCRIPTS = ("format.js", "charts.js", "tables.js", "page.js")


def render(payload: dict[str, Any]) -> str:
    """The page as text, with style, scripts, plotly and *payload* inside."""
    parts = {
        "style": (_HERE / "page.css").read_text(encoding="utf-8"),
        "plotly": get_plotlyjs(),
        "data": embedded(payload),
        "script": "\n".join((_HERE / name).read_text(encoding="utf-8") for name in _SCRIPTS),
    }
    template = (_HERE / "page.html").read_text(encoding="utf-8")
    return re.sub(r"\{\{(\w+)\}\}", lambda match: parts[match[1]], template)


def embedded(payload: dict[str, Any]) -> str:
    """*payload* as JSON that cannot end the script element it stands in, whatever its strings hold."""
    text = json.dumps(payload, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")
