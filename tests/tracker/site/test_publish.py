"""`asv publish` as a user runs it, over a real repository and real result files."""

from __future__ import annotations

import json
import re
import shutil
import stat
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from benchmarks.harness.progress import LedgerLine
from scripts.tracker.site.assets import ASSETS
from tests.tracker.measured_project import QUICK, Build, Measured, Project


def payload(project: Project) -> dict[str, Any]:
    html = (project.html / "overview.html").read_text(encoding="utf-8")
    found = re.search(r'<script id="data" type="application/json">(.*?)</script>', html, re.DOTALL)
    assert found is not None
    return json.loads(found[1])  # type: ignore[no-any-return]


def published(project: Project, **environment: str) -> str:
    done = project.asv("publish", **environment)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def refused(project: Project) -> str:
    done = project.asv("publish")
    assert done.returncode == 1
    assert "Traceback" not in done.stdout + done.stderr
    return done.stdout + done.stderr


def fake_npm(project: Project) -> Path:
    """An npm that packs one line of text for every file that is asked of it, and counts its calls."""
    npm = project.root / "bin" / "npm"
    members = {asset.package: [a.member for a in ASSETS if a.package == asset.package] for asset in ASSETS}
    npm.write_text(
        f"#!{sys.executable}\n"
        "import io, pathlib, sys, tarfile\n"
        f"members = {members!r}\n"
        f"with open({str(npm.parent / 'calls')!r}, 'a') as calls: calls.write('call\\n')\n"
        "for package in sys.argv[1:]:\n"
        "    if package in members:\n"
        "        with tarfile.open(package.replace('@', '-') + '.tgz', 'w:gz') as packed:\n"
        "            for member in members[package]:\n"
        "                info = tarfile.TarInfo('package/' + member)\n"
        "                text = ('/* ' + member + ' */').encode()\n"
        "                info.size = len(text)\n"
        "                packed.addfile(info, io.BytesIO(text))\n"
    )
    npm.chmod(npm.stat().st_mode | stat.S_IXUSR)
    return npm


def test_the_page_shows_exactly_the_regressions_of_asvs_page_and_feed(slower_vae: Project) -> None:
    [environment] = payload(slower_vae)["environments"]
    shown = {
        (environment["series"][change["series"]]["benchmark"], change["before"], change["after"])
        for group in environment["regressions"]
        for change in group["changes"]
    }
    stored = json.loads((slower_vae.html / "regressions.json").read_text())["regressions"]
    by_asv = {(entry[0].partition("(")[0], change[2], change[3]) for entry in stored for change in entry[6]}
    assert shown == by_asv
    assert {name for name, _, _ in shown} >= {"generate.GenerateMusic.track_time_vae", "stages.VAEDecode.track_time"}
    feed = ElementTree.fromstring((slower_vae.html / "regressions.xml").read_text())
    assert len(feed.findall("{http://www.w3.org/2005/Atom}entry")) == len(by_asv)


def test_a_regression_names_commit_stage_and_size(slower_vae: Project) -> None:
    page = payload(slower_vae)
    [environment] = page["environments"]
    first = environment["regressions"][0]
    assert page["commits"][first["at"]]["hash"] == slower_vae.commits[2]
    assert first["since"] is None
    assert first["stage"] == "VAE decode"
    assert first["ratio"] == pytest.approx(1.5, abs=0.03)
    low, high = first["interval"]
    assert low < 1.5 < high
    assert 0.99 <= first["probability"] < 1
    assert not environment["improvements"]


def test_unchanged_stages_are_inside_the_noise(slower_vae: Project) -> None:
    [environment] = payload(slower_vae)["environments"]
    real = {series["label"] for series in environment["series"] if series["change"] and series["change"]["significant"]}
    assert real <= {"VAE decode", "VAE decode, alone", "Wall time", "Seconds per audio second"}
    assert {"VAE decode", "Wall time"} <= real


def test_improvements_outputs_work_and_failures_are_told_apart(build: Build) -> None:
    failing = QUICK[0]
    history = [
        Measured("Begin"),
        Measured("Cache the rotary tables", factors={"dit": 0.7}),
        Measured("Another sampler", factors={"dit": 0.7}, output=2, tokens=3),
        Measured("Break a cell", factors={"dit": 0.7}, output=2, tokens=3, failing=[failing]),
    ]
    project = build(history)
    [result] = (project.results / "bench-1").glob(f"{project.commits[-1][:8]}-*.json")
    cell = "duration={},batch={},thinking={},steps={}".format(*failing)
    outcome = {"status": "oom", "reason": "out of memory in the VAE", "unix": 1.0}
    line = {"matrix": "generate", "host": {}, "cells": {cell: outcome}}
    result.with_suffix(".hosts.jsonl").write_text(json.dumps(line) + "\n")
    published(project)
    [environment] = payload(project)["environments"]

    best = environment["improvements"][0]
    assert (best["at"], best["stage"]) == (1, "DiT")
    assert best["ratio"] == pytest.approx(0.7, abs=0.02)
    exact = {(change["unit"], change["at"]) for change in environment["exact_changes"]}
    assert exact == {("fingerprint", 2), ("tokens", 2), ("forwards", 2)}
    assert not any(group["label"] == "Output fingerprint" for group in environment["regressions"])
    generation = next(one for one in environment["missing"] if one["name"] == "Whole generation")
    [failure] = generation["failures"]
    assert failure["every"]
    assert failure["reason"] == "out of memory in the VAE"
    assert failure["cell"] == "30 s · batch 1 · no thinking · 8 steps"
    assert generation["absent"] == [{"reason": "not chosen for this run", "cells": generation["absent"][0]["cells"]}]
    assert len(generation["absent"][0]["cells"]) == 45


def test_environments_never_share_a_curve(build: Build) -> None:
    project = build([Measured(), Measured()], where=[("bench-1", "cpu"), ("bench-1", "cuda"), ("mac", "mps")])
    published(project)
    labels = {environment["label"] for environment in payload(project)["environments"]}
    assert labels == {f"{machine} · tiny · {device} · torch 2.13.0" for machine, device in
                      [("bench-1", "cpu"), ("bench-1", "cuda"), ("mac", "mps")]}  # fmt: skip


def test_a_step_over_unmeasured_commits_is_given_as_a_range(build: Build) -> None:
    project = build([Measured(), Measured(), Measured(factors={"vae": 2}), Measured(factors={"vae": 2})])
    for result in (project.results / "bench-1").glob(f"{project.commits[1][:8]}-*.json"):
        result.unlink()
    published(project)
    page = payload(project)
    group = page["environments"][0]["regressions"][0]
    assert page["commits"][group["since"]]["hash"] == project.commits[0]
    assert page["commits"][group["at"]]["hash"] == project.commits[2]


def test_without_npm_asvs_pages_stay_and_one_sentence_says_so(slower_vae: Project) -> None:
    index = (slower_vae.html / "index.html").read_text()
    assert "https://code.jquery.com" in index
    assert payload(slower_vae)["asv_pages_note"] == (
        "asv's own pages need a network and a web server (asv preview), because npm is not installed."
    )


def test_with_npm_asvs_pages_need_nothing_else_and_npm_is_asked_once(build: Build) -> None:
    project = build([Measured()])
    calls = fake_npm(project).parent / "calls"
    published(project)
    published(project)
    index = (project.html / "index.html").read_text()
    assert not re.search(r'(src|href)="https?://[^"]*\.(js|css)"', index)
    assert "integrity" not in index
    for asset in ASSETS:
        assert f'"libraries/{asset.name}"' in index
        assert asset.member in (project.html / "libraries" / asset.name).read_text()
    data = (project.html / "offline_data.js").read_text()
    files = json.loads(data.removeprefix("window.offlineFiles = ").removesuffix(";\n"))
    assert {"index.json", "info.json", "regressions.json"} <= set(files)
    assert payload(project)["asv_pages_note"] is None
    assert calls.read_text() == "call\n"


def test_an_npm_that_fails_is_named_and_leaves_no_half_filled_cache(build: Build) -> None:
    project = build([Measured()])
    npm = fake_npm(project)
    npm.write_text(f"#!{sys.executable}\nraise SystemExit(7)\n")
    said = published(project)
    assert "npm could not fetch them (exit status 7)" in said
    assert not list((project.root / "cache" / "acestep").iterdir())
    assert "https://code.jquery.com" in (project.html / "index.html").read_text()


def test_asvs_navigation_leads_to_the_overview(slower_vae: Project) -> None:
    assert '<a href="overview.html">Overview</a>' in (slower_vae.html / "index.html").read_text()


def test_no_results_give_a_page_that_says_so(build: Build) -> None:
    project = build([])
    published(project)
    assert payload(project)["environments"] == []


def test_a_shallow_clone_is_told_how_to_get_its_history(build: Build, tmp_path: Path) -> None:
    project = build([Measured(), Measured()])
    clone = tmp_path / "clone"
    subprocess.run(["git", "clone", "-q", "--depth=1", f"file://{project.root}", clone], check=True)
    shutil.copytree(project.root, clone, dirs_exist_ok=True, symlinks=True, ignore=shutil.ignore_patterns(".git"))
    assert "git fetch --unshallow" in refused(Project(clone))


@pytest.mark.parametrize("collected", [False, True])
def test_results_of_commits_that_are_gone_are_left_out_with_a_line(build: Build, collected: bool) -> None:
    project = build([Measured(), Measured(), Measured(), Measured(), Measured()], where=[("a", "cpu"), ("b", "cpu")])
    project.git("reset", "-q", "--hard", "HEAD~4")
    if collected:
        project.git("reflog", "expire", "--expire=now", "--all")
        project.git("gc", "--quiet", "--prune=now")
    said = published(project)
    lost = ", ".join(sorted(commit[:8] for commit in project.commits[1:])[:3])
    assert said.count(f"4 measured commits ({lost}, …) are on no branch or tag any more") == 1
    assert "Couldn't find" not in said
    assert [commit["hash"] for commit in payload(project)["commits"]] == project.commits[:1]


def test_results_on_another_branch_are_warned_of_once_a_commit(build: Build) -> None:
    project = build([Measured(), Measured()], where=[("a", "cpu"), ("b", "cpu")])
    project.git("branch", "topic")
    project.git("reset", "-q", "--hard", "HEAD^")
    assert published(project).count(f"Couldn't find {project.commits[1][:8]} in branches (main)") == 1


@pytest.mark.parametrize(
    "damaged", ["", "{", "[]", "null", '{"version": 2}', '{"version": 2, "results": 7}', b"\xff\xfe\x00"]
)
def test_a_damaged_result_is_named_once_and_left_out(build: Build, damaged: str | bytes) -> None:
    project = build([Measured(), Measured()])
    [path] = project.results.glob(f"*/{project.commits[1][:8]}-*.json")
    path.write_bytes(damaged if isinstance(damaged, bytes) else damaged.encode())
    assert published(project).count(path.name) == 1
    assert [commit["hash"] for commit in payload(project)["commits"]] == project.commits[:1]


def test_tags_of_every_kind_do_not_stop_publishing(build: Build) -> None:
    project = build([Measured(), Measured()])
    project.git("tag", "v1")
    project.git("tag", "-a", "v2", "-m", "annotated", "v1")
    project.git("-c", "advice.nestedTag=false", "tag", "-a", "v3", "-m", "of a tag", "v2")
    project.git("tag", "tree", "HEAD^{tree}")
    project.git("tag", "file", "HEAD:code.txt")
    for name in ("-dash", "é", "it's", "HEAD~1x"[:4] + "-1"):
        project.git("update-ref", f"refs/tags/{name}", "HEAD")
    published(project)
    tags = json.loads((project.html / "index.json").read_text())["tags"]
    assert set(tags) == {"v1", "v2", "v3", "-dash", "é", "it's", "HEAD-1"}


def test_a_tag_called_like_the_branch_does_not_take_its_place(build: Build) -> None:
    project = build([Measured(), Measured()])
    project.git("tag", "main", "HEAD^")
    assert "main is a branch and a tag here" in published(project)
    assert [commit["hash"] for commit in payload(project)["commits"]] == project.commits


@pytest.mark.parametrize(
    ("checkout", "followed"), [(["-b", "trunk"], "trunk"), (["-b", "a/b's"], "HEAD"), (["--detach"], "HEAD")]
)
def test_without_the_branch_that_is_checked_out_is_published(build: Build, checkout: list[str], followed: str) -> None:
    project = build([Measured(), Measured()])
    project.git("checkout", "-q", *checkout)
    project.git("branch", "-q", "-D", "main")
    assert f"There is no branch main here: the history of {followed} is followed" in published(project)
    assert [commit["hash"] for commit in payload(project)["commits"]] == project.commits


def test_git_is_quoted_by_asv_commands(build: Build) -> None:
    project = build([Measured()])
    done = project.asv("publish", GIT_TEST_ASSUME_DIFFERENT_OWNER="1")
    assert done.returncode == 1
    assert "detected dubious ownership" in done.stdout
    assert "Traceback" not in done.stderr
    project.asv("machine", "--yes", HOME=str(project.root))
    range_of_nothing = project.asv("run", "v0.1.0..main", HOME=str(project.root))
    assert range_of_nothing.returncode != 0
    assert "v0.1.0..main" in range_of_nothing.stdout
    assert "Traceback" not in range_of_nothing.stderr


@pytest.mark.parametrize(
    ("setting", "value", "said"),
    [
        ("regressions_thresholds", {"(": 0.1}, "'(', which is no regular expression"),
        ("regressions_thresholds", {"x": "much"}, "has 'much' for 'x', expected a number"),
        ("regressions_first_commits", {"*": None}, "'*', which is no regular expression"),
        ("regressions_first_commits", {".*": "mian"}, "has 'mian' for '.*', which is no commit"),
    ],
)
def test_a_mistake_in_the_configuration_ends_with_a_sentence(
    build: Build, setting: str, value: dict[str, object], said: str
) -> None:
    project = build([Measured()])
    conf = json.loads((project.root / "asv.conf.json").read_text())
    (project.root / "asv.conf.json").write_text(json.dumps({**conf, setting: value}))
    assert said in refused(project)


@pytest.mark.parametrize(("command", "folder"), [("publish", "html"), ("run", "results")])
def test_a_folder_that_cannot_be_written_ends_with_a_sentence(build: Build, command: str, folder: str) -> None:
    project = build([])
    conf = json.loads((project.root / "asv.conf.json").read_text())
    (project.root / "file").write_text("")
    conf[f"{folder}_dir"] = "file/inside"
    (project.root / "asv.conf.json").write_text(json.dumps(conf))
    done = project.asv(command)
    assert done.returncode == 1
    assert f"set {folder}_dir in asv.conf.json" in " ".join(done.stdout.split())
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("variable", "value", "said"),
    [
        ("ACESTEP_BENCH_CELLS", "most", "'most' is neither quick nor full"),
        ("ACESTEP_BENCH_SCALE", "huge", "ACESTEP_BENCH_SCALE='huge' is no scale"),
        ("ACESTEP_BENCH_DEVICE", "tpu", "ACESTEP_BENCH_DEVICE='tpu' is no device"),
    ],
)
def test_asv_run_refuses_an_unknown_setting(build: Build, variable: str, value: str, said: str) -> None:
    project = build([])
    conf = json.loads((project.root / "asv.conf.json").read_text())
    conf["matrix"] = {"env_nobuild": {variable: [value]}}
    (project.root / "asv.conf.json").write_text(json.dumps(conf))
    done = project.asv("run", **{variable: value})
    assert done.returncode == 1
    assert said in " ".join(done.stdout.split())
    assert "Traceback" not in done.stderr


MEASURING = """
import json, os, pathlib, time

def setup_cache():
    line = {**LINE, "started_unix": time.time()}
    ledger = pathlib.Path("LEDGER")
    ledger.parent.mkdir(exist_ok=True)
    ledger.write_text(json.dumps(line))
    ledger.with_name("saved").write_text(os.environ["ACESTEP_BENCH_SAVED"])
    return 1.0

def track_nothing(value):
    return value
"""


def test_asv_run_ends_with_the_share_spent_measuring(build: Build) -> None:
    project = build([])
    ledger = project.root / ".asv" / "journal" / "ledger.jsonl"
    suite = project.root / "suite"
    suite.mkdir()
    (suite / "__init__.py").write_text("")
    line = asdict(LedgerLine("generate", "c", "e", 0.0, timed_s=0.4, warmup_s=0.1, cells=3, failed=1))
    (suite / "nothing.py").write_text(MEASURING.replace("LINE", repr(line)).replace("LEDGER", str(ledger)))
    conf = json.loads((project.root / "asv.conf.json").read_text())
    (project.root / "asv.conf.json").write_text(json.dumps({**conf, "benchmark_dir": "suite"}))
    project.asv("machine", "--yes", HOME=str(project.root))
    commit = f"--set-commit-hash={project.commits[0]}"
    done = project.asv("run", f"--environment=existing:{sys.executable}", commit, HOME=str(project.root))
    assert done.returncode == 0, done.stdout + done.stderr
    last = done.stdout.splitlines()[-1]
    assert re.fullmatch(r"Measuring took \d+ s: timed samples \d+ %, .*; 3 cells, 1 failed\.", last)
    assert sum(map(int, re.findall(r"(\d+) %", last))) == 100
    assert "Measuring took" not in project.asv("publish").stdout, "the same ledger, but nothing measured"
    assert ledger.with_name("saved").read_text() == "yes"
    project.asv("run", f"--environment=existing:{sys.executable}", commit, "--dry-run", HOME=str(project.root))
    assert ledger.with_name("saved").read_text() == "no"


def test_a_newest_commit_that_failed_everywhere_is_the_one_with_the_gaps(build: Build) -> None:
    project = build([Measured(), Measured(failing=QUICK)])
    published(project)
    page = payload(project)
    [environment] = page["environments"]
    assert page["commits"][environment["latest"]]["hash"] == project.commits[1]
    generation = next(one for one in environment["missing"] if one["name"] == "Whole generation")
    assert len(generation["failures"]) == len(QUICK)
