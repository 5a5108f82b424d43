"""What the tests of several workloads share."""

import gc

import pytest

from benchmarks.harness.settings import Settings
from benchmarks.harness.workloads.planner_cache import PlannerCache


@pytest.fixture(scope="module")
def state(tmp_path_factory):
    """The tiny planner's engines, each loaded when a cell first asks for it."""
    folder = str(tmp_path_factory.mktemp("settings"))
    held = PlannerCache(Settings("tiny", "cpu", "quick", "", "none", folder, folder))
    yield held
    held.release()
    gc.unfreeze()
