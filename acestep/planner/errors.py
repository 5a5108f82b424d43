"""Error handling of the planner's public functions: they return a failure and never raise."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from acestep.checkpoints.errors import CheckpointError

logger = logging.getLogger(__name__)

_OUT_OF_MEMORY_REMEDY = "Try a smaller batch_size or lm_batch_chunk_size, a shorter duration, or a smaller planner."


@dataclass
class Failure:
    """Why the ``with`` block of `capture_errors` failed; ``message`` is None if it did not."""

    message: str | None = None


@contextmanager
def capture_errors() -> Iterator[Failure]:
    """Turn every exception of the ``with`` block into the message of a `Failure`.

    The text of a ValueError (PlannerError among them) or CheckpointError is meant for users and becomes the message.
    """
    failure = Failure()
    try:
        yield failure
    except (ValueError, CheckpointError) as error:
        logger.debug("the planner refused", exc_info=True)
        failure.message = str(error)
    except Exception as error:  # callers get a failure, never an exception
        from acestep.memory.device import is_out_of_memory

        if is_out_of_memory(error):
            logger.debug("the planner ran out of memory", exc_info=True)
            failure.message = f"Out of memory in the planner: {error} {_OUT_OF_MEMORY_REMEDY}"
        else:
            logger.exception("the planner failed")
            failure.message = f"{type(error).__name__}: {error}"
