"""Makes asv's own pages work without a server: from disk, browsers load scripts, but not the JSON that asv reads."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

_LOADER = "offline.js"
_DATA = "offline_data.js"


def add_loader(html_dir: Path) -> None:
    """Make asv's ``index.html`` load `_LOADER`, which provides the JSON files when the page is opened from disk.

    It is loaded after jQuery, whose ``ajax`` it replaces, and before asv's own scripts.
    """
    index = html_dir / "index.html"
    html = index.read_text(encoding="utf-8")
    head, mark, tail = html.partition("</head>")
    first_own = head.index('src="asv.js"')
    at = head.rindex("<script", 0, first_own)
    index.write_text(f'{head[:at]}<script src="{_LOADER}"></script>\n    {head[at:]}{mark}{tail}', encoding="utf-8")
    shutil.copyfile(Path(__file__).parent / _LOADER, html_dir / _LOADER)


def write_data(html_dir: Path) -> None:
    """Write all JSON files of a finished site into one script for `_LOADER`, if the site has the loader."""
    if not (html_dir / _LOADER).is_file():
        return
    files = {
        path.relative_to(html_dir).as_posix(): json.loads(path.read_text(encoding="utf-8"))
        for path in sorted(html_dir.rglob("*.json"))
    }
    text = json.dumps(files, separators=(",", ":"))
    (html_dir / _DATA).write_text(f"window.offlineFiles = {text};\n", encoding="utf-8")
