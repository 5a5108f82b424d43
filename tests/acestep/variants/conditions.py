"""Conditions and contexts of the deterministic inputs, made with the synthesizer's own stages."""

from __future__ import annotations

import torch
from torch import Tensor

from acestep.synthesizer import Synthesizer
from acestep.text.encoder import TextStates
from tests.acestep.variants.deterministic import given, valid

LYRICS_MASK = valid((9, 6), 9)
OWNERS = torch.tensor([0, 0, 1])


def states(text: str = "text", lyrics: str = "lyric") -> TextStates:
    mask = valid((6, 4), 6) if text == "nctext" else valid((7, 5), 7)
    return TextStates(given(text), mask, given(lyrics), LYRICS_MASK, torch.zeros(2, 9, dtype=torch.int64))


def condition(synthesizer: Synthesizer, text: str = "text", lyrics: str = "lyric") -> Tensor:
    return synthesizer.encode_condition(states(text, lyrics), given("refer"), OWNERS)[0]


def context(synthesizer: Synthesizer, hints: Tensor | None = None) -> Tensor:
    """The first item is made from its source, the second is a cover of what codes keep of it, or of *hints*."""
    source = given("src")
    cover = synthesizer.coarse_latents(source) if hints is None else hints
    return synthesizer.context_latents([source[0], cover[1]], source.shape[1])


def plain(synthesizer: Synthesizer) -> tuple[Tensor, Tensor]:
    """The other text, and silence instead of a source."""
    return condition(synthesizer, "nctext"), synthesizer.context_latents([given("src")[0][:0]] * 2, 23)
