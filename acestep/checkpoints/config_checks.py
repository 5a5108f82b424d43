"""What a ``config.json`` may say, checked before any module is built.

Sizes must be those of the stored tensors, whose shapes are in the headers of the weight files: no absurd size gets past
that, and no largest size has to be thought of. What no tensor shows is checked by type and range.
"""

from __future__ import annotations

import json
import math
import reprlib
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from acestep.checkpoints.errors import CheckpointError

REMEDY: Final = "Restore the file from its source."
MISSING: Final = object()
"""Stands for the value of a key that is not there."""
MAX_INT: Final = 2**31 - 1
SHOWN_CHARACTERS: Final = 60
"""Largest number of characters of a value that a message shows."""

Shapes = Mapping[str, Sequence[int]]
"""Shapes of the stored tensors by their key."""


@dataclass(frozen=True)
class ValueRule:
    """What a value must be: *expected* says it in words, *holds* decides."""

    expected: str
    holds: Callable[[Any], bool]

    def or_null(self) -> ValueRule:
        """The same, but the value may be null or missing."""
        return ValueRule(
            f"{self.expected}, or null", lambda value: value is None or value is MISSING or self.holds(value)
        )

    def many(self) -> ValueRule:
        """A list of such values, not empty."""
        return ValueRule(
            f"a list, and in it {self.expected}",
            lambda value: isinstance(value, list) and bool(value) and all(map(self.holds, value)),
        )


def integer_from(least: int = 1) -> ValueRule:
    """A whole number from *least* on."""
    return ValueRule(f"a whole number from {least} on", lambda value: type(value) is int and least <= value <= MAX_INT)


def number_between(least: float, most: float) -> ValueRule:
    """A number from *least* to *most*; NaN and infinity are none."""
    return ValueRule(
        f"a number from {least:g} to {most:g}",
        lambda value: type(value) in (int, float) and least <= value <= most,
    )


def equal_to(wanted: Any) -> ValueRule:
    """Nothing but *wanted*."""
    return ValueRule(abbreviated(wanted), lambda value: type(value) is type(wanted) and value == wanted)


FLAG: Final = ValueRule("true or false", lambda value: type(value) is bool)
OBJECT: Final = ValueRule("a JSON object", lambda value: isinstance(value, dict))
THETA: Final = number_between(1, 1e12)
EPSILON: Final = number_between(1e-30, 0.1)
SHARE: Final = number_between(0, 1)


@dataclass(frozen=True)
class DimensionRule:
    """A size that a stored tensor shows: dimension *axis* of *tensor* is the product of the values of *keys*.

    A key ``name[i]`` is element i of a list. With *times* the dimension is so many times the product.
    """

    tensor: str
    axis: int
    keys: tuple[str, ...]
    times: int = 1

    def check(self, config: Mapping[str, Any], shapes: Shapes, source: Path) -> None:
        """See that the stored tensor has that size."""
        if self.tensor not in shapes:
            raise CheckpointError(
                f"{source.parent} lacks {self.tensor}: it is not a complete checkpoint of this model."
            )
        shape = list(shapes[self.tensor])
        found = shape[self.axis] if self.axis < len(shape) else 0
        values = [_element(config, key) for key in self.keys]
        if math.prod(values) * self.times != found:
            said = " × ".join(f"{key} = {value}" for key, value in zip(self.keys, values, strict=True))
            asked = math.prod(values) * self.times
            raise CheckpointError(
                f"{source}: {said} asks for {asked} numbers along dimension {self.axis} of {self.tensor}, whose stored "
                f"shape is {shape}. Use config.json and weights of one checkpoint."
            )


@dataclass(frozen=True)
class LayerCountRule:
    """A number of layers: as many as *key* says, or as the list *key* has, are stored as ``prefix.0…``."""

    prefix: str
    key: str

    def check(self, config: Mapping[str, Any], shapes: Shapes, source: Path) -> None:
        """See that the weights have so many layers."""
        value, start = config[self.key], f"{self.prefix}."
        numbers = Counter(key.removeprefix(start).partition(".")[0] for key in shapes if key.startswith(start))
        asked = len(value) if isinstance(value, list) else value
        if asked != len(numbers):
            said = f"has {asked} entries" if isinstance(value, list) else f"is {value}"
            raise CheckpointError(
                f"{source}: {self.key} {said}, but the weights have {len(numbers)} layers {start}*. "
                "Use config.json and weights of one checkpoint."
            )
        if len(set(numbers.values())) > 1:
            raise CheckpointError(
                f"{source.parent}: some of the {len(numbers)} layers {start}* have more tensors than others. "
                "Download the weights again."
            )


def check_values(config: Mapping[str, Any], kinds: Mapping[str, ValueRule], source: Path) -> None:
    """See that every value of *config*, read from the file *source*, is of its kind.

    Raises:
        CheckpointError: one is not; the message names it.
    """
    for key, kind in kinds.items():
        value = config.get(key, MISSING)
        if not kind.holds(value):
            said = "is missing" if value is MISSING else f"is {abbreviated(value)}"
            raise CheckpointError(f"{source}: {key} {said}, expected {kind.expected}. {REMEDY}")


def check_sizes(
    config: Mapping[str, Any], rules: Iterable[DimensionRule | LayerCountRule], shapes: Shapes, source: Path
) -> None:
    """See that *config*, read from the file *source* and of the right kinds, has the sizes of the stored tensors.

    Raises:
        CheckpointError: it has not; the message names key, value and tensor.
    """
    for rule in rules:
        rule.check(config, shapes, source)


def check_head_groups(config: Mapping[str, Any], heads: str, key_heads: str, source: Path) -> None:
    """See that the query heads, as many as *heads* says, share the *key_heads* evenly.

    Raises:
        CheckpointError: they do not.
    """
    if config[heads] % config[key_heads]:
        raise CheckpointError(
            f"{source}: {heads} is {config[heads]}, expected a multiple of {key_heads} = {config[key_heads]}. {REMEDY}"
        )


def abbreviated(value: Any) -> str:
    """*value* as JSON spells it, cut short."""
    if value is None or isinstance(value, bool):
        return json.dumps(value)
    text = reprlib.repr(value)
    return text if len(text) <= SHOWN_CHARACTERS else f"{text[:SHOWN_CHARACTERS]}…"


def _element(config: Mapping[str, Any], key: str) -> int:
    name, _, index = key.partition("[")
    return int(config[name][int(index.rstrip("]"))] if index else config[name])
