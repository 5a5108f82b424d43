"""What the tests of several workloads share."""

import gc

import pytest

from benchmarks.harness.adapters import package
from benchmarks.harness.adapters.ours.before_probe import BEFORE_PROBE
from benchmarks.harness.settings import Settings
from benchmarks.harness.workloads.planner_cache import PlannerCache


@pytest.fixture
def before_probe(monkeypatch):
    """The adapter finds what it needs as at a commit that has no `acestep.probe`."""
    monkeypatch.setattr(package, "stage", lambda name: BEFORE_PROBE[name].find())


@pytest.fixture(scope="module")
def state(tmp_path_factory):
    """The tiny planner's engines, each loaded when a cell first asks for it."""
    folder = str(tmp_path_factory.mktemp("settings"))
    held = PlannerCache(Settings("tiny", "cpu", "quick", "", "none", folder, folder))
    yield held
    held.release()
    gc.unfreeze()
