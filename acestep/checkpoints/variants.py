"""The variants of diffusion models, and what tells them apart: the one place that knows.

``acestep-v15-turbo``, ``-base``, ``-sft`` and their kin share the 2B shapes, ``acestep-v15-xl-*`` has a wider
transformer than condition encoder. Turbo models are distilled: few steps, no guidance.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal, get_args

from acestep.checkpoints.errors import CheckpointError
from acestep.sampling.schedules import (
    MAX_TIMESTEPS,
    TURBO_MAX_STEPS,
    base_schedule,
    strip_trailing_zeros,
    turbo_schedule,
)
from acestep.tasks.task_types import SHARED_TASKS, TASKS

Kind = Literal["turbo", "base", "sft"]

FOLDER_PREFIX: Final = "acestep-v15-"
ENCODER_FIELDS: Final = (
    "encoder_hidden_size",
    "encoder_intermediate_size",
    "encoder_num_attention_heads",
    "encoder_num_key_value_heads",
)
"""The fields of an XL configuration that its encoders use where the transformer uses the names without prefix."""
XL_SHAPES: Final[dict[str, Any]] = {
    "hidden_size": 2560,
    "intermediate_size": 9728,
    "num_hidden_layers": 32,
    "num_attention_heads": 32,
    "encoder_hidden_size": 2048,
    "encoder_intermediate_size": 6144,
    "encoder_num_attention_heads": 16,
    "encoder_num_key_value_heads": 8,
}
"""Where the released XL models differ from the 2B ones."""


@dataclass(frozen=True)
class ModelVariant:
    """What sampling and encoding have to know of a checkpoint.

    Attributes:
        kind: ``turbo``, ``base`` or ``sft``; the last two are sampled alike.
        xl: the transformer is wider than the encoders, and the timbre encoder pools a token of its own.
        lego: trained further for the task ``lego`` (``is_lego_sft``), with captions of their own kind.
    """

    kind: Kind
    xl: bool = False
    lego: bool = False

    @property
    def name(self) -> str:
        """As in the released folders' names: ``turbo``, ``xl-base`` …"""
        return f"xl-{self.kind}" if self.xl else self.kind

    @property
    def folder(self) -> str:
        """The released folder."""
        return FOLDER_PREFIX + self.name

    @property
    def turbo(self) -> bool:
        """Distilled: few steps at known times, and guidance in the weights."""
        return self.kind == "turbo"

    @property
    def guided(self) -> bool:
        """Whether guidance can be asked for."""
        return not self.turbo

    @property
    def max_steps(self) -> int | None:
        """The most steps that are made without explicit timesteps; None is any number."""
        return TURBO_MAX_STEPS if self.turbo else None

    @property
    def tasks(self) -> tuple[str, ...]:
        """The tasks it was trained for."""
        if self.kind == "base":
            return TASKS
        return (*SHARED_TASKS, "lego") if self.lego else SHARED_TASKS

    def schedule(self, steps: int, shift: float, timesteps: Sequence[float] | None = None) -> list[float]:
        """Flow times of a generation, see `acestep.sampling.schedules`.

        Raises:
            ValueError: there are more *timesteps* than the variant takes.
        """
        times = len(strip_trailing_zeros(timesteps or ()))
        if self.turbo and times > MAX_TIMESTEPS:
            raise ValueError(f"timesteps has {times} times above 0; a turbo model takes at most {MAX_TIMESTEPS}.")
        return (turbo_schedule if self.turbo else base_schedule)(steps, shift, timesteps)


KINDS: Final[tuple[Kind, ...]] = get_args(Kind)
VARIANTS: Final = tuple(ModelVariant(kind, xl) for xl in (False, True) for kind in KINDS)
"""Every released variant."""
TURBO: Final = VARIANTS[0]


def variant_named(name: str) -> ModelVariant:
    """The released variant of that name, such as ``xl-base``.

    Raises:
        ValueError: there is none.
    """
    for variant in VARIANTS:
        if variant.name == name:
            return variant
    raise ValueError(f"Unknown variant {name!r}: expected one of {', '.join(variant.name for variant in VARIANTS)}.")


def variant_of(config: Mapping[str, Any], folder: Path) -> ModelVariant:
    """The variant of the checkpoint in *folder* with this *config*.

    ``is_turbo`` decides about turbo; without it the module named in ``auto_map`` does, then the folder's name.
    Encoder widths of their own make a model XL, as do that module and that name. The label ``model_version`` is
    known to lie and is not read.

    Raises:
        CheckpointError: it is an XL model that lacks a field of `ENCODER_FIELDS`.
    """
    tokens = folder.name.lower().split("-")
    module = str((config.get("auto_map") or {}).get("AutoModel", "")).rpartition(".")[0].rpartition("--")[2]
    xl = bool(config.get("encoder_hidden_size")) or "_xl_" in module or "xl" in tokens
    missing = [name for name in ENCODER_FIELDS if not config.get(name)] if xl else []
    if missing:
        raise CheckpointError(f"{folder}/config.json lacks {', '.join(missing)}, which an XL model needs.")
    turbo = config.get("is_turbo")
    if turbo is None:
        turbo = module.endswith("_turbo") if module else "turbo" in tokens
    return ModelVariant("turbo" if turbo else "sft" if "sft" in tokens else "base", xl, bool(config.get("is_lego_sft")))
