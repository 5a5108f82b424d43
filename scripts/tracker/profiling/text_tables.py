"""Banners and tables as text, with columns aligned by display width, as Markdown and as CSV."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Sequence

WIDE = 100
"""Width of a banner, in characters."""


def banner(title: str, width: int = WIDE) -> str:
    """Return *title* between two rules of *width* characters."""
    return f"{'=' * width}\n{title}\n{'=' * width}"


def display_width(text: str) -> int:
    """Return the number of terminal columns that *text* takes."""
    return sum(_cells(character) for character in text)


def at_columns(cells: Iterable[tuple[int, str]]) -> str:
    """Return a line in which each text begins at its column, or after one space if the text before it is too long."""
    line = ""
    for column, text in cells:
        gap = column - display_width(line)
        line += " " * max(gap, 1 if line else gap) + text
    return line.rstrip()


def markdown(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a Markdown table."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)


def csv_text(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return the table as CSV."""
    import csv
    import io

    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(rows)
    return out.getvalue().rstrip("\n")


def _cells(character: str) -> int:
    if unicodedata.combining(character) or character == "\ufe0f":
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1
