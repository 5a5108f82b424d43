"""A step of every family, on the tiny models."""

import gc
from dataclasses import replace

import pytest

from acestep import synthetic
from acestep.handler import AceStepHandler
from benchmarks.harness.matrices import STAGES_AXES
from benchmarks.harness.settings import Settings
from benchmarks.harness.workload import CellFailed, Unsupported
from benchmarks.harness.workloads import dit_variants
from benchmarks.harness.workloads.dit_variants import SynthesizerCache
from benchmarks.harness.workloads.stages import Stages

BASE = {"stage": "DiTStep", "family": "base", "duration": 30, "batch": 2}
TURBO = {**BASE, "family": "turbo"}


@pytest.fixture
def settings(tmp_path, monkeypatch):
    monkeypatch.setenv("ACESTEP_CHECKPOINTS_DIR", "")
    yield Settings("tiny", "cpu", "quick", "", "none", str(tmp_path), str(tmp_path))
    gc.unfreeze()


@pytest.fixture
def shelf(settings):
    return Stages().load(settings)


def taken(shelf, cell):
    return Stages().prepare(shelf, cell)()


def test_a_step_of_every_family_runs(shelf):
    samples = [taken(shelf, {**BASE, "family": family}) for family in STAGES_AXES["DiTStep"]["family"]]
    turbo, base, xl_turbo, xl_base = (sample.series["peak_memory"] for sample in samples)

    assert all(0 < sample.series["time"] <= sample.timed_s for sample in samples)
    assert turbo < base < xl_base
    assert turbo < xl_turbo < xl_base


@pytest.mark.parametrize(("cell", "rows", "guided"), [(TURBO, 2, False), (BASE, 4, True)])
def test_what_is_not_distilled_is_guided(shelf, monkeypatch, cell, rows, guided):
    asked = []
    denoiser = AceStepHandler.denoiser

    def noted(self, condition, context, *, guided):
        step = denoiser(self, condition, context, guided=guided)
        return lambda latents, times: asked.append((len(latents), guided)) or step(latents, times)

    monkeypatch.setattr(AceStepHandler, "denoiser", noted)
    taken(shelf, cell)

    assert set(asked) == {(rows, guided)}


def test_families_are_loaded_once_and_one_at_a_time(settings, monkeypatch):
    loaded = []
    load = dit_variants.load_dit
    monkeypatch.setattr(dit_variants, "load_dit", lambda *args: loaded.append(args[-1]) or load(*args))
    shelf = SynthesizerCache(settings)
    for family in ("turbo", "base", "base", "turbo"):
        shelf.synthesizer(family)

    assert loaded == ["acestep-v15-turbo", "acestep-v15-base", "acestep-v15-turbo"]


def test_a_model_of_another_family_fails(shelf, monkeypatch):
    monkeypatch.setattr(AceStepHandler, "is_turbo_model", lambda _self: True)

    with pytest.raises(CellFailed, match="acestep-v15-base is not one of base"):
        taken(shelf, BASE)


def test_a_step_that_leaves_a_half_out_fails(shelf, monkeypatch):
    denoiser = AceStepHandler.denoiser

    def halved(self, condition, context, *, guided):
        step = denoiser(self, condition, context, guided=guided)
        return lambda latents, times: step(latents, times)[:2]

    monkeypatch.setattr(AceStepHandler, "denoiser", halved)

    with pytest.raises(CellFailed, match="of 2 rows and 750 frames instead of 4 and 750"):
        taken(shelf, BASE)


@pytest.mark.usefixtures("before_probe")
def test_a_commit_whose_denoiser_takes_no_guidance_is_too_old(shelf, monkeypatch):
    def denoiser(self, condition, context):
        return self, condition, context

    monkeypatch.setattr(AceStepHandler, "denoiser", denoiser)

    with pytest.raises(Unsupported, match="denoiser does not take guided"):
        taken(shelf, TURBO)


def test_a_commit_without_other_families_still_has_turbo(shelf, monkeypatch):
    initialize = AceStepHandler.initialize_service

    def turbo_alone(self, project_root, config_path, **options):
        if "turbo" not in config_path:
            return f"{config_path}: is_turbo is not true; this version runs turbo checkpoints only.", False
        return initialize(self, project_root, config_path, **options)

    monkeypatch.setattr(AceStepHandler, "initialize_service", turbo_alone)

    with pytest.raises(Unsupported, match="this version runs turbo checkpoints only"):
        taken(shelf, BASE)
    assert taken(shelf, TURBO).series["time"] > 0


def test_checkpoints_without_the_family_do_not_have_it(settings):
    root = synthetic.cached("tiny")
    shelf = SynthesizerCache(replace(settings, scale=str(root)))

    assert taken(shelf, TURBO).series["time"] > 0
    with pytest.raises(Unsupported, match="has no acestep-v15-xl-base"):
        taken(shelf, {**BASE, "family": "xl-base"})
