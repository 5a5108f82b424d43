"""Which part of a source is made, and what the rest becomes."""

from __future__ import annotations

import pytest
import torch

from acestep.tasks.repaint import BlendSettings, RepaintRegion

RATE = 48_000


def test_the_frames_of_a_span() -> None:
    inside = RepaintRegion.of(2.0, 4.5, 8 * RATE).mask(200).nonzero().flatten().tolist()
    assert inside == list(range(50, 112))
    assert RepaintRegion.of(0, -1, 8 * RATE).mask(200).all()
    padded = RepaintRegion.of(0, -1, 2 * RATE).mask(128)
    assert padded.nonzero().flatten().tolist() == list(range(50))


def test_a_span_beyond_the_source_lengthens_it() -> None:
    region = RepaintRegion.of(-1.0, 10.0, 8 * RATE)
    longer = region.pad(torch.ones(2, 8 * RATE))
    assert longer.shape == (2, 11 * RATE)
    assert longer[:, RATE : 9 * RATE].eq(1).all()
    assert not longer[:, :RATE].any()
    assert (region.start, region.end) == (0, 11 * RATE)


@pytest.mark.parametrize(
    ("start", "end", "message"),
    [
        (4, 4, "repainting_start is 4 and repainting_end 4: the end must be"),
        (9, -1, "repainting_end 8, the end of the source"),
        (8.5, 12, "after the end of the source at 8 s"),
        (-300, 400, "makes 700 s; at most 600 are allowed"),
    ],
)
def test_spans_that_cannot_be(start: float, end: float, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        RepaintRegion.of(start, end, 8 * RATE)


def test_splice_keeps_the_source_outside_and_ramps_at_the_joints() -> None:
    region = RepaintRegion.of(2.0, 4.0, 8 * RATE)
    new, source = torch.ones(1, 2, 9 * RATE), torch.zeros(2, 8 * RATE)
    spliced = region.splice(new, source, RATE // 2)[0, 0]
    assert spliced[: RATE * 3 // 2].eq(0).all()
    assert spliced[RATE * 7 // 4] == pytest.approx(0.5, abs=1e-3)
    assert spliced[2 * RATE : 4 * RATE].eq(1).all()
    assert spliced[RATE * 17 // 4] == pytest.approx(0.5, abs=1e-3)
    assert spliced[RATE * 9 // 2 : 8 * RATE].eq(0).all()
    assert spliced[8 * RATE :].eq(1).all()
    assert torch.equal(RepaintRegion.of(0, -1, 8 * RATE).splice(new, source, RATE), new)


def test_joints_of_each_mode() -> None:
    assert BlendSettings.of("aggressive", 0.5) == BlendSettings(0, 0, 0, keep_source_waveform=False)
    assert BlendSettings.of("conservative", 0.5) == BlendSettings(1, 25, 2400, keep_source_waveform=True)
    assert BlendSettings.of("balanced", 0.5) == BlendSettings(0.5, 12, 1200, keep_source_waveform=True)
    assert BlendSettings.of("balanced", 0.2) == BlendSettings(0.8, 20, 1920, keep_source_waveform=True)
