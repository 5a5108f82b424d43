"""A small history that asv measures in seconds: a package with the GPU tiers alone, which runs no model."""

from __future__ import annotations

import json
import math
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
CELLS = "stage=Resolve,vram_gb=4;stage=Resolve,vram_gb=8"
BATCH = "tiers.Resolve.track_max_batch"
INSTALL = """
import shutil, sys, sysconfig
target = sysconfig.get_path("purelib") + "/acestep"
shutil.rmtree(target, ignore_errors=True)
if "fail" in open(sys.argv[1] + "/acestep/build").read():
    sys.exit("ERROR: the build has failed")
shutil.copytree(sys.argv[1] + "/acestep", target)
"""
PACKAGE = """
import os, time
from pathlib import Path
from types import SimpleNamespace

GPU_TIER_LABELS = {{"tier1": "small", "tier2": "large"}}

def get_gpu_config(gigabytes):
    while os.path.exists(os.environ.get("HISTORY_HOLD", "")):
        time.sleep(0.05)
    {line}
    return SimpleNamespace(
        tier="tier1" if gigabytes < 8 else "tier2", max_duration_with_lm=60, max_duration_without_lm=120,
        max_batch_size_with_lm=1, max_batch_size_without_lm={batch}, available_lm_models=[],
        offload_to_cpu_default=True, offload_dit_to_cpu_default=True, quantization_default=True,
    )
"""


@dataclass
class History:
    """A repository whose commits allow another largest batch each, 1 and up, on every GPU."""

    root: Path
    commits: list[str] = field(default_factory=list)

    @property
    def results(self) -> Path:
        return self.root / ".asv" / "results"

    @property
    def hold(self) -> Path:
        """While this file is there, no cell comes to its end."""
        return self.root / ".asv" / "hold"

    def git(self, *arguments: str) -> str:
        command = ["git", "-c", "user.name=Ädå", "-c", "user.email=ada@example.org", *arguments]
        done = subprocess.run(command, cwd=self.root, capture_output=True, text=True, check=True)
        return done.stdout.strip()

    def commit(self, batch: int, line: str = "pass", build: str = "", message: str = "Größer") -> str:
        """Commit a package that allows *batch*, runs *line* before it answers, and is built as *build* says."""
        package = self.root / "acestep"
        package.mkdir(exist_ok=True)
        (package / "__init__.py").touch()
        (package / "build").write_text(build)
        (package / "gpu_config.py").write_text(PACKAGE.format(batch=batch, line=line))
        self.git("add", "--all", "acestep")
        self.git("commit", "-q", "--allow-empty", "-m", f"{message} {batch}")
        self.commits.append(self.git("rev-parse", "HEAD"))
        return self.commits[-1]

    def environment(self, **variables: str) -> dict[str, str]:
        return {
            **{name: value for name, value in os.environ.items() if not name.startswith("ACESTEP_")},
            "HOME": str(self.root / "home"),
            "PYTHONPATH": str(ROOT),
            "ACESTEP_BENCH_CELLS": CELLS,
            "HISTORY_HOLD": str(self.hold),
            **variables,
        }

    def start(self, *arguments: str, **variables: str) -> subprocess.Popen[str]:
        """Start asv as a user does."""
        return subprocess.Popen(
            [sys.executable, "-m", "asv", *arguments],
            cwd=self.root,
            env=self.environment(**variables),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def asv(self, *arguments: str, status: int = 0, **variables: str) -> str:
        """Run asv and return what it prints; it has to end with *status*."""
        process = self.start(*arguments, **variables)
        said, _ = process.communicate(timeout=120)
        assert process.returncode == status, said
        return said

    def stored(self, commit: str, benchmark: str = BATCH) -> dict[int, float | None]:
        """The numbers that asv has of *commit*, by gigabytes; NaN where it has none."""
        (path,) = self.results.glob(f"*/{commit[:8]}-*.json")
        data = json.loads(path.read_text())
        if benchmark not in data["results"]:
            return {}
        row = dict(zip(data["result_columns"], data["results"][benchmark], strict=False))
        sizes = [eval(values[0]) for values in product(*row["params"])]
        return dict(zip(sizes, row["result"] or [None] * len(sizes), strict=True))

    def numbers(self, commit: str, benchmark: str = BATCH) -> dict[int, float]:
        """Those of `stored` that are numbers."""
        return {size: v for size, v in self.stored(commit, benchmark).items() if v is not None and not math.isnan(v)}

    def measured(self) -> list[str]:
        """The cells that the harness has measured so far, in order: `COMMIT vram_gb`, commits in eight digits."""
        lines = []
        for path in sorted(
            (self.root / ".asv" / "journal").glob("*-tiers.jsonl"), key=lambda path: path.stat().st_mtime
        ):
            lines += [
                f"{path.name[:8]} {json.loads(line)['cell']['vram_gb']}" for line in path.read_text().splitlines()[1:]
            ]
        return lines

    def runs(self) -> int:
        """How many cells the harness has measured so far, whether they are kept or not."""
        ledger = self.root / ".asv" / "journal" / "ledger.jsonl"
        return sum(json.loads(line)["cells"] for line in ledger.read_text().splitlines()) if ledger.exists() else 0

    def forget(self) -> None:
        """Remove everything that was measured."""
        for name in ("results", "journal", "html"):
            shutil.rmtree(self.root / ".asv" / name, ignore_errors=True)
        self.hold.unlink(missing_ok=True)


def build_history(root: Path, commits: int) -> History:
    """A history of so many commits, that asv knows the machine of."""
    root.mkdir(parents=True)
    history = History(root)
    history.git("init", "-q", "-b", "main")
    (root / "install.py").write_text(INSTALL)
    (root / ".gitignore").write_text(".asv\nhome\n")
    conf: dict[str, Any] = {
        "version": 1, "project": "acestep", "repo": ".", "branches": ["main"], "environment_type": "linked",
        "plugins": [".tests.benchmarks.linked_environment", ".scripts.asv_plugin"], "launch_method": "forkserver",
        "matrix": {"env_nobuild": {"ACESTEP_BENCH_SCALE": ["tiny"], "ACESTEP_BENCH_DEVICE": ["cpu"]}},
        "build_command": ["python -c pass"], "uninstall_command": ["python -c pass"],
        "install_command": ["in-dir={env_dir} python {conf_dir}/install.py {build_dir}"],
        "benchmark_dir": str(ROOT / "benchmarks"),
        "env_dir": ".asv/env", "results_dir": ".asv/results", "html_dir": ".asv/html",
    }  # fmt: skip
    (root / "asv.conf.json").write_text(json.dumps(conf))
    history.git("add", "--all")
    for batch in range(1, commits + 1):
        history.commit(batch)
    history.asv("machine", "--machine", "here", "--yes")
    return history
