"""Example pieces that come with the package: caption, lyrics and metadata to make music of."""

from __future__ import annotations

import json
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

from acestep.constants import DURATION_MAX_S, DURATION_MIN_S


class ExampleError(Exception):
    """An example cannot be used; the message says which one, why, and which there are."""


@dataclass(frozen=True)
class Example:
    """One piece to make.

    Attributes:
        name: of its file.
        caption: description of the music.
        lyrics: words with section marks.
        language: of the words, one of `acestep.constants.LANGUAGES`.
        bpm: beats per minute, None if it is left to the planner.
        keyscale, timesignature: as in `acestep.params.GenerationParams`, "" if they are.
        duration_s: seconds, None if it is.
    """

    name: str
    caption: str
    lyrics: str
    language: str
    bpm: int | None
    keyscale: str
    timesignature: str
    duration_s: float | None

    @property
    def params(self) -> dict[str, Any]:
        """The same as fields of `acestep.params.GenerationParams`."""
        return {
            "caption": self.caption,
            "lyrics": self.lyrics,
            "vocal_language": self.language,
            "bpm": self.bpm,
            "keyscale": self.keyscale,
            "timesignature": self.timesignature,
            "duration": self.duration_s,
        }


def names(task: str = "text2music") -> list[str]:
    """Files of the examples for *task*, sorted."""
    return sorted(entry.name for entry in (files(__name__) / task).iterdir() if entry.name.endswith(".json"))


def load(name: str, task: str = "text2music") -> Example:
    """The example in the file *name*, with or without ``.json``; a path with a folder is any such file.

    Raises:
        ExampleError: there is no such file, or it is not an example.
    """
    file = name if name.endswith(".json") else f"{name}.json"
    source = Path(file) if Path(file).name != file else files(__name__) / task / file
    try:
        fields = json.loads(source.read_text(encoding="utf-8"))
    except FileNotFoundError:
        known = ", ".join(names(task))
        raise ExampleError(f"There is no example {name!r}: give one of {known}, or a path to your own.") from None
    except (OSError, ValueError) as error:
        raise ExampleError(f"{source} cannot be read as JSON: {error}.") from error
    if not isinstance(fields, dict) or not isinstance(fields.get("caption"), str):
        raise ExampleError(f"{source} is no example: it needs a JSON object with a text 'caption'.")
    duration = fields.get("duration")
    if duration is not None and not (
        isinstance(duration, (int, float)) and DURATION_MIN_S <= duration <= DURATION_MAX_S
    ):
        raise ExampleError(f"{source}: duration is {duration!r}, expected {DURATION_MIN_S} to {DURATION_MAX_S} s.")
    return Example(
        name=file,
        caption=fields["caption"],
        lyrics=str(fields.get("lyrics") or "[Instrumental]"),
        language=str(fields.get("language") or "unknown"),
        bpm=fields.get("bpm"),
        keyscale=str(fields.get("keyscale") or ""),
        timesignature=str(fields.get("timesignature") or ""),
        duration_s=duration,
    )
