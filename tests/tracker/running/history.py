"""A small history that asv measures in seconds: a package with the GPU tiers alone, which runs no model."""

from __future__ import annotations

import json
import math
import os
import shutil
import subprocess
import sys
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[3]
CELLS = "stage=Resolve,vram_gb=4;stage=Resolve,vram_gb=8"
BATCH = "tiers.Resolve.track_batch_shortfall"
LARGEST = 8
"""The batch that a shortfall is counted from."""
TRACK = """
import os, sys
from pathlib import Path
from scripts import track
from scripts.tracker.running import asv_process
track.ROOT = Path.cwd()
if "HISTORY_UNPUBLISHED" in os.environ:
    asv_process.publish = lambda *_arguments: 0
sys.exit(track.main(sys.argv[1:]))
"""
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
    with open(os.environ["HISTORY_FOLDER"] + "/asked", "a") as asked:
        asked.write("{batch} " + str(int(gigabytes)) + "\\n")
    while os.path.exists(os.environ["HISTORY_FOLDER"] + "/hold-" + str(int(gigabytes))):
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
    """A repository whose commits allow another largest batch each, 1 and up, on every GPU.

    The package notes what it is asked.
    """

    root: Path
    commits: list[str] = field(default_factory=list)

    @property
    def results(self) -> Path:
        return self.root / ".asv" / "results"

    def hold(self, gigabytes: int) -> Path:
        """Keep the cell of so many *gigabytes* from coming to its end while the file is there that this returns."""
        path = self.root / f"hold-{gigabytes}"
        path.touch()
        return path

    def asked(self) -> list[str]:
        """What the package was asked so far, in order: the batch that its commit allows, and the gigabytes."""
        path = self.root / "asked"
        return path.read_text().splitlines() if path.exists() else []

    def running(self) -> list[str]:
        """The commands of all processes that work for this history."""
        mark = f"HISTORY_FOLDER={self.root}\0".encode()
        found = []
        for folder in Path("/proc").iterdir():
            with suppress(OSError):
                if folder.name.isdigit() and mark in (folder / "environ").read_bytes():
                    found.append((folder / "cmdline").read_bytes().replace(b"\0", b" ").decode())
        return [command for command in found if command]

    def git(self, *arguments: str) -> str:
        command = ["git", *arguments]
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
            **{
                f"GIT_{role}_{part}": "ada@example.org"
                for role in ("AUTHOR", "COMMITTER")
                for part in ("NAME", "EMAIL")
            },
            "PYTHONPATH": str(ROOT),
            "ACESTEP_BENCH_CELLS": CELLS,
            "HISTORY_FOLDER": str(self.root),
            **variables,
        }

    def start(self, *command: str, **variables: str) -> subprocess.Popen[str]:
        """Start ``asv``, or ``track``, as a user does."""
        module, *arguments = command
        program = ["-c", TRACK] if module == "track" else ["-m", module]
        return subprocess.Popen(
            [sys.executable, *program, *arguments],
            cwd=self.root,
            env=self.environment(**variables),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def run(self, *command: str, status: int = 0, **variables: str) -> str:
        """Run ``asv`` or ``track`` and return what it prints; it has to end with *status*."""
        process = self.start(*command, **variables)
        said, _ = process.communicate(timeout=300)
        assert process.returncode == status, said
        return said

    def asv(self, *arguments: str, status: int = 0, **variables: str) -> str:
        """Run asv."""
        return self.run("asv", *arguments, status=status, **variables)

    def track(self, *arguments: str, status: int = 0, publish: bool = False) -> str:
        """Run scripts/track; without publishing, which takes longer than measuring here."""
        variables = {} if publish else {"HISTORY_UNPUBLISHED": "1"}
        return self.run("track", "--cells", CELLS, *arguments, status=status, **variables)

    def stored(self, commit: str, benchmark: str = BATCH) -> dict[int, float | None]:
        """The numbers that asv has of *commit*, by gigabytes; NaN where it has none."""
        (path,) = self.results.glob(f"*/{commit[:8]}-*.json")
        data = json.loads(path.read_text())
        if benchmark not in data["results"]:
            return {}
        row = dict(zip(data["result_columns"], data["results"][benchmark], strict=False))
        sizes = [eval(values[0]) for values in product(*row["params"])]
        return dict(zip(sizes, row["result"] or [None] * len(sizes), strict=True))

    def samples(self, commit: str) -> dict[int, list[float]]:
        """The samples that asv has of `BATCH`, by gigabytes, where it has some."""
        (path,) = self.results.glob(f"*/{commit[:8]}-*.json")
        data = json.loads(path.read_text())
        row = dict(zip(data["result_columns"], data["results"][BATCH], strict=False))
        return {size: samples for size, samples in zip(self.stored(commit), row["samples"], strict=True) if samples}

    def batches(self, commit: str) -> dict[int, float]:
        """The largest batches that were measured of *commit*, by gigabytes."""
        stored = self.stored(commit).items()
        return {size: LARGEST - value for size, value in stored if value is not None and not math.isnan(value)}

    def forget(self) -> None:
        """Remove everything that was measured."""
        for name in ("results", "journal", "html"):
            shutil.rmtree(self.root / ".asv" / name, ignore_errors=True)
        for path in (*self.root.glob("hold-*"), self.root / "asked"):
            path.unlink(missing_ok=True)


def build_history(root: Path, commits: int) -> History:
    """A history of so many commits, that asv knows the machine of."""
    root.mkdir(parents=True)
    history = History(root)
    history.git("init", "-q", "-b", "main")
    history.git("config", "user.name", "Ädå")
    history.git("config", "user.email", "ada@example.org")
    (root / "install.py").write_text(INSTALL)
    (root / ".gitignore").write_text(".asv\nhome\ninstall.py\nhold-*\nasked\nasv.local.json\n")
    conf: dict[str, Any] = {
        "version": 1, "project": "acestep", "repo": ".", "branches": ["main"], "environment_type": "linked",
        "plugins": [".tests.benchmarks.linked_environment", ".scripts.tracker.asv_plugin"],
        "launch_method": "forkserver",
        "matrix": {"env_nobuild": {"ACESTEP_BENCH_SCALE": ["tiny"], "ACESTEP_BENCH_DEVICE": ["cpu"]}},
        "build_command": ["python -c pass"], "uninstall_command": ["python -c pass"],
        "install_command": ["in-dir={env_dir} python {conf_dir}/install.py {build_dir}"],
        "benchmark_dir": str(ROOT / "benchmarks"),
        "env_dir": ".asv/env", "results_dir": ".asv/results", "html_dir": ".asv/html",
    }  # fmt: skip
    (root / "asv.conf.json").write_text(json.dumps(conf))
    history.git("add", "--all")  # for the first of the commits
    for batch in range(1, commits + 1):
        history.commit(batch)
    history.asv("machine", "--machine", "here", "--yes")
    return history
