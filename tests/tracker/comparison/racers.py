"""A workload whose times are made up: each side's settings say how fast it is."""

import json
import math
import os
import random
import signal
import time
from pathlib import Path

from benchmarks.harness.workload import Sample, Unsupported


class Racers:
    """Tells the times in the file that is its scale, by duration, with noise; takes none but where told to sleep."""

    limit_s = 20.0
    memory = False

    def load(self, settings):
        told = json.loads(Path(settings.scale).read_text())
        if told.get("broken"):
            raise RuntimeError("no weights in sight")
        return told

    def facts(self, _state):
        return {"dtype": "none"}

    def weight(self, _cell):
        return 1.0

    def prepare(self, state, cell):
        does = state[str(cell["duration"])]
        if does == "skip":
            raise Unsupported("this commit has no such stage")
        noise = random.Random(os.getpid())

        def take():
            if does == "die":
                os.kill(os.getpid(), signal.SIGKILL)
            time.sleep(does.get("sleep", 0.0))
            time_s = does["time"] * math.exp(does.get("noise", 0.01) * noise.gauss(0, 1))
            series, work, wait_s = {"time": time_s, "peak_memory": 5.0}, does.get("work", {}), does.get("wait")
            return Sample(series, work, timed_s=2.0, in_torch=False, wait_s=wait_s)

        return take
