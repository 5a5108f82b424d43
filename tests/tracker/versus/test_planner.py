"""The timing of the engine against plain transformers: same tokens, same work, clear errors for bad input."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

from acestep.synthetic.planner import write_planner
from scripts.tracker.versus.planner import DisagreementError, PlannerSides
from scripts.tracker.versus.planner_variants import PlannerVariant, time_variants
from scripts.versus import main


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("versus") / "acestep-5Hz-lm-0.6B"
    write_planner(folder, "0.6B", "tiny")
    return folder


def test_both_sides_generate_the_same_tokens_and_the_numbers_add_up(
    checkpoint: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ["--scale", str(checkpoint), "--tokens", "6", "--batch", "1,2", "--rounds", "1", "--threads", "1"]
    assert main(["planner", *options, "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    variants = {variant["name"]: variant for variant in said["variants"]}
    assert variants["pt: codes, batch 2"]["tokens"] == variants["generate: codes, batch 2"]["tokens"] == 12
    assert variants["pt: chain of thought"]["tokens"] == variants["generate: chain of thought"]["tokens"] > 0
    for speedup in said["speedups"]:
        of, against = (variants[speedup[side]]["tokens_per_s"]["median"] for side in ("of", "against"))
        assert speedup["median"] == pytest.approx(of / against)
    assert main(["planner", *options]) == 0
    table = capsys.readouterr().out
    assert all(name in table for name in variants)


def test_different_tokens_are_an_error(checkpoint: Path) -> None:
    sides = PlannerSides(checkpoint, engine="pt", tokens=4, batches=[1], device="cpu")
    head = sides._theirs.model.lm_head.weight
    head.data[: len(head)] = head.data.flip(0)
    with pytest.raises(DisagreementError, match="differ from position 0"):
        sides.variants(print)


def test_variants_run_in_the_order_abba() -> None:
    turns: list[str] = []
    variants = [
        PlannerVariant(name, lambda name=name: turns.append(name), tokens=10, needed_bytes=1000)  # type: ignore[misc]
        for name in "ab"
    ]
    time_variants(variants, 2, "cpu", 4096)
    assert "".join(turns) == "abbaabba"
    assert [len(variant.seconds) for variant in variants] == [2, 2]


def test_an_interruption_keeps_the_complete_rounds() -> None:
    runs: list[None] = []

    def run() -> None:
        runs.append(None)
        if len(runs) == 4:
            raise KeyboardInterrupt

    variant = PlannerVariant("a", run, tokens=10, needed_bytes=1000)
    assert len(time_variants([variant], 9, "cpu", 4096)) == len(variant.seconds) == len(variant.bound_s) == 1
    runs[:] = [None] * 3
    with pytest.raises(KeyboardInterrupt):
        time_variants([variant], 9, "cpu", 4096)


def test_a_speedup_compares_within_a_round() -> None:
    fast = PlannerVariant("fast", time.time, [1.0, 4.0], tokens=20, needed_bytes=1, bound_s=[0.5, 0.5])
    slow = PlannerVariant("slow", time.time, [2.0, 4.0], tokens=10, needed_bytes=1)
    assert vars(fast.speedup(slow)) == {"median": 3.0, "minimum": 2.0, "maximum": 4.0}
    assert vars(fast.bound_share) == {"median": 0.3125, "minimum": 0.125, "maximum": 0.5}


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        (["--scale", "nowhere"], "neither tiny nor full nor a planner's folder"),
        (["--tokens", "0"], "--tokens is 0"),
        (["--batch", "1,x"], "expected whole numbers"),
        (["--batch", "0"], "expected numbers from 1"),
        (["--rounds", "0"], "--rounds is 0"),
        (["--device", "toaster"], "toaster"),
    ],
)
def test_bad_input_is_refused_with_a_message(
    options: list[str], complaint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    try:
        status = main(["planner", *options])
    except SystemExit as stopped:
        status = int(str(stopped.code))
    assert status == 2
    assert complaint in capsys.readouterr().err
