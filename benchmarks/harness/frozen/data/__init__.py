"""What was taken once from the released layout: configurations, keys and shapes, and the tokenizers' parts."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any


def read(name: str) -> dict[str, Any]:
    """Return the contents of ``<name>.json`` in this folder."""
    text = Path(__file__).with_name(f"{name}.json").read_text(encoding="utf-8")
    contents: dict[str, Any] = json.loads(text)
    return contents
