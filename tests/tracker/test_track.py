"""scripts/track: what it refuses, what it measures again, how it tells where it is."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from scripts import track
from scripts.tracker.asv_progress import AsvProgress, run_with_progress
from scripts.tracker.preflight import RefusalError, git, require_clean, require_history, require_room
from scripts.tracker.running.track_commits import TrackRequest, write_local_config


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A repository with two commits."""
    root = tmp_path / "clone"
    root.mkdir()
    git(root, "init", "-q", "-b", "main")
    git(root, "config", "user.name", "A")
    git(root, "config", "user.email", "a@example.invalid")
    for text in ("one", "two"):
        (root / "file").write_text(text)
        git(root, "add", "file")
        git(root, "commit", "-q", "-m", text)
    (root / "asv.conf.json").write_text(json.dumps({"branches": ["main"], "matrix": {"env_nobuild": {}}}))
    return root


def request(**changes: object) -> TrackRequest:
    options = {
        "commits": 3,
        "new": False,
        "cells": "quick",
        "scale": "tiny",
        "device": "cpu",
        "allow_dirty": False,
        "retry": False,
        "wait": False,
    } | changes
    return TrackRequest(**options)  # type: ignore[arg-type]


def test_no_history(tmp_path: Path) -> None:
    with pytest.raises(RefusalError, match="no git history"):
        require_history(tmp_path)
    git(tmp_path, "init", "-q")
    with pytest.raises(RefusalError, match="no git history"):
        require_history(tmp_path)


def test_shallow_clone(repository: Path, tmp_path: Path) -> None:
    require_history(repository)
    shallow = tmp_path / "shallow"
    git(tmp_path, "clone", "-q", "--depth", "1", repository.as_uri(), str(shallow))
    with pytest.raises(RefusalError, match="git fetch --unshallow"):
        require_history(shallow)


def test_changed_files_are_refused_and_new_ones_are_not(repository: Path) -> None:
    (repository / "new").touch()
    require_clean(repository)
    (repository / "file").write_text("three")
    with pytest.raises(RefusalError, match=r"Uncommitted changes \(file\).*--allow-dirty"):
        require_clean(repository)


def test_folder_that_cannot_be_written(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.touch()
    with pytest.raises(RefusalError, match="cannot be written"):
        require_room(blocked / "folder")


def test_full_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("scripts.tracker.preflight.ENVIRONMENT_BYTES", 1 << 62)
    with pytest.raises(RefusalError, match=r"GB left.*Free some space"):
        require_room(tmp_path)
    (tmp_path / "env").mkdir()  # the environment is there already: less room is needed
    require_room(tmp_path)


@pytest.mark.parametrize(
    ("option", "value", "message"),
    [
        ("--cells", "most", "neither quick nor full"),
        ("--cells", "duration=31", "no cell has duration=31"),
        ("--scale", "huge", "is no scale"),
        ("--scale", "/", "is not a checkpoints folder"),
        ("--device", "tpu", "is no device"),
    ],
)
def test_unknown_options_end_with_a_sentence(
    option: str, value: str, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert track.main([option, value]) == 2
    assert message in capsys.readouterr().err


def test_number_of_commits(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as usage:
        track.main(["--commits", "0"])
    assert usage.value.code == 2
    assert "--commits is 0" in capsys.readouterr().err


def test_configuration_follows_branch_scale_and_device(repository: Path) -> None:
    git(repository, "checkout", "-q", "-b", "topic")
    name = write_local_config(request(scale="full", device="cuda"), repository)
    written = json.loads((repository / name).read_text())
    assert written["branches"] == ["topic"]
    assert written["matrix"]["env_nobuild"] == {
        "ACESTEP_BENCH_SCALE": ["full"],
        "ACESTEP_BENCH_DEVICE": ["cuda"],
    }


def reported(matrix: str, cell: str) -> str:
    """A line of progress.jsonl; the text is for people alone."""
    outcome = {"outcome": "ok, 9 samples in 1.0 s", "done": 1, "total": 2}
    return json.dumps({"unix": 0, "text": "some words", "matrix": matrix, "cell": cell, **outcome}) + "\n"


def test_progress_names_steps_commits_and_cells(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    log = tmp_path / "progress.jsonl"
    log.write_text(json.dumps({"unix": 0, "text": "an earlier run"}) + "\n")
    follower = AsvProgress({"a" * 40: "First", "b" * 40: "Second"}, {"generate": 2}, tmp_path)
    follower.line("· Creating environments")
    follower.line("·· Creating environments of some kind")
    follower.line("[ 0.00%] · For acestep commit aaaaaaaa <main>:")
    with log.open("a") as file:
        for cell in (1, 2):
            file.write(reported("generate", f"duration={cell}"))
        file.write('{"unix": 0, "te')  # a line that is being written
    follower.poll()
    said = [line[8:] for line in capsys.readouterr().out.splitlines()]
    assert said[0].startswith("making asv's environment")
    assert said[1] == "commit 1/2 aaaaaaaa First"
    assert said[2] == "  1/4 generate duration=1 ok, 9 samples in 1.0 s"
    assert said[3].startswith("  2/4 generate duration=2 ok, 9 samples in 1.0 s  (about ")
    assert len(said) == 4


def test_the_time_left_is_that_of_the_matrices_to_come(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = iter((0.0, 0.0, 0.0, 60.0, 60.0, 180.0, 180.0, 181.0, 181.0))
    monkeypatch.setattr("scripts.tracker.asv_progress.time.monotonic", lambda: next(clock))
    follower = AsvProgress({"a" * 40: "First"}, {"generate": 3, "stages": 1, "tiers": 100}, tmp_path)
    follower.line("[ 0.00%] · For acestep commit aaaaaaaa <main>:")
    for matrix, cell in (("generate", "duration=1"), ("generate", "duration=2"), ("tiers", "stage=Resolve")):
        with (tmp_path / "progress.jsonl").open("a") as file:
            file.write(reported(matrix, cell))
        follower.poll()
    two, three = capsys.readouterr().out.splitlines()[-2:]

    assert two.endswith("(about 10 min left)")  # 90 s for generate and for stages, and 100 times 4.5 s
    assert three.endswith("(about 4 min left)")  # 90 s, 60 s on average for stages, 99 s


def test_run_is_logged_and_its_summary_shown(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    follower = AsvProgress({"a" * 40: "First"}, {"generate": 1}, tmp_path)
    log = tmp_path / "logs" / "run.log"
    command = ["sh", "-c", "cat; echo; echo 'Measuring took 70 % of 10 s'; exit 3"]
    assert run_with_progress(command, "commits", follower, log, tmp_path, os.environ) == 3
    assert log.read_text() == "commits\nMeasuring took 70 % of 10 s\n"
    assert capsys.readouterr().out == "Measuring took 70 % of 10 s\n"


def test_an_interrupted_run_takes_its_child_along(tmp_path: Path) -> None:
    code = (
        "import os, sys, threading, signal, time\n"
        "from pathlib import Path\n"
        "from scripts.tracker.asv_progress import AsvProgress, run_with_progress\n"
        "root = Path(sys.argv[1])\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)  # a job in the background begins with it ignored\n"
        "threading.Timer(1, os.kill, (os.getpid(), signal.SIGINT)).start()\n"
        "command = ['sh', '-c', 'trap \"touch ended; exit 1\" INT; while :; do sleep 0.1; done']\n"
        "run_with_progress(command, '', AsvProgress({}, {}, root), root / 'log', root, os.environ)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)], cwd=track.ROOT, capture_output=True, timeout=60, check=False
    )
    assert b"KeyboardInterrupt" in done.stderr
    assert (tmp_path / "ended").exists()


@pytest.mark.parametrize("script", ["track", "test", "check", "setup", "compare", "bisect", "regressions"])
def test_scripts_are_valid_shell(script: str) -> None:
    path = track.ROOT / "scripts" / script
    assert os.access(path, os.X_OK)
    subprocess.run(["bash", "-n", str(path)], check=True)


def test_setup_names_its_purposes() -> None:
    done = subprocess.run([track.ROOT / "scripts" / "setup"], capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert "track or dev" in done.stderr
