"""The workloads, on the tiny models."""

import gc
import subprocess
import sys
import tempfile

import pytest

from acestep import inference
from benchmarks.harness.cells import key
from benchmarks.harness.frozen.tree import frozen_digest
from benchmarks.harness.matrices import STAGES_AXES, STAGES_MATRIX, STARTUP_AXES, STARTUP_MATRIX
from benchmarks.harness.matrix import measure_matrix
from benchmarks.harness.settings import Settings
from benchmarks.harness.workload import CellFailed, Unsupported
from benchmarks.harness.workloads import generation, stages, startup
from benchmarks.harness.workloads.generation import check_work
from benchmarks.harness.workloads.models import checkpoints, load_lm
from benchmarks.harness.workloads.music import Handlers, Music, request_for
from benchmarks.harness.workloads.stages import Stages
from benchmarks.harness.workloads.startup import in_fork

THOUGHTFUL = {"duration": 30, "batch": 2, "thinking": True, "steps": 16}
PLAIN = {"duration": 30, "batch": 1, "thinking": False, "steps": 8}


def settings(tmp_path, **changes):
    plain = {"scale": "tiny", "device": "cpu", "cells": "quick", "commit": "", "environment": "none"}
    return Settings(**{**plain, "conf_dir": str(tmp_path), "journal": str(tmp_path / "journal"), **changes})


@pytest.fixture(autouse=True)
def _temporary_folder(tmp_path, monkeypatch):
    """Workloads leave files behind; in a worker, its parent removes them."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))


@pytest.fixture(scope="module")
def handlers(handler, planner):
    return Handlers(handler, planner, None, "cpu")


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ACESTEP_CHECKPOINTS_DIR", "")
        yield Stages().load(settings(tmp_path_factory.mktemp("stages")))
    gc.unfreeze()


@pytest.fixture
def turbo(models):
    return models.synthesizer("turbo")


def test_a_piece_does_the_work_that_its_cell_asks_for(handlers):
    sample = Music().prepare(handlers, THOUGHTFUL)()

    assert sample.work["steps"] == sample.work["dit_calls"] == 16
    assert sample.work["codes"] == 2 * 5 * 30
    assert sample.work["audio_samples"] == 30 * 48_000
    assert sample.work["vae_path"] == "whole"
    assert sample.series["tokens"] > sample.work["codes"]
    assert 5 * 30 < sample.series["forwards"] < sample.series["tokens"]


def test_the_work_of_a_piece_tells_its_windows(handlers, monkeypatch):
    monkeypatch.setenv("ACESTEP_VAE_DECODE_CHUNK_SIZE", "200")

    assert Music().prepare(handlers, PLAIN)().work["vae_path"] == "tiled 200"


def test_the_stages_of_a_piece_add_up_to_its_wall_time(handlers):
    series = Music().prepare(handlers, THOUGHTFUL)().series

    assert sum(series[stage] for stage in generation.TIME_COSTS) == pytest.approx(series["wall"], rel=0.02)
    assert 16 * series["dit_step"] < series["dit"] * 1.5
    assert series["s_per_audio_s"] == pytest.approx(series["wall"] / 60)


def test_the_same_piece_comes_out_every_time_and_without_a_planner_it_has_no_planner_s_series(handlers):
    take = Music().prepare(handlers, PLAIN)
    first, second = take(), take()

    assert first.series["fingerprint"] == second.series["fingerprint"]
    assert first.work == second.work
    assert {"lm", "tokens", "forwards"}.isdisjoint(first.series)


def test_a_failed_generation_fails_with_its_error(handlers, monkeypatch):
    monkeypatch.setattr(
        inference, "generate_music", lambda *_, **__: inference.GenerationResult(success=False, error="out of tune")
    )
    with pytest.raises(CellFailed, match="out of tune"):
        Music().prepare(handlers, PLAIN)()


@pytest.mark.parametrize("changed", ["audios", "files", "audio_samples", "codes", "steps"])
def test_other_work_than_asked_for_is_a_failure(changed):
    work = {"audios": 2, "files": 2, "audio_samples": 1_440_000, "codes": 300, "steps": 16}
    wanted = request_for(THOUGHTFUL, turbo=True).work
    check_work(work, wanted)

    with pytest.raises(CellFailed, match=f"{changed} 7 instead of {work[changed]}"):
        check_work({**work, changed: 7}, wanted)


def test_thinking_needs_a_planner(handlers):
    alone = Handlers(handlers.dit, None, Unsupported("there is none"), "cpu")

    with pytest.raises(Unsupported, match="there is none"):
        Music().prepare(alone, THOUGHTFUL)


def test_checkpoints_without_a_planner_load_without_one(tmp_path):
    with pytest.raises(Unsupported, match="has no acestep-5Hz-lm-0\\.6B"):
        load_lm(settings(tmp_path), tmp_path)


def test_a_folder_given_as_scale_holds_the_checkpoints(tmp_path):
    assert checkpoints(settings(tmp_path, scale=str(tmp_path))) == tmp_path


@pytest.mark.parametrize("cell", [cell for cell in STAGES_MATRIX.quick if cell["stage"] != "VAEDecode"], ids=key)
def test_every_stage_runs_alone(models, cell):
    sample = Stages().prepare(models, cell)()

    assert 0 < sample.series["time"] <= sample.timed_s
    assert sample.work.items() >= cell.items()


@pytest.mark.parametrize("tiled", [False, True])
def test_the_decoder_is_told_whether_to_tile(models, tiled):
    Stages().prepare(models, {"stage": "VAEDecode", "duration": 30, "tiled": tiled})()

    assert models.synthesizer("turbo").decoding.strategy.path == ("tiled" if tiled else "whole")


@pytest.mark.parametrize(("window", "batch", "again"), [(0, 2, None), (128, 1, 0.12), (512, 2, 0.024)])
def test_a_batch_is_decoded_whole_or_in_windows_that_share_frames(models, window, batch, again):
    cell = {"stage": "VAEWindows", "duration": 30, "window": window, "batch": batch}
    sample = Stages().prepare(models, cell)()

    assert models.synthesizer("turbo").decoding.strategy.items == (1 if window else batch)
    assert sample.series.get("extra_work") == (again and pytest.approx(again))


def test_another_way_of_decoding_than_asked_for_is_a_failure(models, turbo, monkeypatch):
    decode = turbo.decode_latents

    def as_usual(latents, tiled, window_frames):
        return decode(latents, tiled=tiled and window_frames == 0)

    monkeypatch.setattr(turbo, "decode_latents", as_usual)
    take = Stages().prepare(models, {"stage": "VAEWindows", "duration": 30, "window": 128, "batch": 1})

    with pytest.raises(CellFailed, match=r"decoded whole, 1 items .* 750 frames .* instead of tiled, 1 items .* 128"):
        take()


def test_an_encoder_that_hears_less_than_it_should_is_a_failure(models, turbo, monkeypatch):
    monkeypatch.setattr(turbo, "encode_audio", lambda waveform: waveform[:, :4].T)

    with pytest.raises(CellFailed, match="encoded 4 latent frames instead of 5"):
        Stages().prepare(models, {"stage": "VAEEncode", "duration": 0.2})()


@pytest.mark.usefixtures("before_probe")
def test_a_decoder_without_windows_is_too_old_for_them(models, turbo, monkeypatch):
    def decode_latents(latents, tiled=True):
        return latents, tiled

    monkeypatch.setattr(turbo, "decode_latents", decode_latents)

    with pytest.raises(Unsupported, match="decode_latents does not take window_frames"):
        Stages().prepare(models, {"stage": "VAEWindows", "duration": 30, "window": 128, "batch": 1})


@pytest.mark.parametrize("audio_format", STAGES_AXES["AudioSave"]["format"])
def test_every_format_can_be_saved(models, audio_format):
    Stages().prepare(models, {"stage": "AudioSave", "format": audio_format, "duration": 1})()


def test_every_stage_has_a_workload():
    assert stages.PREPARE_STAGE.keys() == STAGES_AXES.keys() > stages.CHECK_STAGE.keys()


def test_every_component_has_a_workload():
    assert [*startup.LOADS] == [*STARTUP_AXES["Load"]["component"]]


def test_importing_and_loading_are_measured_in_processes_of_their_own(tmp_path):
    chosen = settings(tmp_path, cells="stage=Import,target=acestep;component=lm;component=lm_grammar")
    records = measure_matrix(STARTUP_MATRIX, chosen, known=(STARTUP_MATRIX,))

    assert [record["status"] for record in records.values()] == ["ok", "ok", "ok"], records
    assert {record["host"]["workload"] for record in records.values()} == {frozen_digest()}
    loaded = records["stage=Load,component=lm"]["samples"]
    assert len(set(loaded["memory"])) == 1
    assert loaded["memory"][0] > 100_000


def test_what_fails_in_a_fork_is_told_by_its_parent():
    script = (
        "from benchmarks.harness.workloads.startup import in_fork\n"
        "import os\n"
        "assert in_fork(lambda: [os.getpid()]) != [os.getpid()]\n"
        "from benchmarks.harness.adapters.lookup import find\n"
        "for deed in (lambda: 1 / 0, lambda: os._exit(3), lambda: find('acestep.nowhere')):\n"
        "    try: in_fork(deed)\n"
        "    except Exception as error: print(type(error).__name__, error)\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)

    assert done.stdout.splitlines() == [
        "CellFailed ZeroDivisionError: division by zero",
        "CellFailed the loading process died",
        "Unsupported this commit has no module acestep.nowhere",
    ]
    assert startup.in_fork is in_fork
