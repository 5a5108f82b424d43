"""scripts/track reads what is measured from asv's results alone, and loses no more than the cell in work."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable

from tests.tracker.running.history import History

BOTH = [f"{batch} {size}" for batch in range(1, 6) for size in (4, 8)]


def wait_until(condition: Callable[[], bool], limit_s: float = 120.0) -> None:
    end = time.monotonic() + limit_s
    while not condition():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.05)


def test_oldest_first_and_nothing_twice(history: History) -> None:
    history.track("--commits", "2")
    assert history.asked() == BOTH[6:]

    assert "Nothing is new" in history.track("--commits", "2")
    history.track("--commits", "3", publish=True)
    assert history.asked() == BOTH[6:] + BOTH[4:6]


def test_killed_it_loses_the_cell_in_work_and_leaves_nothing_running(history: History) -> None:
    hold = history.hold(8)
    track = history.start("track", "--cells", "stage=Resolve,vram_gb=4;stage=Resolve,vram_gb=8", "--commits", "2")
    wait_until(lambda: history.asked() == ["4 4", "4 8"])
    track.send_signal(signal.SIGKILL)
    wait_until(lambda: not history.running(), limit_s=10)
    track.communicate()
    hold.unlink()
    history.track("--commits", "2")

    assert history.asked() == ["4 4", "4 8", "4 8", "5 4", "5 8"]
    assert history.batches(history.commits[3]) == {4: 4.0, 8: 4.0}


def test_interrupted_it_keeps_what_is_stored_and_says_how_to_go_on(history: History) -> None:
    history.commit(6)
    hold = history.hold(8)
    track = history.start("track", "--cells", "stage=Resolve,vram_gb=4", "--commits", "1")
    track.communicate()
    track = history.start("track", "--cells", "stage=Resolve,vram_gb=4;stage=Resolve,vram_gb=8", "--commits", "1")
    wait_until(lambda: history.asked() == ["6 4", "6 8"])
    track.send_signal(signal.SIGTERM)
    said, _ = track.communicate()
    hold.unlink()

    assert track.returncode == 130, said
    assert "run the same command to go on" in said
    wait_until(lambda: not history.running(), limit_s=10)
    assert history.batches(history.commits[5]) == {4: 6.0}


def test_new_fills_the_gaps(history: History) -> None:
    history.asv("run", "HEAD~3^!")
    history.asv("run", "HEAD~1^!", ACESTEP_BENCH_CELLS="stage=Resolve,vram_gb=4")
    history.track("--new")

    assert history.asked() == ["2 4", "2 8", "4 4", "3 4", "3 8", "4 8", "5 4", "5 8"]
    assert "Nothing is new" in history.track("--new")


def test_failures_are_told_each_time_and_measured_again_when_asked(history: History) -> None:
    history.commit(6, "if gigabytes == 8: raise ValueError('nothing fits')")
    subject = history.git("log", "-1", "--format=%h %s", "--abbrev=8")
    told = f"{subject}: 1 cell failed, such as tiers stage=Resolve,vram_gb=8: ValueError: nothing fits"

    assert told in history.track("--commits", "1", status=2)
    assert told in history.track("--commits", "1", status=2)
    assert history.asked() == ["6 4", "6 8"]
    assert told in history.track("--commits", "1", "--retry", status=2)
    assert history.asked() == ["6 4", "6 8", "6 8"]


def test_a_build_that_failed_is_tried_again(history: History) -> None:
    history.commit(6, build="fail")
    install = history.root / "install.py"
    text = install.read_text()
    said = history.track("--commits", "1", status=2)
    install.write_text(text.replace('"fail"', '"nothing fails"'))
    history.track("--commits", "1")
    install.write_text(text)

    subject = history.git("log", "-1", "--format=%h %s", "--abbrev=8")
    assert f"{subject}: could not be built: ERROR: the build has failed" in said
    assert history.batches(history.commits[5]) == {4: 6.0, 8: 6.0}
