"""What asv asks for and what the harness measures are one set, and no run replaces a number by "not chosen"."""

from __future__ import annotations

import json
import math

from tests.tracker.running.history import CELLS, History

ONE = "stage=Resolve,vram_gb=4"
OTHER = "stage=Resolve,vram_gb=8"


def test_a_run_of_other_cells_keeps_those_that_are_stored(history: History) -> None:
    last = history.commits[-1]
    history.asv("run", "HEAD^!", ACESTEP_BENCH_CELLS=ONE)
    history.asv("run", "HEAD^!", ACESTEP_BENCH_CELLS=OTHER)

    assert history.batches(last) == {4: 5.0, 8: 5.0}
    assert history.asked() == ["5 4", "5 8"]


def test_asv_asks_for_the_chosen_cells_and_no_others(history: History) -> None:
    said = history.asv("run", "HEAD^!", ACESTEP_BENCH_CELLS=ONE)

    assert "Running 8 total benchmarks" in said  # the series of Resolve
    assert all(math.isnan(value) for size, value in history.stored(history.commits[-1]).items() if size != 4)


def test_b_measures_only_what_it_names(history: History) -> None:
    history.asv("run", "HEAD^!", "--bench", r"track_batch_shortfall\(8\)")

    assert history.asked() == ["5 8"]
    assert history.batches(history.commits[-1]) == {8: 5.0}
    assert history.stored(history.commits[-1], "tiers.Resolve.track_duration_shortfall") == {}


def test_b_that_names_no_chosen_cell_says_what_to_set(history: History) -> None:
    said = history.asv("run", "HEAD^!", "--bench", r"track_batch_shortfall\(48\)", status=1)

    assert f"--bench names no cell that ACESTEP_BENCH_CELLS={CELLS} chooses" in said


def test_a_cell_that_is_asked_for_again_is_measured_again(history: History) -> None:
    history.asv("run", "HEAD^!", ACESTEP_BENCH_CELLS=ONE)
    history.asv("run", "HEAD^!", ACESTEP_BENCH_CELLS=ONE)

    assert history.asked() == ["5 4", "5 4"]


def test_what_became_of_each_cell_lies_beside_the_results(history: History) -> None:
    history.commit(6, "if gigabytes == 8: raise ValueError('nothing fits')")
    history.asv("run", "HEAD^!", status=2)

    (path,) = history.results.glob(f"*/{history.commits[-1][:8]}-*.hosts.jsonl")
    (line,) = map(json.loads, path.read_text().splitlines())
    told = {cell: (outcome["status"], outcome["reason"]) for cell, outcome in line["cells"].items()}
    assert told == {ONE: ("ok", ""), OTHER: ("fail", "ValueError: nothing fits")}
    assert history.batches(history.commits[-1]) == {4: 6.0}


def test_a_commit_that_does_not_build_any_more_keeps_its_numbers(history: History) -> None:
    history.asv("run", "HEAD^!", ACESTEP_BENCH_CELLS=ONE)
    install = history.root / "install.py"
    text = install.read_text()
    install.write_text("raise SystemExit('ERROR: no space left')")
    history.asv("run", "HEAD~1^!", status=2)  # asv has another commit installed then
    said = history.asv("run", "HEAD^!", status=2)
    install.write_text(text)

    assert "no space left" in said
    assert history.batches(history.commits[-1]) == {4: 5.0}


def test_a_commit_that_cannot_be_built_is_a_failure_and_tells_why(history: History) -> None:
    history.commit(6, build="fail")
    history.asv("run", "HEAD^!", status=2)

    assert history.batches(history.commits[-1]) == {}
    (path,) = history.results.glob(f"*/{history.commits[-1][:8]}-*.hosts.jsonl")
    assert json.loads(path.read_text()) == {"matrix": "<build>", "reason": "ERROR: the build has failed"}
