"""The time that asv spends on building."""

from __future__ import annotations

import pytest
from asv.environment import Environment

from scripts.tracker.running import build_clock
from scripts.tracker.running.build_clock import BuildClock


def test_making_environments_and_installing_commits_is_building(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr(build_clock.time, "monotonic", lambda: now[0])

    def install(_environment: object, seconds: float) -> str:
        now[0] += seconds
        if seconds > 5:
            raise RuntimeError("no network")
        return "installed"

    monkeypatch.setattr(Environment, "install_project", install)
    monkeypatch.setattr(Environment, "create", install)
    clock = BuildClock()
    clock.attach()

    assert Environment.create(None, 2.0) == Environment.install_project(None, 1.5) == "installed"
    with pytest.raises(RuntimeError, match="no network"):
        Environment.install_project(None, 7.0)
    assert clock.seconds == 10.5
