"""What public functions do around their work: no exception leaves them, and every draw has a seed."""

from __future__ import annotations

import logging
import random
from collections.abc import Callable

from acestep.checkpoints.errors import CheckpointError

logger = logging.getLogger(__name__)

_REMEDY = "Try a smaller batch_size or lm_batch_chunk_size, a shorter duration, or a smaller planner."


def failure(work: Callable[[], None]) -> str | None:
    """Why *work* failed; None if it did not. A ValueError (PlannerError among them) speaks for itself."""
    try:
        work()
    except (ValueError, CheckpointError) as problem:
        logger.debug("the planner refused", exc_info=True)
        return str(problem)
    except Exception as problem:  # whatever happens, callers get a failure, never an exception
        from acestep.memory.device import is_out_of_memory

        if is_out_of_memory(problem):
            logger.debug("the planner ran out of memory", exc_info=True)
            return f"Out of memory in the planner: {problem} {_REMEDY}"
        logger.exception("the planner failed")
        return f"{type(problem).__name__}: {problem}"
    return None


def seed_or_random(seed: int | None) -> int:
    """*seed*, or one drawn."""
    return random.getrandbits(32) if seed is None else seed
