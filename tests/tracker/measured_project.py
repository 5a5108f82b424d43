"""A measured project to publish: a real git repository with asv results of known size in it."""

from __future__ import annotations

import json
import os
import random
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path

from benchmarks.harness.suite import all_series

ROOT = Path(__file__).parents[2]
STAGES = ("lm", "text_encode", "condition", "code_decode", "dit", "vae", "post", "save", "other")
PARAMS = {"duration": [30, 60, 120, 240], "batch": [1, 2, 4], "thinking": [False, True], "steps": [8, 16]}
QUICK = ((30, 1, False, 8), (30, 1, True, 8), (60, 2, False, 16))
Cell = tuple[int, int, bool, int]


def stage_seconds(cell: Cell) -> dict[str, float]:
    """Seconds of each stage of one generation at tiny scale, before any commit changed anything."""
    duration, batch, thinking, steps = cell
    scale = duration / 30 * batch
    return {
        "lm": 1.1 + 0.012 * duration if thinking else 0.0,
        "text_encode": 0.031,
        "condition": 0.052,
        "code_decode": 0.044 * scale if thinking else 0.0,
        "dit": 0.42 * scale * steps / 8,
        "vae": 0.36 * scale,
        "post": 0.018 * scale,
        "save": 0.047 * scale,
        "other": 0.023,
    }


@dataclass
class Measured:
    """What one commit does to the numbers: factors on stages, another output, failing cells."""

    subject: str = "Change something"
    factors: Mapping[str, float] = field(default_factory=dict)
    output: int = 1
    tokens: int = 0
    failing: Sequence[Cell] = ()


@dataclass
class Project:
    """A project folder with ``asv.conf.json``, its commits oldest first, and how to publish it."""

    root: Path
    commits: list[str] = field(default_factory=list)

    @property
    def html(self) -> Path:
        return self.root / ".asv" / "html"

    @property
    def results(self) -> Path:
        return self.root / ".asv" / "results"

    def asv(self, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        """Run asv as a user does; without npm, so that no test needs a network."""
        variables = {
            **os.environ,
            "PYTHONPATH": str(ROOT),
            "XDG_CACHE_HOME": str(self.root / "cache"),
            "PATH": str(self.root / "bin"),
            **environment,
        }
        command = [sys.executable, "-m", "asv", *arguments]
        return subprocess.run(command, cwd=self.root, env=variables, capture_output=True, text=True, check=False)

    def git(self, *arguments: str) -> str:
        command = ["git", "-c", "user.name=Ada", "-c", "user.email=ada@example.org", *arguments]
        done = subprocess.run(command, cwd=self.root, capture_output=True, text=True, check=True)
        return done.stdout.strip()

    def commit(self, subject: str) -> str:
        number = len(self.commits)
        day = f"2026-{1 + number // 28 % 12:02}-{1 + number % 28:02}T12:00:00"
        (self.root / "code.txt").write_text(f"{number}\n")
        self.git("add", "code.txt")
        os.environ["GIT_COMMITTER_DATE"] = day
        try:
            self.git("commit", "-q", "-m", subject, "--date", day)
        finally:
            del os.environ["GIT_COMMITTER_DATE"]
        self.commits.append(self.git("rev-parse", "HEAD"))
        return self.commits[-1]


def benchmark(name: str, params: Mapping[str, Sequence[object]]) -> dict[str, object]:
    """An entry of asv's ``benchmarks.json``."""
    series = all_series()[name]
    return {
        "name": name,
        "type": series.type,
        "unit": series.unit,
        "params": [[repr(value) for value in values] for values in params.values()],
        "param_names": list(params),
        "version": "1",
        "code": "",
        "timeout": 60,
    }


def benchmarks() -> dict[str, dict[str, object]]:
    """The benchmarks that the results below are of."""
    metrics = [f"time_{name}" for name in ("wall", *STAGES, "dit_step")]
    metrics += ["s_per_audio_s", "peak_memory", "tokens", "fingerprint"]
    entries = [benchmark(f"generate.GenerateMusic.track_{name}", PARAMS) for name in metrics]
    entries += [
        benchmark("stages.VAEDecode.track_time", {"duration": [30, 60], "tiled": [False, True]}),
        benchmark("stages.DiTForward.track_time", {"duration": [30, 60], "batch": [1, 2]}),
        benchmark("planner.Prefill.track_time", {"engine": ["pt", "mlx"]}),
        benchmark("apis.Understand.track_forwards", {}),
        benchmark("startup.Import.track_time", {}),
        benchmark("startup.Load.track_memory", {}),
    ]
    return {str(entry["name"]): entry for entry in entries}


class Writer:
    """Writes result files with asv's own class."""

    def __init__(self, project: Project, machine: str, device: str, scale: str, seed: int) -> None:
        self._project, self._machine, self._axes = project, machine, (scale, device)
        self._random = random.Random(seed)

    def machine_file(self) -> None:
        facts = {"machine": self._machine, "cpu": "Epyc 7B13", "num_cpu": "2", "ram": "25769803776"}
        facts |= {"os": "Linux 6.1", "arch": "x86_64"}
        folder = self._project.results / self._machine
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "machine.json").write_text(json.dumps({**facts, "version": 1}))
        self._facts = facts

    def write(self, commit: str, date_ms: int, measured: Measured, cells: Sequence[Cell]) -> None:
        from asv.results import Results

        scale, device = self._axes
        variables = {"ACESTEP_BENCH_SCALE": scale, "ACESTEP_BENCH_DEVICE": device}
        requirements = {"pip+torch": "2.13.0"}
        parameters = {**self._facts, "python": "3.11", **requirements}
        name = f"virtualenv-py3.11-pip+torch2.13.0-{scale}-{device}"
        results = Results(parameters, requirements, commit, date_ms, "3.11", name, variables)
        drift = {stage: self._random.gauss(1, 0.006) for stage in (*STAGES, "memory")}
        for entry in benchmarks().values():
            self._add(results, entry, measured, cells, drift)
        results.save(str(self._project.results))

    def _add(self, results, entry, measured, cells, drift) -> None:  # type: ignore[no-untyped-def]
        from asv.runner import BenchmarkResult

        values, samples = [], []
        for combination in product(*entry["params"]):
            made = self._samples(entry, combination, measured, cells, drift)
            samples.append(made if isinstance(made, list) else None)
            values.append(sum(made) / len(made) if isinstance(made, list) else made)
        numbers = [None if sample is None else 1 for sample in samples]
        results.add_result(entry, BenchmarkResult(values, samples, numbers, 0, "", None), record_samples=False)

    def _samples(self, entry, combination, measured, cells, drift):  # type: ignore[no-untyped-def]
        owner, _, metric = entry["name"].rpartition(".")
        metric = metric.removeprefix("track_").removeprefix("time_")
        factors = {stage: measured.factors.get(stage, 1.0) * drift[stage] for stage in STAGES}
        if owner == "generate.GenerateMusic":
            cell = tuple(map(eval, combination))
            if cell not in cells:
                return float("nan")
            return None if cell in measured.failing else self._generate(metric, cell, measured, factors, drift)
        if metric == "forwards":
            return [44.0 + measured.tokens] * 10
        if "'mlx'" in combination:
            return float("nan")
        base = {
            "Prefill": 0.002 * factors["lm"],
            "VAEDecode": 0.3 * factors["vae"],
            "DiTForward": 0.05 * factors["dit"],
            "Import": 0.21,
        }
        if metric == "memory":
            return self._jitter(4.1e8 * drift["memory"], 0.001)
        return self._jitter(
            base[owner.rpartition(".")[2]] * (int(combination[0]) / 30 if "duration" in entry["param_names"] else 1)
        )

    def _generate(self, metric, cell, measured, factors, drift):  # type: ignore[no-untyped-def]
        duration, batch, thinking, steps = cell
        seconds = {stage: value * factors[stage] for stage, value in stage_seconds(cell).items()}
        match metric:
            case "tokens":
                return [float(measured.tokens + thinking * (5 * duration + 60) * batch)] * 10
            case "fingerprint":
                return [(1 + 0.1 * measured.output + hash(cell) % 1000 / 1e4) * self._random.gauss(1, 1e-6)] * 10
            case "peak_memory":
                return self._jitter((2.1e8 + 9e5 * duration * batch) * drift["memory"], 0.001)
            case "wall":
                return self._jitter(sum(seconds.values()))
            case "s_per_audio_s":
                return self._jitter(sum(seconds.values()) / duration / batch)
            case "dit_step":
                return self._jitter(seconds["dit"] / steps)
        return self._jitter(seconds[metric]) if seconds[metric] else float("nan")

    def _jitter(self, value: float, spread: float = 0.012) -> list[float]:
        return [value * abs(self._random.gauss(1, spread)) for _ in range(10)]


def build_project(
    root: Path, history: Sequence[Measured], cells: Sequence[Cell], where: Sequence[tuple[str, str]]
) -> Project:
    """A repository with one commit for each entry of *history*, measured on every (machine, device) of *where*."""
    root.mkdir(parents=True, exist_ok=True)
    project = Project(root)
    (root / "bin").mkdir()
    (root / "bin" / "git").symlink_to(shutil.which("git") or "/usr/bin/git")
    project.git("init", "-q", "-b", "main")
    conf = {
        "version": 1, "project": "acestep", "repo": ".", "branches": ["main"], "environment_type": "virtualenv",
        "results_dir": ".asv/results", "html_dir": ".asv/html", "plugins": [".scripts.tracker.asv_plugin"],
    }  # fmt: skip
    (root / "asv.conf.json").write_text(json.dumps(conf))
    project.results.mkdir(parents=True)
    (project.results / "benchmarks.json").write_text(json.dumps({**benchmarks(), "version": 2}))
    writers = [Writer(project, machine, device, "tiny", seed) for seed, (machine, device) in enumerate(where)]
    for writer in writers:
        writer.machine_file()
    for number, measured in enumerate(history):
        commit = project.commit(measured.subject)
        for writer in writers:
            writer.write(commit, 1_770_000_000_000 + number * 86_400_000, measured, cells)
    if not history:
        project.commit("Begin")
    return project


Build = Callable[..., Project]
"""Builds a measured project in a new folder; see the fixture `build`."""
Listing = Callable[..., tuple[int, str, str]]
"""Runs `scripts.regressions` in a project; returns exit status, output and errors."""


def acknowledge(project: Project, text: str) -> Path:
    """Check *text* in as the acknowledgements of a project; returns its path."""
    path = project.root / "benchmarks" / "acknowledged.toml"
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)
    return path
