"""The workload of the tasks, on the tiny base model, whose encoder is as slow as the released one."""

import tempfile

import pytest

from acestep import inference, synthetic
from benchmarks.harness.matrices import TASKS_MATRIX
from benchmarks.harness.settings import Settings
from benchmarks.harness.workload import CellFailed, Unsupported
from benchmarks.harness.workloads import tasks
from benchmarks.harness.workloads.tasks import Tasks, write_audio

REPAINT = {"stage": "Types", "task": "repaint", "reference": False}
REFERENCE = {"stage": "Types", "task": "text2music", "reference": True}


def settings(folder, **changes):
    plain = {"scale": "tiny", "device": "cpu", "cells": "quick", "commit": "", "environment": "none"}
    return Settings(**{**plain, "conf_dir": str(folder), "journal": str(folder / "journal"), **changes})


@pytest.fixture(scope="module")
def studio(tmp_path_factory):
    folder = tmp_path_factory.mktemp("studio")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tempfile, "tempdir", str(folder))
        patch.setenv("ACESTEP_CHECKPOINTS_DIR", "")
        return Tasks().load(settings(folder))


@pytest.fixture
def _quick_ears(studio, monkeypatch):
    """An encoder that takes no time, and hears what any waveform is like."""
    monkeypatch.setattr(studio.dit, "encode_audio", lambda heard: heard[:, ::1920].mean(0)[:, None].repeat(1, 64))


def taken(studio, cell):
    return Tasks().prepare(studio, cell)()


@pytest.mark.usefixtures("_quick_ears")
def test_every_task_does_its_work_and_has_an_output_of_its_own(studio):
    outputs = set()
    for cell in TASKS_MATRIX.cells:
        sample = taken(studio, cell)
        source, reference = cell["stage"] == "Types" and cell["task"] != "text2music", cell.get("reference", False)
        windowed, codes = cell["task"] in ("repaint", "lego"), cell["stage"] == "FromCodes"

        assert sample.work["encoded_samples"] == 48_000 * (10 * source + 30 * reference), cell
        assert sample.work["span"] == ("repainting 75 150" if windowed else "full 0 250"), cell
        assert sample.work["codes"] == 50 * codes, cell
        assert (sample.work["audio_samples"], sample.work["steps"], sample.work["dit_rows"]) == (480_000, 8, 16)
        assert [name in sample.series for name in tasks.FILES] == [source or reference, source, reference], cell
        outputs.add(sample.series["fingerprint"])

    assert len(outputs) == len(TASKS_MATRIX.cells)


def test_a_real_source_is_encoded_and_the_stages_add_up_to_the_wall_time(tmp_path, studio, monkeypatch):
    monkeypatch.setattr(tasks, "PIECE_S", 6)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    short = tasks.TaskState(studio.dit, write_audio(tmp_path / "short.wav", 6), studio.reference, "cpu")
    series = taken(short, REPAINT).series

    assert series["source_encode"] > 0.5 * series["wall"]
    assert sum(series.get(stage, 0.0) for stage in tasks.TASK_TIME_COSTS) == pytest.approx(series["wall"], rel=0.02)
    assert series["s_per_audio_s"] == pytest.approx(series["wall"] / 6)


@pytest.mark.usefixtures("_quick_ears")
@pytest.mark.parametrize(
    ("cell", "changes", "told"),
    [
        (REPAINT, {"repainting_start": 0.0}, "span repainting 0 150 instead of repainting 75 150"),
        (REPAINT, {"guidance_scale": 1.0}, "dit_rows 8 instead of 16"),
        (REFERENCE, {"reference_audio": None}, "encoded_samples 0 instead of 1440000"),
        (REFERENCE, {"duration": 11.0}, "audio_samples 528000 instead of 480000"),
    ],
)
def test_other_work_than_asked_for_is_a_failure(studio, monkeypatch, cell, changes, told):
    generate = inference.generate_music

    def otherwise(dit, lm, params, config, **kwargs):
        for name, value in changes.items():
            setattr(params, name, value)
        return generate(dit, lm, params, config, **kwargs)

    monkeypatch.setattr(inference, "generate_music", otherwise)

    with pytest.raises(CellFailed, match=told):
        taken(studio, cell)


def test_a_task_that_the_model_refuses_fails_with_its_error(studio, monkeypatch):
    monkeypatch.setitem(tasks.TASKS, "extract", {"track_name": "no such track"})

    with pytest.raises(CellFailed, match="no such track"):
        taken(studio, {"stage": "FromCodes", "task": "extract"})


def test_a_commit_without_tasks_is_too_old(tmp_path, monkeypatch):
    class GenerationParams:
        def __init__(self, caption="", lyrics="", duration=-1.0):
            pass

    monkeypatch.setattr(inference, "GenerationParams", GenerationParams)

    with pytest.raises(Unsupported, match=r"GenerationParams does not take .*src_audio.*track_name"):
        Tasks().load(settings(tmp_path))


@pytest.mark.usefixtures("before_probe")
def test_a_commit_without_other_families_has_no_full_ones(tmp_path, monkeypatch):
    def cached(scale, planners=("0.6B",)):
        return scale, planners

    monkeypatch.setattr(synthetic, "cached", cached)

    with pytest.raises(Unsupported, match="cached does not take dits"):
        Tasks().load(settings(tmp_path, scale="full"))


def test_checkpoints_without_a_base_model_have_no_tasks(tmp_path):
    with pytest.raises(Unsupported, match="has no acestep-v15-base"):
        Tasks().load(settings(tmp_path, scale=str(tmp_path)))


def test_the_same_files_are_written_every_time(tmp_path):
    one, other = (write_audio(tmp_path / name, 1) for name in ("one.wav", "other.wav"))

    with open(one, "rb") as first, open(other, "rb") as second:
        assert first.read() == second.read()
