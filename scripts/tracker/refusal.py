"""The error of a command that cannot do what it was asked for."""

from __future__ import annotations


class RefusalError(Exception):
    """The command cannot go on; the message says why and what to do."""
