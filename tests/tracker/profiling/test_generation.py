"""The record of a configuration that the profiler measures."""

from __future__ import annotations

import argparse
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from benchmarks.harness.workload import Sample
from scripts.tracker.profiling import generation
from scripts.tracker.profiling.generation import Configuration, Generations
from tests.benchmarks.fakes import settings_in


@pytest.mark.parametrize("fails", [False, True])
def test_the_seconds_of_a_record_are_counted_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fails: bool) -> None:
    """A run takes 3 s, of which 2 are timed."""
    now = [0.0]
    monkeypatch.setattr(generation.time, "perf_counter", lambda: now[0])

    class Fake(Generations):
        def run(self, configuration: Configuration) -> Sample:
            now[0] += 3.0
            if fails and now[0] > 3.0:
                raise ValueError(configuration)
            return Sample({"wall": 2.0}, {"steps": 8}, 2.0, wait_s=0.5)

    session: Any = SimpleNamespace(settings=settings_in(tmp_path, "ok"))
    example: Any = None
    measuring = Fake(session, example, argparse.Namespace(mode="benchmark"))
    record = measuring.measure(Configuration(10.0, 1, thinking=False, inference_steps=8), 4, warmup=True)

    assert record.spent_s == now[0]
    if not fails:
        assert (record.warmup_s, record.timed_s, record.untimed_s) == (3.0, 8.0, 4.0)
        assert (record.contention, record.contended) == ([0.5] * 4, [True] * 4)
