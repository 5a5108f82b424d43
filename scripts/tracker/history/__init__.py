"""The history of asv's results: series, their changes, regressions, and missing results."""
