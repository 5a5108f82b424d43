"""The arithmetic behind the page: levels, noise, names, time spent."""

from __future__ import annotations

import math
import random

import pytest
from asv.step_detect import detect_steps

from benchmarks.harness.exact import EXACT
from benchmarks.harness.matrices import MATRICES
from benchmarks.harness.progress import LedgerLine
from scripts.site import ledger, names
from scripts.site.changes import Point, Step, exact_changes, last_change, run_to_run
from scripts.site.environments import environment_label, varying_parameters
from scripts.site.history import Environment
from scripts.site.regressions import inverted
from scripts.site.values import ordinals


def series(*values: float, spread: float = 0.01) -> dict[int, Point]:
    return {at: Point(value, value * (1 - spread), value * (1 + spread)) for at, value in enumerate(values)}


def one_step_each(points: dict[int, Point]) -> list[Step]:
    return [Step(at, at, point.value) for at, point in points.items()]


def asv_steps(points: dict[int, Point]) -> list[Step]:
    values = [point.value for point in points.values()]
    return [Step(first, end - 1, value) for first, end, value, _, _ in detect_steps(values)]


def test_a_step_beyond_the_intervals_is_the_last_change() -> None:
    points = series(1.0, 1.01, 1.5, 1.49)
    change = last_change(points, [Step(0, 1, 1.005), Step(2, 3, 1.495)])
    assert change is not None
    assert change.real
    assert (change.since, change.revision) == (1, 2)
    assert change.after / change.before == pytest.approx(1.4876, abs=1e-3)


def test_every_commit_its_own_step_still_finds_the_one_real_change() -> None:
    points = series(1.0, 1.012, 1.5, 1.491)
    change = last_change(points, one_step_each(points))
    assert change is not None
    assert change.real
    assert change.revision == 2


@pytest.mark.parametrize("ratio", [1.015, 0.985])
def test_a_change_inside_the_intervals_is_not_real(ratio: float) -> None:
    points = series(1.0, 1.0 * ratio)
    change = last_change(points, one_step_each(points))
    assert change is not None
    assert not change.real
    assert change.noise >= abs(change.after - change.before)


def test_narrow_intervals_do_not_turn_jitter_between_commits_into_changes() -> None:
    noise = random.Random(5)
    alarms = 0
    for _ in range(20):
        points = series(*(noise.gauss(1.0, 0.02) for _ in range(30)), spread=0.0005)
        change = last_change(points, asv_steps(points))
        alarms += change is not None and change.real
    assert alarms <= 1


def test_the_newest_commit_alone_can_be_a_change() -> None:
    noise = random.Random(5)
    points = series(*(noise.gauss(1.0, 0.01) for _ in range(30)), 1.12, spread=0.01)
    assert len(asv_steps(points)) == 1, "asv's step detection waits for a second commit"
    change = last_change(points, asv_steps(points))
    assert change is not None
    assert change.real
    assert change.revision == 30


def test_small_differences_between_few_commits_are_noise_however_narrow_their_intervals() -> None:
    points = series(1.0, 1.03, 1.04, spread=0.0005)
    change = last_change(points, asv_steps(points))
    assert change is not None
    assert not change.real


def test_many_small_steps_add_up_to_a_change() -> None:
    points = series(*(1.015**at for at in range(12)), spread=0.005)
    change = last_change(points, one_step_each(points))
    assert change is not None
    assert change.real
    assert change.after > change.before


def test_one_commit_has_no_change() -> None:
    points = series(1.0)
    assert last_change(points, one_step_each(points)) is None


def test_a_single_step_hardly_moves_the_run_to_run_noise() -> None:
    assert run_to_run([1, 1.01, 1, 1.01, 2, 2.01, 2, 2.01]) < 0.02


def test_exact_series_change_at_any_difference_and_outputs_at_more_than_rounding() -> None:
    assert [change.revision for change in exact_changes(series(5, 5, 6, 6))] == [2]
    rounding = series(1.02, 1.02 * (1 + 3e-6), 1.05)
    assert [change.revision for change in exact_changes(rounding, 1e-4)] == [2]
    assert [change.revision for change in exact_changes(series(0.0, 3e-7, 0.01, 0.01002), least=1e-4)] == [2]


def test_an_output_that_comes_back_has_its_old_number() -> None:
    assert ordinals([1.0, 1.0 + 1e-6, None, 2.0, 1.0], 1e-4) == [0, 0, None, 1, 0]


def test_improvements_are_the_regressions_of_the_reciprocal() -> None:
    [(first, end, value, _, error)] = inverted([(0, 3, 2.0, 1.9, 0.1)])
    assert (first, end, value) == (0, 3, 0.5)
    assert error == pytest.approx(1 / 1.95 - 1 / 2.05, rel=0.6)
    assert inverted([(0, 3, 0.0, 0.0, 0.0)]) == []


@pytest.mark.parametrize(
    ("benchmark", "label", "stage"),
    [
        ("generate.GenerateMusic.track_vae", "VAE decode", "VAE decode"),
        ("generate.GenerateMusic.track_dit_step", "DiT, one step", "DiT"),
        ("generate.GenerateMusic.track_wall", "Wall time", "Whole generation"),
        ("stages.VAEDecode.track_time", "VAE decode, alone", "VAE decode"),
        ("stages.DiTForward.track_peak_memory", "DiT forward, alone, peak memory", "DiT"),
        ("planner.DecodeStep.track_time", "Planner: decode step", "LM planner"),
        ("planner.ChainOfThought.track_s_per_token", "Planner: chain of thought, seconds per token", "LM planner"),
        ("apis.Understand.track_wall", "understand_music, wall time", "APIs"),
        ("startup.Load.track_memory", "Load, memory", "Load"),
        ("tasks.Types.track_wall", "Task, wall time", "Tasks"),
        ("tasks.Types.track_source_encode", "Task, encoding the source", "Tasks"),
        ("tasks.FromCodes.track_dit_step", "Task from audio codes, DiT, one step", "DiT"),
        ("options.Generate.track_vae", "Options, VAE decode", "VAE decode"),
        ("options.Generate.track_transfer_bytes", "Options, bytes of moved weights", "Options"),
        ("stages.VAEWindows.track_extra_work", "VAE windows, alone, share decoded again", "VAE decode"),
        ("stages.VAEEncode.track_time", "VAE encode, alone", "VAE encode"),
        ("stages.DiTStep.track_time", "DiT step, alone", "DiT"),
        ("stages.DiTStep.track_allocated_bytes", "DiT step, alone, bytes allocated", "DiT"),
        ("planner.DecodeStep.track_operators", "Planner: decode step, operator calls", "LM planner"),
        ("generate.GenerateMusic.track_distance", "Distance to the reference", "Whole generation"),
    ],
)
def test_series_and_stages_have_names_for_people(benchmark: str, label: str, stage: str) -> None:
    assert names.series_label(benchmark) == label
    assert names.stage_label(benchmark) == stage


@pytest.mark.parametrize(
    ("name", "value", "text"),
    [
        ("duration", "0.2", "0.2 s"),
        ("task", "'cover'", "cover"),
        ("family", "'xl-base'", "xl-base"),
        ("reference", "True", "with reference"),
        ("reference", "False", "no reference"),
        ("offload", "'none'", "no offload"),
        ("offload", "'models'", "encoder and VAE offloaded"),
        ("offload", "'all'", "all offloaded"),
        ("quantization", "'none'", "not quantized"),
        ("quantization", "'int8_weight_only'", "int8_weight_only"),
        ("compile", "True", "compiled"),
        ("compile", "False", "not compiled"),
        ("window", "0", "whole"),
        ("window", "128", "windows of 128 frames"),
        ("tiled", "True", "tiled on"),
    ],
)
def test_parameters_have_texts_for_people(name: str, value: str, text: str) -> None:
    assert names.parameter_text(name, value) == text


def test_every_module_of_benchmarks_is_a_group_and_every_count_is_exact() -> None:
    assert list(names.GROUPS) == [matrix.name for matrix in MATRICES]
    assert {"transfers", "layers", "graphs"} <= set(names.EXACT_UNITS)
    assert {EXACT[name][0] for name in ("operators", "flop", "allocated_bytes", "distance")} <= set(names.EXACT_UNITS)


def test_environments_are_told_apart_by_what_they_have() -> None:
    common = {"machine": "bench-1", "python": "3.11", "torch": "2.13.0", "numpy": "2.3.5"}
    found = dict.fromkeys(common) | {"machine": "bench-1", "python": "/home/ada/.venv/bin/python"}
    parameters: list[dict[str, str | None]] = [{**common, "mlx": None}, {**common, "mlx": "0.32.4"}, found]
    environments = [Environment(one, [], [], None) for one in parameters]
    varying = varying_parameters(environments)

    assert [environment_label(one, varying) for one in environments] == [
        "bench-1 · torch 2.13.0",
        "bench-1 · torch 2.13.0 · mlx 0.32.4",
        "bench-1 · /home/ada/.venv/bin/python",
    ]


def line(**changes: float) -> LedgerLine:
    spent = {"measuring_s": 60.0, "warmup_s": 10.0, "loading_s": 5.0, "cells": 4}
    return LedgerLine("generate", "c0ffee", "env", started_unix=100.0, **(spent | changes))  # type: ignore[arg-type]


def test_the_summary_adds_up_to_the_whole_run() -> None:
    said = ledger.summary([line(), line(cells=1, failed=1, resumed=3)], elapsed_s=200.0)
    assert said == (
        "Measuring took 60 % of 200 s (warm-up 10 %, loading models 5 %, building and asv 25 %); "
        "5 cells, 3 more kept from an earlier run, 1 failed."
    )


def test_nothing_is_said_when_nothing_was_to_be_measured() -> None:
    assert ledger.summary([], elapsed_s=3.0) is None


def test_infinite_intervals_do_not_reach_the_page() -> None:
    from scripts.site.history import _interval

    assert _interval({"ci_99_a": -math.inf, "ci_99_b": math.inf, "q_25": 1.0, "q_75": 2.0}) == (1.0, 2.0)
    assert _interval({}) is None
