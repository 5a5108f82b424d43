"""Types of series: what a number means, apart from its unit. asv stores them in benchmarks.json for the site."""

from __future__ import annotations

TIME = "time"
"""A measured time; `asv find` takes its timeouts for very long times."""
MEMORY = "memory"
"""A measured size."""
RATIO = "track"
"""A number made of a measured one, such as seconds per token; asv's own type of what is neither time nor memory."""
COST = "cost"
"""An exact metric of which more is worse: tokens, operator calls, FLOP, predicted bytes."""
FACT = "fact"
"""An exact metric of which neither more nor less is worse: what a tier allows."""
FINGERPRINT = "fingerprint"
"""A fingerprint of the output, exact up to rounding."""
DISTANCE = "distance"
"""A distance of the output to the one that is kept, exact up to rounding."""

EXACT_TYPES = frozenset({COST, FACT, FINGERPRINT, DISTANCE})
"""The types of numbers that are equal from run to run."""
