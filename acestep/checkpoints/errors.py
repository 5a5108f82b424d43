"""The error of every unusable checkpoint, and how its messages list names."""

from __future__ import annotations


class CheckpointError(Exception):
    """A checkpoint folder cannot be used; the message says which one, why, and what to do."""


def first_names(names: list[str], limit: int = 3) -> str:
    """The first *limit* of *names*, and how many more there are."""
    shown = ", ".join(names[:limit])
    return shown if len(names) <= limit else f"{shown} and {len(names) - limit} more"
