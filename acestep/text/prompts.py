"""Prompts of the text encoder: the instruction, the caption prompt and the lyric prompt."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from acestep.constants import INSTRUCTION_COVER, INSTRUCTION_TEXT2MUSIC
from acestep.tasks.task_types import COMPLETE, COVER, COVER_FULL_DETAIL, EXTRACT, LEGO, REPAINT

DEFAULT_PROMPT_DURATION_S = 30
"""Seconds that the caption prompt states when the duration is unknown."""


def generate_instruction(task: str, track_name: str = "", complete_track_classes: Sequence[str] = ()) -> str:
    """The first line of the caption prompt, as the models were trained with it.

    Args:
        task: one of `acestep.tasks.task_types.TASKS`.
        track_name: one of `acestep.tasks.task_types.TRACKS`, for lego and extract.
        complete_track_classes: some of them, for complete.
    """
    track = f"{track_name.upper()} " if track_name else ""
    classes = " | ".join(name.upper() for name in complete_track_classes)
    return {
        COVER: INSTRUCTION_COVER,
        COVER_FULL_DETAIL: INSTRUCTION_COVER,
        REPAINT: "Repaint the mask area based on the given conditions:",
        EXTRACT: f"Extract the {track}track from the audio:",
        LEGO: f"Generate the {track}track based on the audio context:",
        COMPLETE: f"Complete the input track with {classes}:" if classes else "Complete the input track:",
    }.get(task, INSTRUCTION_TEXT2MUSIC)


@dataclass(frozen=True)
class PromptMetadata:
    """The metadata in the caption prompt; `None` and empty values print as ``N/A``."""

    bpm: int | None = None
    timesignature: str = ""
    keyscale: str = ""
    duration_s: float | None = None

    def lines(self) -> str:
        """Four lines, each ended by a newline; an unknown duration prints as 30 seconds."""
        duration = DEFAULT_PROMPT_DURATION_S if self.duration_s is None else int(self.duration_s)
        return (
            f"- bpm: {self.bpm or 'N/A'}\n- timesignature: {self.timesignature or 'N/A'}\n"
            f"- keyscale: {self.keyscale or 'N/A'}\n- duration: {duration} seconds\n"
        )


def caption_prompt(instruction: str, caption: str, metadata: PromptMetadata) -> str:
    """The caption prompt of one item.

    A missing colon at the end of *instruction* is added. If *caption* already is such a prompt, only its caption
    section is used.
    """
    if not instruction.endswith(":"):
        instruction += ":"
    section = re.search(r"# Caption\n(.*?)(?:# Metas|\Z)", caption, re.DOTALL)
    if "# Instruction" in caption and section:
        caption = section.group(1).strip()
    return f"# Instruction\n{instruction}\n\n# Caption\n{caption}\n\n# Metas\n{metadata.lines()}<|endoftext|>\n"


def lego_caption(caption: str, global_caption: str, instruction: str, explicit_mask: bool) -> str:
    """The caption for models that were trained for lego (``is_lego_sft``).

    Args:
        caption: description of the track.
        global_caption: description of the whole piece; left out if *instruction* mentions a segment.
        instruction: first line of the prompt.
        explicit_mask: whether the context latents mark the region that is generated.
    """
    lines = [f"Local: {caption}", f"Mask Control: {str(explicit_mask).lower()}"]
    if "a segment" not in instruction.lower():
        lines.insert(0, f"Global: {global_caption}")
    return "\n".join(lines)


def lyric_prompt(language: str, lyrics: str) -> str:
    """The lyric prompt of one item."""
    return f"# Languages\n{language}\n\n# Lyric\n{lyrics}<|endoftext|>"
