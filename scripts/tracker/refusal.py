"""The error of a command that cannot do what the user has asked for."""

from __future__ import annotations


class RefusalError(Exception):
    """The command cannot continue; the message says why, and what the user can do."""
