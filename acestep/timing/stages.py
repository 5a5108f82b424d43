"""Runs the stages of a generation: times them, and explains which stage ran out of memory."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from acestep.memory.device import OutOfMemoryError, free_bytes, is_out_of_memory, release
from acestep.timing.clock import Clock

if TYPE_CHECKING:
    from acestep.loaded_models import LoadedModels
    from acestep.runtime.load_options import LoadOptions

TRANSFER: Final = "transfer"
"""Name of the stage that counts the time of moving weights to the device."""
_REDUCTIONS: Final = {
    "text_encode": ("a shorter caption",),
    "condition_encode": ("shorter lyrics",),
    "reference_encode": ("a shorter reference",),
    "source_encode": ("a shorter source",),
}
"""What reduces the memory of a stage, by stage. A stage that is not named here depends on batch size and duration."""


class StageRunner:
    """Times the stages of one generation of *models* with *clock*."""

    def __init__(self, models: LoadedModels, clock: Clock) -> None:
        self._models, self._clock = models, clock

    @contextmanager
    def __call__(self, name: str, part: str, need_bytes: int) -> Iterator[None]:
        """Count the time inside the ``with`` block as stage *name*, and that of moving weights as stage `TRANSFER`.

        Args:
            name: name of the stage.
            part: name of the models that the stage uses, as in `LoadedModels.parts`.
            need_bytes: estimate of what the stage allocates beside the weights.

        Raises:
            OutOfMemoryError: memory ran out inside the block; the error names the stage and what it needs, the
                weights included that would have been moved.
        """
        device, offload = self._models.device, self._models.offload_manager
        free = free_bytes(device)
        moved, start = offload.transfers.seconds, self._clock.now()
        try:
            yield
        except Exception as error:
            if isinstance(error, OutOfMemoryError) or not is_out_of_memory(error):
                raise
            need = need_bytes + offload.moved_bytes(part)
            release(device)
            raise OutOfMemoryError(name, need, free, device, _remedy(name, self._models.options)) from None
        finally:
            moved = offload.transfers.seconds - moved
            self._clock.add(name, self._clock.now() - start - moved)
            if moved:
                self._clock.add(TRANSFER, moved)


def _remedy(stage: str, options: LoadOptions | None) -> str:
    """A sentence that says what would reduce the memory of *stage* and is not in *options* already."""
    ways = list(_REDUCTIONS.get(stage, ("a smaller batch_size", "a shorter duration")))
    if options is not None and not options.offload:
        ways.append("offload_to_cpu")
    if options is not None and not options.offload_dit:
        ways.append("offload_dit_to_cpu")
    if options is not None and not options.quantization and stage == "diffusion":
        ways.append("quantization='int8_weight_only'")
    return f"Try {' or '.join([', '.join(ways[:-1]), ways[-1]] if ways[1:] else ways)}."
