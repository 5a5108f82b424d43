"""Whole generations of every variant, with every option of the sampler, end where the reference's do."""

from __future__ import annotations

import copy
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
import torch
from torch import Tensor

from acestep.sampling.dcw import DCW
from acestep.sampling.guidance import Guidance
from acestep.sampling.inputs import DEFAULT_INPUTS, SamplerInputs
from acestep.sampling.noise import NoiseStreams, seeded_noise
from acestep.sampling.schedules import turbo_schedule
from acestep.sampling.solver import EULER, SolverSettings
from acestep.synthesizer import Synthesizer
from acestep.tasks.repaint import RepaintInjection
from tests.acestep.variants.conditions import condition, context, plain
from tests.acestep.variants.conftest import Open
from tests.acestep.variants.deterministic import given
from tests.acestep.variants.golden import GOLDEN, TOLERANCE

SEEDS = (11, 22)
REPAINT_MASK = torch.ones(2, 23, dtype=torch.bool)
REPAINT_MASK[0] = (torch.arange(23) >= 6) & (torch.arange(23) <= 13)
REFERENCE_DEFAULTS: dict[str, Any] = {"steps": None, "shift": 3.0, "timesteps": None}


@dataclass(frozen=True)
class Case:
    """What one line of `GOLDEN` was asked for."""

    schedule: dict[str, Any] = field(default_factory=dict)
    sampler: SolverSettings = EULER
    correction: DCW | None = None
    variation: SamplerInputs = DEFAULT_INPUTS
    cover_strength: float = 1.0
    hints: bool = False


def repaint(crossfade_frames: int, injection_ratio: float = 0.5) -> SamplerInputs:
    return SamplerInputs(repaint=RepaintInjection(REPAINT_MASK, given("clean"), crossfade_frames, injection_ratio))


FROM_SOURCE = SamplerInputs(source=given("src"), source_strength=0.6)
CLAMPED = SolverSettings(norm_threshold=0.6, ema=0.2)
TIMESTEPS = [0.97, 0.76, 0.615, 0.5, 0.395, 0.28, 0.18, 0.085, 0]
TURBO = {
    "default": Case(correction=DCW()),
    "dcw_off": Case(),
    "shift1_off": Case({"shift": 1.0}),
    "shift2.4_off": Case({"shift": 2.4}),
    "steps5_shift3_off": Case({"steps": 5}),
    "timesteps_off": Case({"timesteps": TIMESTEPS}),
    "sde_off": Case(sampler=SolverSettings("sde")),
    "heun_off": Case(sampler=SolverSettings(heun=True)),
    "heun_dcw": Case(sampler=SolverSettings(heun=True), correction=DCW()),
    "dcw_low": Case(correction=DCW("low", 0.1)),
    "dcw_high": Case(correction=DCW("high", 0.1)),
    "dcw_pix": Case(correction=DCW("pix", 0.1)),
    "clamp_ema_off": Case(sampler=CLAMPED),
    "heun_clamp_ema_off": Case(sampler=replace(CLAMPED, heun=True)),
    "cover0.5_off": Case(cover_strength=0.5),
    "covernoise0.6_off": Case(variation=FROM_SOURCE),
    "covernoise_cover_off": Case(variation=FROM_SOURCE, cover_strength=0.4),
    "repaint_off": Case(variation=repaint(3)),
    "repaint_ratio1_off": Case(variation=repaint(0, 1.0)),
    "retake_off": Case(variation=SamplerInputs(retake_seeds=(5, 6), retake_variance=0.3)),
    "hints_off": Case(hints=True),
}
N6 = {"steps": 6, "shift": 1.0}
GUIDED = SolverSettings(guidance=Guidance(7.0))
ADG = SolverSettings(guidance=Guidance(7.0, adg=True))
BASE = {
    "default30": Case({"steps": 30, "shift": 1.0}, GUIDED, DCW()),
    "n6_dcwoff": Case(N6, GUIDED),
    "n6_g1_off": Case(N6),
    "n6_shift3_off": Case(N6 | {"shift": 3.0}, GUIDED),
    "n6_adg_off": Case(N6, ADG),
    "n6_interval_off": Case(N6, SolverSettings(guidance=Guidance(7.0, start=0.3, end=0.9))),
    "n6_heun_off": Case(N6, replace(GUIDED, heun=True)),
    "n6_heun_adg_off": Case(N6, replace(ADG, heun=True)),
    "n6_sde_off": Case(N6 | {"shift": 3.0}, replace(GUIDED, method="sde")),
    "n6_dcw": Case(N6, GUIDED, DCW()),
    "n6_cover_off": Case(N6, GUIDED, cover_strength=0.5),
    "n6_covernoise_off": Case(N6, GUIDED, variation=FROM_SOURCE),
    "n6_repaint_ratio1": Case(N6, GUIDED, DCW(), variation=repaint(3, 1.0)),
    "n6_clamp_ema_off": Case(N6, replace(GUIDED, norm_threshold=0.6, ema=0.2)),
    "ts_off": Case({"steps": 4, "shift": 1.0, "timesteps": [1, 0.8, 0.5, 0.2, 0]}, GUIDED),
}
FAMILIES = {"turbo": TURBO, "xl_turbo": TURBO, "base": BASE, "sft": BASE, "xl_base": BASE}
GENERATIONS = [name for name in GOLDEN if name.split(".")[0] in FAMILIES and name != "turbo.seedint_off"]


def generate(tiny: Synthesizer, case: Case) -> Tensor:
    assert tiny.variant is not None
    asked = REFERENCE_DEFAULTS | case.schedule
    variation = case.variation
    if case.cover_strength < 1:
        variation = replace(variation, plain=plain(tiny), cover_strength=case.cover_strength)
    return tiny.diffuse(
        condition(tiny),
        context(tiny, given("hints")[:, :23] if case.hints else None),
        SEEDS,
        tiny.variant.schedule(asked["steps"], asked["shift"], asked["timesteps"]),
        case.correction,
        sampler=case.sampler,
        variation=variation,
    )


@pytest.fixture
def _global_noise(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fresh noise from the global generator, as the reference draws it."""
    monkeypatch.setattr(NoiseStreams, "like", lambda _self, state: torch.randn_like(state))
    torch.manual_seed(1234)


@pytest.mark.usefixtures("_global_noise")
@pytest.mark.parametrize("name", GENERATIONS)
def test_final_latents(open_variant: Open, name: str) -> None:
    family, case = name.split(".", 1)
    GOLDEN[name].check(generate(open_variant(family.replace("_", "-")), FAMILIES[family][case]))


def test_one_seed_for_a_whole_batch(open_variant: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    """The reference's single seed is one draw of the batch: the first item continues into the second."""
    noise = seeded_noise([77], 2 * 23, 8, device="cpu", dtype=torch.float32).view(2, 23, 8)
    monkeypatch.setattr(NoiseStreams, "draw", lambda *_: noise)
    GOLDEN["turbo.seedint_off"].check(generate(open_variant("turbo"), Case()))


def test_fresh_noise_follows_from_the_seeds(open_variant: Open) -> None:
    case = Case(N6, replace(GUIDED, method="sde"))
    base = open_variant("base")
    both = generate(base, case)
    assert torch.equal(generate(base, case), both)
    without_noise = generate(base, Case(N6, GUIDED))
    assert (both - without_noise).abs().max() > 0.1


def test_each_item_of_a_batch_is_what_it_is_alone(open_variant: Open) -> None:
    base = open_variant("base")
    everything = SolverSettings("sde", guidance=Guidance(5.0, start=0.2, end=0.8), norm_threshold=0.7, ema=0.1)
    states, latents = condition(base), context(base)
    schedule = [1.0, 0.7, 0.4, 0.1]
    both = base.diffuse(states, latents, SEEDS, schedule, DCW(), sampler=everything)
    for item in (0, 1):
        rows = slice(item, item + 1)
        alone = base.diffuse(states[rows], latents[rows], SEEDS[rows], schedule, DCW(), sampler=everything)
        torch.testing.assert_close(both[rows], alone, atol=TOLERANCE, rtol=0)


def test_a_distilled_model_cannot_be_guided(open_variant: Open) -> None:
    turbo = open_variant("turbo")
    with pytest.raises(ValueError, match="turbo model cannot be guided"):
        turbo.diffuse(condition(turbo), context(turbo), SEEDS, turbo_schedule(2, 1.0), sampler=GUIDED)


@pytest.mark.parametrize("half", [{"retake_variance": 0.1}, {"source_strength": 0.1}, {"cover_strength": 0.9}])
def test_a_strength_of_nothing_is_an_error(half: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"is 0\.\d, but"):
        SamplerInputs(**half)


def test_the_network_runs_twice_only_where_it_guides(open_variant: Open) -> None:
    base = open_variant("base")
    rows: list[int] = []
    queries = base.model.decoder.layers[0].self_attn.to_q
    hook = queries.register_forward_pre_hook(lambda _module, inputs: rows.append(len(inputs[0])))
    guidance = Guidance(7.0, start=0.3, end=0.9)
    base.diffuse(condition(base), context(base), SEEDS, [1.0, 0.9, 0.3, 0.2], sampler=SolverSettings(guidance=guidance))
    hook.remove()
    assert rows == [2, 4, 4, 2]


@pytest.mark.parametrize("adg", [False, True])
def test_every_option_keeps_the_number_format(open_variant: Open, adg: bool) -> None:
    base = open_variant("base")
    assert base.loaded is not None
    options = replace(base.loaded.options, dtype=torch.bfloat16)
    model = copy.deepcopy(base.loaded.model).to(torch.bfloat16)
    half = Synthesizer(replace(base.loaded, model=model, options=options))
    states, latents, clean = (x.bfloat16() for x in (condition(base), context(base), given("clean")))
    variation = SamplerInputs(
        retake_seeds=SEEDS,
        retake_variance=0.2,
        source=clean,
        source_strength=0.1,
        plain=(states[:, :9], latents),
        cover_strength=0.5,
        repaint=RepaintInjection(REPAINT_MASK, clean),
    )
    sampler = SolverSettings(heun=True, guidance=Guidance(3.0, adg=adg), norm_threshold=0.9, ema=0.1)
    schedule = [1.0, 0.8, 0.5, 0.2]
    result = half.diffuse(states, latents, (1, 2), schedule, DCW("double", 0.1), sampler=sampler, variation=variation)
    assert result.dtype == torch.bfloat16
    assert result.isfinite().all()
    sde = half.diffuse(states, latents, (1, 2), schedule, sampler=replace(sampler, heun=False, method="sde"))
    assert sde.dtype == torch.bfloat16
