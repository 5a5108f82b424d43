"""A workload with made-up times. The settings of each side say how fast it is."""

import json
import math
import os
import random
import signal
import time
from pathlib import Path

from benchmarks.harness.workload import Sample, Unsupported


class FakeWorkload:
    """Returns noisy times that the file named by the scale lists by duration; it takes no time unless it is told to."""

    limit_s = 20.0
    memory = False

    def load(self, settings):
        behaviours = json.loads(Path(settings.scale).read_text())
        if behaviours.get("broken"):
            raise RuntimeError("no weights in sight")
        return behaviours

    def facts(self, _state):
        return {"dtype": "none"}

    def weight(self, _cell):
        return 1.0

    def prepare(self, state, cell):
        behaviour = state[str(cell["duration"])]
        if behaviour == "skip":
            raise Unsupported("this commit has no such stage")
        noise = random.Random(os.getpid())

        def take():
            if behaviour == "die":
                os.kill(os.getpid(), signal.SIGKILL)
            time.sleep(behaviour.get("sleep", 0.0))
            time_s = behaviour["time"] * math.exp(behaviour.get("noise", 0.01) * noise.gauss(0, 1))
            series, work, wait_s = (
                {"time": time_s, "peak_memory": 5.0},
                behaviour.get("work", {}),
                behaviour.get("wait"),
            )
            return Sample(series, work, timed_s=2.0, in_torch=False, wait_s=wait_s)

        return take
