"""The stored history: its series, changes, regressions, and what has no result."""
