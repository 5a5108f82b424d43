"""The arithmetic behind the page: changes, surroundings, names, time spent."""

from __future__ import annotations

import json
import math
import re
from pathlib import Path

import numpy as np
import pytest

from benchmarks.harness.matrices import MATRICES
from benchmarks.harness.progress import LedgerLine
from benchmarks.harness.suite import all_series
from scripts.tracker import labels
from scripts.tracker.history.changes import Point, exact_changes, latest, level_changes
from scripts.tracker.history.environment_labels import environment_label, varying_parameters
from scripts.tracker.history.host_facts import breaks
from scripts.tracker.history.model import Environment, _interval, median_error
from scripts.tracker.numbers import ordinals
from scripts.tracker.running import time_spent


def series(*values: float, error: float = 0.01) -> dict[int, Point]:
    return {at: Point(value, error=error * value) for at, value in enumerate(values)}


def test_a_change_names_the_revisions_around_it_whatever_their_numbers() -> None:
    points = {10 * at: point for at, point in series(1.0, 1.01, 1.0, 1.5, 1.49).items()}
    [change] = level_changes(points)
    assert (change.since, change.revision) == (20, 30)
    assert change.ratio == pytest.approx(1.49, abs=1e-3)
    assert change.persists
    assert latest(points, [change]) == change


def test_nothing_is_compared_across_a_break() -> None:
    points = series(1.0, 1.01, 1.0, 1.5, 1.49, 1.5)
    assert level_changes(points, breaks=[3]) == []
    assert [change.revision for change in level_changes(points, breaks=[4])] == [3]
    assert exact_changes(points, breaks=[1, 2, 3, 4, 5]) == []


def test_a_series_without_changes_compares_its_last_two_commits() -> None:
    points = series(1.0, 1.01, 1.02)
    change = latest(points, level_changes(points))
    assert change is not None
    assert (change.since, change.revision, change.probability) == (1, 2, 0.0)
    assert latest(series(1.0), []) is None


def test_small_differences_between_few_commits_are_noise_however_narrow_their_intervals() -> None:
    assert level_changes(series(1.0, 1.03, 1.04, error=0.0005)) == []


def test_a_threshold_hides_what_is_smaller() -> None:
    points = series(*[100.0] * 6, *[105.0] * 6, error=0.0)
    assert len(level_changes(points, smallest=0.02)) == 1
    assert level_changes(points, smallest=0.1) == []


def test_exact_series_change_at_any_difference_and_outputs_at_more_than_rounding() -> None:
    [change] = exact_changes(series(5, 5, 6, 6))
    assert (change.revision, change.probability, change.interval, change.persists) == (2, 1.0, (1.2, 1.2), True)
    rounding = series(1.02, 1.02 * (1 + 3e-6), 1.05)
    assert [change.revision for change in exact_changes(rounding, tolerance=1e-4)] == [2]
    assert [change.revision for change in exact_changes(series(0.0, 3e-7, 0.01, 0.01002), least=1e-4)] == [2]


def test_an_exact_change_stands_until_the_value_is_back() -> None:
    assert [change.persists for change in exact_changes(series(5, 6, 5))] == [False, True]
    assert [change.persists for change in exact_changes(series(5, 7, 6))] == [True, True]
    assert [change.ratio for change in exact_changes(series(0, 2))] == [math.inf]


def test_an_output_that_comes_back_has_its_old_number() -> None:
    assert ordinals([1.0, 1.0 + 1e-6, None, 2.0, 1.0], 1e-4) == [0, 0, None, 1, 0]


@pytest.mark.parametrize(
    ("benchmark", "label", "stage"),
    [
        ("generate.GenerateMusic.track_time_vae", "VAE decode", "VAE decode"),
        ("generate.GenerateMusic.track_time_dit_step", "DiT, one step", "DiT"),
        ("generate.GenerateMusic.track_time_wall", "Wall time", "Whole generation"),
        ("stages.VAEDecode.track_time", "VAE decode, alone", "VAE decode"),
        ("stages.DiTForward.track_peak_memory", "DiT forward, alone, peak memory", "DiT"),
        ("planner.DecodeStep.track_time", "Planner: decode step", "LM planner"),
        ("planner.ChainOfThought.track_s_per_token", "Planner: chain of thought, seconds per token", "LM planner"),
        ("apis.Understand.track_time_wall", "understand_music, wall time", "APIs"),
        ("startup.Load.track_memory", "Load, memory", "Load"),
        ("tasks.Types.track_time_wall", "Task, wall time", "Tasks"),
        ("tasks.Types.track_time_source_encode", "Task, encoding the source", "Tasks"),
        ("tasks.FromCodes.track_time_dit_step", "Task from audio codes, DiT, one step", "DiT"),
        ("options.Generate.track_time_vae", "Options, VAE decode", "VAE decode"),
        ("options.Generate.track_transfer_bytes", "Options, bytes of moved weights", "Options"),
        ("stages.VAEWindows.track_extra_work", "VAE windows, alone, share decoded again", "VAE decode"),
        ("stages.VAEEncode.track_time", "VAE encode, alone", "VAE encode"),
        ("tiers.Resolve.track_batch_shortfall", "Tier, largest batch, short of 8", "Tier"),
        ("planner.Constraint.track_time_mask", "Planner: constraint, mask, per chosen token", "LM planner"),
        ("stages.DiTStep.track_time", "DiT step, alone", "DiT"),
        ("stages.DiTStep.track_allocated_bytes", "DiT step, alone, bytes allocated", "DiT"),
        ("planner.DecodeStep.track_operators", "Planner: decode step, operator calls", "LM planner"),
        ("generate.GenerateMusic.track_distance", "Distance to the reference", "Whole generation"),
    ],
)
def test_series_and_stages_have_names_for_people(benchmark: str, label: str, stage: str) -> None:
    assert labels.series_label(benchmark) == label
    assert labels.stage_label(benchmark) == stage


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
    assert labels.parameter_text(name, value) == text


def test_every_module_of_benchmarks_is_a_group() -> None:
    assert list(labels.GROUPS) == [matrix.name for matrix in MATRICES]


def test_labels_tell_all_series_apart() -> None:
    pairs = [(labels.group_label(name), labels.series_label(name)) for name in all_series()]
    assert len(set(pairs)) == len(pairs)
    assert not any("track" in label or "time wall" in label for _, label in pairs)


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
    spent = {"timed_s": 59.0, "exact_s": 12.0, "warmup_s": 10.0, "untimed_s": 4.0, "loading_s": 5.0, "cells": 4}
    return LedgerLine("generate", "c0ffee", "env", started_unix=100.0, **(spent | changes))  # type: ignore[arg-type]


def test_the_summary_adds_up_to_the_whole_run() -> None:
    said = time_spent.summary([line(), line(cells=1, failed=1, resumed=3)], elapsed_s=200.0, building_s=5.0)
    assert said == (
        "Measuring took 200 s: timed samples 59 %, exact metrics 12 %, warm-up 10 %, untimed work 4 %, "
        "loading models 5 %, building 3 %, asv 7 %; 5 cells, 3 more kept from an earlier run, 1 failed."
    )


@pytest.mark.parametrize("elapsed_s", [90.0, 91.3, 1117.0, 12345.6])
def test_shares_are_whole_percents_that_add_up_to_a_hundred(elapsed_s: float) -> None:
    said = time_spent.summary([line()], elapsed_s, building_s=0.3)
    assert said is not None
    assert sum(map(int, re.findall(r"(\d+) %", said))) == 100


def test_a_ledger_of_an_older_version_is_read(tmp_path: Path) -> None:
    kept = {"matrix": "tiers", "commit": "c", "environment": "e", "started_unix": 7.0, "measuring_s": 3.0, "cells": 2}
    (tmp_path / "ledger.jsonl").write_text(json.dumps(kept) + "\n")
    assert [one.cells for one in time_spent.read_ledger(tmp_path, since_unix=5.0)] == [2]
    assert time_spent.read_ledger(tmp_path, since_unix=8.0) == []


def test_nothing_is_said_when_nothing_was_to_be_measured() -> None:
    assert time_spent.summary([], elapsed_s=3.0) is None


def test_infinite_intervals_do_not_reach_the_page() -> None:
    assert _interval({"ci_99_a": -math.inf, "ci_99_b": math.inf, "q_25": 1.0, "q_75": 2.0}) == (1.0, 2.0)
    assert _interval({}) == (None, None)


def test_the_error_of_a_median_is_that_of_normal_samples() -> None:
    noise = np.random.default_rng(3).normal(10.0, 0.2, (4000, 25))
    low, high = np.quantile(noise, [0.25, 0.75])
    assert median_error({"q_25": low, "q_75": high, "repeat": 25}) == pytest.approx(
        np.median(noise, axis=1).std(), rel=0.05
    )
    assert median_error({"q_25": 1.0}) == 0.0


def test_a_fact_that_changes_is_a_break_and_one_that_is_missing_is_none() -> None:
    facts = [
        (1, {"torch": "2.12"}),
        (4, {}),
        (5, {"torch": "2.12", "driver": "570"}),
        (9, {"torch": "2.13", "driver": "570"}),
    ]
    assert breaks(facts) == {9: "torch 2.12 → 2.13"}


def test_another_workload_is_a_break() -> None:
    assert breaks([(1, {"workload": "0df7"}), (2, {"workload": "0df7"}), (3, {"workload": "c0de"})]) == {
        3: "workload 0df7 → c0de"
    }
