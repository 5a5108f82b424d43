"""The tasks: what each makes of which source, and the instruction that tells the model.

``text2music`` needs no source; the others start from audio or from audio codes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from acestep.constants import INSTRUCTION_COVER, INSTRUCTION_TEXT2MUSIC

TEXT2MUSIC: Final = "text2music"
COVERS: Final = ("cover", "cover-nofsq")
"""A source in another style. A cover hears what 5 Hz codes keep of it, ``cover-nofsq`` all of it."""
WINDOWED: Final = ("repaint", "lego")
"""A span of a source is made: anew, or as a further track."""
TRACKED: Final = ("lego", "extract")
"""One track is made to fit a source, or taken out of it."""
COMPLETE: Final = "complete"
"""Further tracks to a source."""
SHARED_TASKS: Final = (TEXT2MUSIC, *COVERS, "repaint")
"""What every checkpoint was trained for."""
TASKS: Final = (*SHARED_TASKS, "lego", "extract", COMPLETE)

TRACKS: Final = tuple(
    "woodwinds brass fx synth strings percussion keyboard guitar bass drums backing_vocals vocals".split()
)


def generate_instruction(task: str, track_name: str = "", complete_track_classes: Sequence[str] = ()) -> str:
    """The first line of the caption prompt, as the models were trained with it.

    Args:
        task: one of `TASKS`.
        track_name: one of `TRACKS`, for `TRACKED` tasks.
        complete_track_classes: some of them, for `COMPLETE`.
    """
    track = f"{track_name.upper()} " if track_name else ""
    classes = " | ".join(name.upper() for name in complete_track_classes)
    return {
        "cover": INSTRUCTION_COVER,
        "cover-nofsq": INSTRUCTION_COVER,
        "repaint": "Repaint the mask area based on the given conditions:",
        "extract": f"Extract the {track}track from the audio:",
        "lego": f"Generate the {track}track based on the audio context:",
        COMPLETE: f"Complete the input track with {classes}:" if classes else "Complete the input track:",
    }.get(task, INSTRUCTION_TEXT2MUSIC)
