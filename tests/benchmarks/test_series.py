"""What asv gets to see: its classes, their parameters, units and values."""

import json
import math
import re
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.generate import GenerateMusic
from benchmarks.harness.exact import EXACT_METRICS
from benchmarks.harness.matrices import MATRICES
from benchmarks.harness.matrix import WHOLE
from benchmarks.harness.record import Record
from benchmarks.harness.series_types import EXACT_TYPES, MEMORY, RATIO, TIME
from benchmarks.harness.suite import all_series
from benchmarks.stages import VAEDecode
from benchmarks.tiers import Resolve

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"
ALONE = {"generate": "GenerateMusic", "options": "Generate"}
"""Classes that have their module, and so a matrix whose cells name no stage, to themselves."""
DISCOVER = """
import json, sys
from asv_runner.discovery import list_benchmarks
with open(sys.argv[2], "w") as file:
    list_benchmarks(sys.argv[1], file)
print(json.dumps([name for name in ("torch", "acestep", "transformers") if name in sys.modules]))
"""


@pytest.fixture(scope="module")
def discovered(tmp_path_factory):
    """asv's own view of the suite, and the heavy modules that looking at it has imported."""
    path = tmp_path_factory.mktemp("discovery") / "benchmarks.json"
    command = [sys.executable, "-c", DISCOVER, str(BENCHMARKS), str(path)]
    done = subprocess.run(command, cwd=path.parent, capture_output=True, text=True, check=True)
    return {entry["name"]: entry for entry in json.loads(path.read_text())}, json.loads(done.stdout)


def test_asv_s_server_imports_nothing_heavy(discovered):
    assert discovered[1] == []


def test_every_series_of_music_is_found_with_its_unit(discovered):
    units = {
        name.removeprefix("generate.GenerateMusic.track_"): (entry["unit"], entry["type"])
        for name, entry in discovered[0].items()
        if name.startswith("generate.")
    }

    stages = ("lm", "text_encode", "condition", "code_decode", "dit", "dit_step", "vae", "post", "save", "other")
    assert units == {
        **{f"time_{name}": ("seconds", "time") for name in ("wall", *stages)},
        "s_per_audio_s": ("s/s", "track"),
        "peak_memory": ("bytes", "memory"),
        "tokens": ("tokens", "cost"),
        "forwards": ("forwards", "cost"),
        "fingerprint": ("fingerprint", "fingerprint"),
        "operators": ("operators", "cost"),
        "flop": ("FLOP", "cost"),
        "allocated_bytes": ("bytes", "cost"),
        "distance": ("distance", "distance"),
    }


def test_times_and_only_times_are_called_so(discovered):
    for name, entry in discovered[0].items():
        assert (entry["type"] == "time") == bool(re.search(r"\.track_time(_\w+)?$", name)), name
        assert entry["type"] != "time" or entry["unit"] == "seconds"


def test_every_type_is_known_and_every_unit_is_one(discovered):
    assert {entry["type"] for entry in discovered[0].values()} <= EXACT_TYPES | {TIME, MEMORY, RATIO}
    assert not any("exact" in entry["unit"] or "allowed" in entry["unit"] for entry in discovered[0].values())


def test_every_name_stands_in_the_file_of_its_class(discovered):
    for name in discovered[0]:
        module, _, series = name.split(".")
        assert f"    {series} = " in (BENCHMARKS / f"{module}.py").read_text(), name


def test_the_classes_and_series_are_those_that_asv_finds(discovered):
    assert {name: (series.type, series.unit) for name, series in all_series().items()} == {
        name: (entry["type"], entry["unit"]) for name, entry in discovered[0].items()
    }


def test_what_grows_as_a_tier_allows_more_is_shown_by_what_it_lacks():
    record = Record(
        "tiers", {"stage": "Resolve", "vram_gb": 8}, "ok", samples={"max_duration": [480.0], "max_batch": [8.0]}
    )
    stored = {"stage=Resolve,vram_gb=8": record.to_dict()}

    assert Resolve().track_duration_shortfall(stored, 8) == {"samples": [120.0], "number": 1}
    assert Resolve().track_batch_shortfall(stored, 8) == {"samples": [0.0], "number": 1}
    assert math.isnan(Resolve().track_planner_shortfall(stored, 8))


def test_companions_are_tracked_where_a_cell_has_them(discovered):
    tracked = {}
    for name in discovered[0]:
        owner, _, series = name.rpartition(".track_")
        if series in EXACT_METRICS and not owner.startswith(("footprint", "tiers")):
            tracked.setdefault(series, set()).add(owner.partition(".")[0])

    assert {"generate", "stages", "planner", "apis"} <= tracked["operators"] & tracked["distance"]
    assert {"generate", "stages"} <= tracked["flop"] & tracked["allocated_bytes"]
    assert not any("AudioSave.track_distance" in name or "Prefill.track_distance" in name for name in discovered[0])


def test_every_benchmark_has_a_fixed_version_a_title_and_time_to_finish(discovered):
    assert len({entry["pretty_name"] for entry in discovered[0].values()}) == len(discovered[0])
    for entry in discovered[0].values():
        distance = entry["name"].endswith("track_distance")
        assert re.fullmatch(r"reference-[0-9a-f]{12}" if distance else r"\d+", entry["version"]), entry["name"]
        assert entry["setup_cache_timeout"] >= 3600


def test_each_module_measures_once_for_all_its_classes(discovered):
    keys = {(name.split(".")[0], entry["setup_cache_key"]) for name, entry in discovered[0].items()}

    assert sorted(module for module, _ in keys) == sorted(matrix.name for matrix in MATRICES)


@pytest.mark.parametrize("matrix", MATRICES, ids=lambda matrix: matrix.name)
def test_the_parameters_that_asv_sees_are_the_cells_that_are_measured(discovered, matrix):
    seen = set()
    for name, entry in discovered[0].items():
        module, stage, _ = name.split(".")
        if module == matrix.name:
            lists = dict(zip(entry["param_names"], entry["params"], strict=True))
            seen.add((stage, json.dumps(lists)))
    expected = {}
    for cell in matrix.cells:
        parameters = {name: value for name, value in cell.items() if name != "stage"}
        lists = expected.setdefault(cell.get("stage", ALONE.get(matrix.name)), {name: [] for name in parameters})
        for name, value in parameters.items():
            lists[name] += [] if repr(value) in lists[name] else [repr(value)]

    assert seen == {(stage, json.dumps(lists)) for stage, lists in expected.items()}


def records(status="ok", **changes):
    cell = {"duration": 30, "batch": 1, "thinking": False, "steps": 8}
    record = Record("generate", cell, status, samples={"wall": [1.0, 2.0]} if status == "ok" else {}, **changes)
    return {"duration=30,batch=1,thinking=False,steps=8": record.to_dict()}


def test_the_samples_of_a_cell_go_to_asv():
    music = GenerateMusic()
    music.setup(records(), 30, 1, False, 8)

    assert music.track_time_wall(records(), 30, 1, False, 8) == {"samples": [1.0, 2.0], "number": 1}


def test_a_companion_of_a_cell_is_one_number_and_none_where_it_was_not_counted():
    counted = records(exact={"operators": 5827, "distance": 0.0})

    assert GenerateMusic().track_operators(counted, 30, 1, False, 8) == 5827.0
    assert GenerateMusic().track_distance(counted, 30, 1, False, 8) == 0.0
    assert math.isnan(GenerateMusic().track_flop(counted, 30, 1, False, 8))


def test_exact_metrics_that_could_not_be_counted_have_failed_and_times_have_not():
    uncounted = records(exact={"uncounted": "RuntimeError: no such operator"})
    music = GenerateMusic()
    music.setup(uncounted, 30, 1, False, 8)

    for track in (music.track_operators, music.track_distance, music.track_peak_memory):
        with pytest.raises(RuntimeError, match="not counted: RuntimeError: no such operator"):
            track(uncounted, 30, 1, False, 8)
    assert music.track_time_wall(uncounted, 30, 1, False, 8)["samples"] == [1.0, 2.0]
    assert math.isnan(music.track_time_lm(uncounted, 30, 1, False, 8))


def test_a_series_that_the_cell_does_not_have_is_not_available():
    assert math.isnan(GenerateMusic().track_time_lm(records(), 30, 1, False, 8))


@pytest.mark.parametrize(
    ("given", "params"),
    [
        ({}, (30, 1, False, 8)),
        (records(), (60, 1, False, 8)),
        (records("skip", reason="the commit is too old"), (30, 1, False, 8)),
    ],
    ids=["nothing measured", "another cell", "unsupported"],
)
def test_cells_without_samples_are_not_available_and_asv_prints_nothing_about_them(given, params):
    GenerateMusic().setup(given, *params)

    assert math.isnan(GenerateMusic().track_time_wall(given, *params))


@pytest.mark.parametrize("status", ["fail", "oom", "timeout"])
def test_a_failed_cell_fails_with_its_reason(status):
    with pytest.raises(RuntimeError, match=f"{status}: it fell over"):
        GenerateMusic().setup(records(status, reason="it fell over"), 30, 1, False, 8)


def test_what_stops_the_whole_matrix_is_told_once_a_series():
    whole = {WHOLE: Record("generate", {}, "fail", "no such cells").to_dict()}

    with pytest.raises(RuntimeError, match="no such cells"):
        GenerateMusic().setup(whole, 30, 1, False, 8)
    GenerateMusic().setup(whole, 30, 1, False, 16)
    assert math.isnan(GenerateMusic().track_time_wall(whole, 30, 1, False, 16))


def test_a_stage_reads_the_records_of_its_own_name():
    record = Record("stages", {"stage": "VAEDecode", "duration": 30, "tiled": True}, "ok", samples={"time": [3.0]})
    stored = {"stage=VAEDecode,duration=30,tiled=True": record.to_dict()}

    assert VAEDecode().track_time(stored, 30, True) == {"samples": [3.0], "number": 1}
    assert math.isnan(VAEDecode().track_time(stored, 30, False))
