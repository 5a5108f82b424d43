"""Guidance, wavelets, schedules, repaint ramps and the VAE, each alone."""

from __future__ import annotations

import math
import sys
from pathlib import Path

import pytest
import torch

from acestep.sampling.dcw import DCW, low_pass_filters
from acestep.sampling.guidance import Guidance, adg, apg, momentum_buffer
from acestep.sampling.noise import mix_noise
from acestep.sampling.schedules import base_schedule, truncate_schedule, turbo_schedule
from acestep.sampling.solver import SolverSettings, limit_norm
from acestep.tasks.repaint import RepaintInjection, crossfade_weights
from acestep.vae.model import load_vae
from tests.acestep.variants.deterministic import given, write_vae
from tests.acestep.variants.golden import GOLDEN


def test_projected_guidance_remembers_the_last_difference() -> None:
    momentum = momentum_buffer()
    GOLDEN["apg1"].check(apg(given("pc"), given("pu"), 7.0, momentum))
    GOLDEN["apg2"].check(apg(given("pu"), given("pc"), 7.0, momentum))


def test_angle_based_guidance() -> None:
    GOLDEN["adg"].check(adg(given("lx"), 0.6, given("pc"), given("pu"), 7.0))
    GOLDEN["adg_g1.0"].check(adg(given("lx"), 0.6, given("pc"), given("pu"), 1.0))


def test_guided_are_the_steps_of_the_interval_with_both_ends() -> None:
    guidance = Guidance(2.0, start=0.1, end=0.7)
    for steps in range(10, 100, 10):  # whose times are a last bit above or below the ends
        guided = [t for t in base_schedule(steps, 1.0) if guidance.covers(t)]
        assert (guided[0], guided[-1]) == (pytest.approx(0.7), pytest.approx(0.1))
    assert not Guidance(1.0).covers(0.5)


@pytest.mark.parametrize("mode", DCW.MODES)
def test_wavelet_correction(mode: str) -> None:
    correction = DCW(mode, 0.05 if mode == "double" else 0.1)
    GOLDEN[f"dcw_{mode}"].check(correction(given("dx"), given("dy"), 0.75))


@pytest.mark.parametrize("wavelet", ["db4", "sym8"])
def test_other_wavelets(wavelet: str) -> None:
    pytest.importorskip("pywt", reason="needs the extra 'wavelets'")
    GOLDEN[f"dcw_{wavelet}"].check(DCW(wavelet=wavelet)(given("dx"), given("dy"), 0.75))


@pytest.mark.parametrize("frames", [1, 6, 7, 40])
@pytest.mark.parametrize("wavelet", ["db1", "db4", "sym8", "coif2", "bior2.4"])
def test_both_bands_of_a_wavelet_add_up(wavelet: str, frames: int) -> None:
    """With equal strength in both bands the correction is one of single frames."""
    pytest.importorskip("pywt", reason="needs the extra 'wavelets'")
    state, clean = torch.randn(2, 2, frames, 3, generator=torch.Generator().manual_seed(frames))
    corrected = DCW("double", 0.1, 0.1, wavelet)(state, clean, 0.5)
    torch.testing.assert_close(corrected, state + 0.05 * (state - clean))
    if wavelet == "db1":
        haar = DCW("low", 0.1)(state, clean, 0.5)
        torch.testing.assert_close(DCW("low", 0.1, wavelet=wavelet)(state, clean, 0.5), haar)


def test_unknown_modes_and_wavelets_are_errors(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ValueError, match="DCW mode is 'both', expected one of low, high, double, pix"):
        DCW("both")
    with pytest.raises(ValueError, match="infer_method is 'euler', expected one of ode, sde"):
        SolverSettings("euler")
    with pytest.raises(ValueError, match="Heun steps integrate the ode"):
        SolverSettings("sde", heun=True)
    monkeypatch.setitem(sys.modules, "pywt", None)
    low_pass_filters.cache_clear()
    with pytest.raises(ValueError, match=r"needs PyWavelets: pip install 'acestep\[wavelets\]'"):
        DCW(wavelet="db4")


def test_an_unknown_wavelet_is_an_error() -> None:
    pytest.importorskip("pywt", reason="needs the extra 'wavelets'")
    with pytest.raises(ValueError, match="DCW wavelet is 'morl'"):
        DCW(wavelet="morl")


def test_turbo_schedules_without_steps_are_the_distilled_ones() -> None:
    assert turbo_schedule(None, 2.4) == turbo_schedule(8, 2.0)
    assert turbo_schedule(None, 2.5) == turbo_schedule(8, 2.0)
    assert turbo_schedule(None, 9.0) == turbo_schedule(8, 3.0)
    assert turbo_schedule(8, 3.0)[1] == pytest.approx(21 / 22)


def test_base_schedules_take_any_number_of_steps_and_timesteps_as_they_are() -> None:
    assert base_schedule(4, 1.0) == [1.0, 0.75, 0.5, 0.25]
    assert base_schedule(2, 3.0) == [1.0, 0.75]
    assert base_schedule(10, 1.0)[1:4] == pytest.approx([0.9, 0.8, 0.7])
    assert len(base_schedule(100, 1.0)) == 100
    assert base_schedule(4, 3.0, [0.91, 0.33, 0, 0]) == [0.91, 0.33]
    assert base_schedule(1, 3.0, [0, 0]) == turbo_schedule(1, 3.0, [0, 0]) == [1.0]


def test_a_late_start_takes_the_first_of_equally_near_times() -> None:
    assert truncate_schedule([1.0, 0.75, 0.25], 0.5) == [0.75, 0.25]
    assert truncate_schedule([1.0, 0.75, 0.25], 1.0) == [0.25]
    assert truncate_schedule([1.0, 0.75, 0.25], 0.01) == [1.0, 0.75, 0.25]


@pytest.mark.parametrize("variance", [0.0, 0.1, 0.5, 0.9, 1.0])
def test_retakes_keep_the_size_of_the_noise(variance: float) -> None:
    noise, other = torch.randn(2, 1, 2000, 8, generator=torch.Generator().manual_seed(0))
    assert float(mix_noise(noise, other, variance).std()) == pytest.approx(1, abs=0.02)


def test_velocities_are_limited_item_by_item() -> None:
    state = torch.stack([torch.full((4, 2), 1.0), torch.full((4, 2), 10.0)])
    velocity = torch.full((2, 4, 2), 3.0)
    kept = limit_norm(velocity, state, 0.5)
    torch.testing.assert_close(kept, torch.stack([torch.full((4, 2), 0.5), velocity[1]]))
    assert limit_norm(velocity, state, 0.0) is velocity


def test_ramps_stand_outside_the_repainted_frames() -> None:
    mask = torch.zeros(8, dtype=torch.bool)
    mask[[2, 4]] = True
    expected = [1 / 3, 2 / 3, 1, 0, 1, 0.75, 0.5, 0.25]
    torch.testing.assert_close(crossfade_weights(mask, 3), torch.tensor(expected))
    for whole in (torch.zeros_like(mask), torch.ones_like(mask)):
        assert torch.equal(crossfade_weights(whole, 3), whole.float())


def test_repaint_puts_the_source_back() -> None:
    mask = torch.tensor([[False, True, False]])
    ones = torch.ones(1, 3, 2)
    repaint = RepaintInjection(mask, clean=5 * ones, crossfade_frames=0, injection_ratio=0.5)
    assert repaint.inject(ones, noise=ones, time=0.25)[0, :, 0].tolist() == [4.0, 1.0, 4.0]
    assert repaint.blend(ones) is ones
    assert [repaint.injections(steps) for steps in (1, 3, 5, 8)] == [0, 2, 2, 4]


def test_vae(tmp_path: Path) -> None:
    write_vae(tmp_path / "vae")
    vae = load_vae(tmp_path / "vae", device="cpu", dtype=torch.float32)
    GOLDEN["vae.decode"].check(vae.decode(given("z")).sample)
    posterior = vae.encode(0.2 * given("wav")).latent_dist
    GOLDEN["vae.mean"].check(posterior.mode())
    GOLDEN["vae.std"].check(posterior.std)
    torch.manual_seed(3)
    GOLDEN["vae.sample"].check(posterior.sample())


def test_retake_at_its_ends() -> None:
    noise, other = torch.ones(1, 2, 2), torch.zeros(1, 2, 2)
    assert torch.equal(mix_noise(noise, other, 0.0), noise)
    assert float(mix_noise(noise, other, 1.0).abs().max()) < 1e-7
    assert float(mix_noise(noise, other, 0.5)[0, 0, 0]) == pytest.approx(math.sqrt(0.5))
