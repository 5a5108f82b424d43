"""The race between our engine and plain transformers is honest: same tokens, same work, sentences for bad input."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

from acestep.synthetic.planner import write_planner
from scripts.tracker.versus.command import main
from scripts.tracker.versus.planner import DisagreementError, PlannerRace
from scripts.tracker.versus.variants import Lane, race


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("versus") / "acestep-5Hz-lm-0.6B"
    write_planner(folder, "0.6B", "tiny")
    return folder


def test_both_sides_write_the_same_tokens_and_the_numbers_add_up(
    checkpoint: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ["--scale", str(checkpoint), "--tokens", "6", "--batch", "1,2", "--rounds", "1", "--threads", "1"]
    assert main(["planner", *options, "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    lanes = {lane["name"]: lane for lane in said["lanes"]}
    assert lanes["pt: codes, batch 2"]["tokens"] == lanes["generate: codes, batch 2"]["tokens"] == 12
    assert lanes["pt: chain of thought"]["tokens"] == lanes["generate: chain of thought"]["tokens"] > 0
    for speedup in said["speedups"]:
        of, against = (lanes[speedup[side]]["tokens_per_s"]["median"] for side in ("of", "against"))
        assert speedup["median"] == pytest.approx(of / against)
    assert main(["planner", *options]) == 0
    table = capsys.readouterr().out
    assert all(name in table for name in lanes)


def test_other_tokens_stop_the_race(checkpoint: Path) -> None:
    contest = PlannerRace(checkpoint, engine="pt", tokens=4, batches=[1], device="cpu")
    head = contest._plain.model.lm_head.weight
    head.data[: len(head)] = head.data.flip(0)
    with pytest.raises(DisagreementError, match="differ from place 0"):
        contest.lanes(print)


def test_lanes_take_turns_there_and_back() -> None:
    turns: list[str] = []
    lanes = [Lane(name, 10, 1000, lambda name=name: turns.append(name)) for name in "ab"]  # type: ignore[misc]
    race(lanes, 2, "cpu", 4096)
    assert "".join(turns) == "abbaabba"
    assert [len(lane.seconds) for lane in lanes] == [2, 2]


def test_an_interrupted_race_keeps_its_complete_rounds() -> None:
    runs: list[None] = []

    def run() -> None:
        runs.append(None)
        if len(runs) == 4:
            raise KeyboardInterrupt

    lane = Lane("a", 10, 1000, run)
    assert len(race([lane], 9, "cpu", 4096)) == len(lane.seconds) == len(lane.bound_s) == 1
    runs[:] = [None] * 3
    with pytest.raises(KeyboardInterrupt):
        race([lane], 9, "cpu", 4096)


def test_a_speedup_compares_within_a_round() -> None:
    fast, slow = Lane("fast", 20, 1, time.time, [1.0, 4.0], [0.5, 0.5]), Lane("slow", 10, 1, time.time, [2.0, 4.0], [])
    assert vars(fast.speedup(slow)) == {"median": 3.0, "least": 2.0, "most": 4.0}
    assert vars(fast.share) == {"median": 0.3125, "least": 0.125, "most": 0.5}


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
def test_bad_input_is_refused_in_a_sentence(
    options: list[str], complaint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    try:
        status = main(["planner", *options])
    except SystemExit as stopped:
        status = int(str(stopped.code))
    assert status == 2
    assert complaint in capsys.readouterr().err
