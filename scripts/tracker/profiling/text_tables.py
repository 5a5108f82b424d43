"""Text in columns, as wide as a terminal shows it, and the rules between."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Sequence

WIDE = 100


def banner(title: str, width: int = WIDE) -> str:
    """*title* between two rules."""
    return f"{'=' * width}\n{title}\n{'=' * width}"


def display_width(text: str) -> int:
    """Cells of a terminal that *text* takes up."""
    return sum(_cells(character) for character in text)


def at_columns(cells: Iterable[tuple[int, str]]) -> str:
    """A line in which each text begins at its column, or a space behind what it would cover."""
    line = ""
    for column, text in cells:
        gap = column - display_width(line)
        line += " " * max(gap, 1 if line else gap) + text
    return line.rstrip()


def markdown(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table for a pull request."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)


def csv_text(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """The same for other programs."""
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
