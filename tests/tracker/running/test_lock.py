"""One command at a time measures in a folder, and whichever way it ends, nothing is left running."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path

import pytest

from scripts.tracker.refusal import RefusalError
from scripts.tracker.running.lock import exclusive
from tests.tracker.running.history import History
from tests.tracker.running.test_track import wait_until


def test_the_second_one_says_who_measures_and_since_when_or_waits(history: History) -> None:
    hold = history.hold(4)
    first = history.start("asv", "run", "HEAD^!")
    wait_until(lambda: history.asked() == ["5 4"])
    refused = history.asv("run", "HEAD^!", status=1)
    tracked = history.track("--commits", "1", status=2)
    history.asv("publish")  # readers need no lock
    waiting = history.start("asv", "run", "HEAD~1^!", ACESTEP_BENCH_WAIT="1")
    assert waiting.stdout is not None
    said = waiting.stdout.readline()
    assert history.asked() == ["5 4"]
    hold.unlink()
    first.communicate()
    waiting.communicate()

    for told in (refused, tracked, said):
        assert "run HEAD^!' (process " in told
        assert f"measures in {history.root / '.asv'}" in told
    assert "ACESTEP_BENCH_WAIT=1" in refused
    assert "--wait" in tracked
    assert first.returncode == waiting.returncode == 0
    assert history.asked() == ["5 4", "5 8", "4 4", "4 8"]


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_asv_leaves_nothing_running(history: History, how: signal.Signals) -> None:
    history.hold(4)
    asv = history.start("asv", "run", "HEAD^!")
    wait_until(lambda: bool(history.asked()))
    asv.send_signal(how)
    wait_until(lambda: not history.running(), limit_s=10)
    asv.communicate()

    assert asv.returncode != 0


def test_no_process_in_between_leaves_anything_running_when_it_is_killed(history: History) -> None:
    history.hold(4)
    asv = history.start("asv", "run", "HEAD^!")
    wait_until(lambda: bool(history.asked()))
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit() and b"setup_cache" in (folder / "cmdline").read_bytes():
            variables = (folder / "environ").read_bytes()
            if f"HISTORY_FOLDER={history.root}".encode() in variables:
                os.kill(int(folder.name), signal.SIGKILL)
    asv.communicate(timeout=60)

    assert asv.returncode == 2
    wait_until(lambda: not history.running(), limit_s=10)


def test_a_lock_whose_holder_has_gone_is_free(tmp_path: Path) -> None:
    (tmp_path / "asv.lock.json").write_text(json.dumps({"process": 1, "command": "asv run", "unix": 0}))

    with exclusive(tmp_path, wait=False), exclusive(tmp_path, wait=False):  # the second is of the same command
        pass


def test_a_lock_that_is_held_tells_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with exclusive(tmp_path, wait=False):
        monkeypatch.delenv("ACESTEP_BENCH_LOCK_HOLDER")  # as in another process
        told = pytest.raises(RefusalError, match=r"\(process \d+, since .*\) measures in .* or give it more patience")
        with told, exclusive(tmp_path, wait=False, remedy="it more patience"):
            pass
