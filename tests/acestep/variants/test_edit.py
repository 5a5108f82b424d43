"""Editing along the flow ends where the reference's does."""

from __future__ import annotations

import pytest
import torch

from acestep.sampling.flow_edit import FlowEditSettings
from acestep.sampling.guidance import Guidance
from acestep.sampling.schedules import base_schedule
from acestep.sampling.solver import EULER, SolverSettings
from acestep.timing.clock import Clock
from tests.acestep.variants.conditions import condition, context
from tests.acestep.variants.conftest import Open
from tests.acestep.variants.deterministic import given
from tests.acestep.variants.golden import GOLDEN

GUIDANCE = Guidance(5.0)
CASES = {
    "fe_full_g1": (FlowEditSettings(), EULER, 1.0),
    "fe_win_g5": (FlowEditSettings(0.2, 0.7, draws=2), SolverSettings(guidance=GUIDANCE), 3.0),
    "fe_clampema": (FlowEditSettings(0.0, 0.5), SolverSettings(guidance=GUIDANCE, norm_threshold=0.6, ema=0.2), 1.0),
}


@pytest.mark.parametrize("name", CASES)
def test_edited_latents(open_variant: Open, name: str) -> None:
    edit, sampler, shift = CASES[name]
    base, clock = open_variant("base"), Clock()
    conditions = condition(base), condition(base, "ttext", "tlyric")
    schedule = base_schedule(6, shift)
    latents = base.edit(conditions, context(base), given("src"), (11, 22), schedule, edit, clock, sampler=sampler)
    GOLDEN[name].check(latents)
    assert len(clock.durations_s["dit_step"]) == 6 - int(6 * edit.start)


def test_the_same_description_changes_nothing(open_variant: Open) -> None:
    turbo = open_variant("turbo")
    same = (condition(turbo),) * 2
    latents = turbo.edit(same, context(turbo), given("src"), (1, 2), base_schedule(3, 1.0), FlowEditSettings())
    torch.testing.assert_close(latents, given("src"))


@pytest.mark.parametrize(("start", "end", "draws"), [(-0.1, 1, 1), (0.6, 0.5, 1), (0, 1.1, 1), (0, 1, 0)])
def test_windows_that_cannot_be(start: float, end: float, draws: int) -> None:
    with pytest.raises(ValueError, match="flow edit"):
        FlowEditSettings(start, end, draws)
