"""Names of the tasks and tracks.

``text2music`` needs no source; the other tasks start from source audio or audio codes.
"""

from __future__ import annotations

from typing import Final

TEXT2MUSIC: Final = "text2music"
COVER: Final = "cover"
"""The source in another style; the model gets only what 5 Hz audio codes keep of it."""
COVER_FULL_DETAIL: Final = "cover-nofsq"
"""A cover whose source latents do not pass through the audio codes' quantizer (FSQ)."""
REPAINT: Final = "repaint"
"""A region of the source is regenerated."""
LEGO: Final = "lego"
"""A further track is generated in a region of the source."""
EXTRACT: Final = "extract"
"""One track is taken out of the source."""
COMPLETE: Final = "complete"
"""Further tracks are added to the source."""
REGION_TASKS: Final = (REPAINT, LEGO)
"""Tasks that regenerate a region of the source."""
TRACK_TASKS: Final = (LEGO, EXTRACT)
"""Tasks that name one track."""
SHARED_TASKS: Final = (TEXT2MUSIC, COVER, COVER_FULL_DETAIL, REPAINT)
"""Tasks that every checkpoint was trained for."""
TASKS: Final = (*SHARED_TASKS, LEGO, EXTRACT, COMPLETE)

TRACKS: Final = tuple(
    "woodwinds brass fx synth strings percussion keyboard guitar bass drums backing_vocals vocals".split()
)
