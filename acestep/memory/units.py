"""Units of memory."""

from __future__ import annotations

from typing import Final

MIB: Final = 2**20
GIB: Final = 2**30


def format_bytes(count: float) -> str:
    """*count* bytes as text, as in ``1.25 GiB`` or ``3.0 MiB``."""
    return f"{count / GIB:.2f} GiB" if count >= GIB else f"{count / MIB:.1f} MiB"
