"""asv and the comparison, really run from within git: the repository of the caller is left as it was."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.benchmarks.test_asv_proof import ROOT
from tests.tracker.test_strange_repositories import Repository, state

WHEEL = """
import sys, zipfile
with zipfile.ZipFile(sys.argv[1] + "/acestep-1-py3-none-any.whl", "w") as wheel:
    wheel.write("acestep/__init__.py")
    wheel.writestr("acestep-1.dist-info/METADATA", "Metadata-Version: 2.1\\nName: acestep\\nVersion: 1\\n")
    tag = "Wheel-Version: 1.0\\nGenerator: x\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n"
    wheel.writestr("acestep-1.dist-info/WHEEL", tag)
    wheel.writestr("acestep-1.dist-info/RECORD", "")
"""
BENCHMARK = "def track_one():\n    return 1\n"
BUILD = """
import sys
from pathlib import Path
from scripts.tracker.command import run
from scripts.tracker.comparison.build import BuildEnvironment
from scripts.tracker.comparison.revisions import resolve

def build():
    build_environment = BuildEnvironment.open(Path("asv.conf.json").resolve(), "tiny", "cpu")
    return not (build_environment.build(resolve(Path.cwd(), "HEAD^")).folder / "acestep").is_dir()

sys.exit(run("build", build))
"""


@pytest.fixture
def small(tmp_path: Path) -> Repository:
    """A repository with a package that is built in a moment, in a folder with a space and a % in its name."""
    made = Repository(tmp_path / "a b %41" / "p")
    conf = {
        "version": 1, "project": "acestep", "repo": ".", "branches": ["main"], "environment_type": "linked",
        "plugins": [".tests.benchmarks.linked_environment", ".scripts.tracker.asv_plugin"], "benchmark_dir": "suite",
        "build_command": ["python wheel.py {build_cache_dir}"], "uninstall_command": ["python -c pass"],
        "install_command": ["in-dir={env_dir} python -m pip install --no-deps --force-reinstall {wheel_file}"],
        "env_dir": ".asv/env", "results_dir": ".asv/results", "html_dir": ".asv/html",
    }  # fmt: skip
    files = {
        "asv.conf.json": json.dumps(conf), "wheel.py": WHEEL, "acestep/__init__.py": "", ".gitignore": ".asv\n",
        "suite/__init__.py": "", "suite/one.py": BENCHMARK, "build.py": BUILD,
    }  # fmt: skip
    for name, text in files.items():
        (made.root / name).parent.mkdir(exist_ok=True)
        (made.root / name).write_text(text)
    made.git("add", ".")
    made.git("commit", "-q", "-m", "one")
    made.commit("two")
    return made


def environment(small: Repository, **variables: str) -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(ROOT), "HOME": str(small.root.parent), **variables}


def asv(small: Repository, *arguments: str, **variables: str) -> str:
    command = [sys.executable, "-m", "asv", *arguments]
    done = subprocess.run(
        command, cwd=small.root, env=environment(small, **variables), capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_a_hook_that_builds_commits_what_was_staged(small: Repository) -> None:
    hook = small.root / ".git" / "hooks" / "pre-commit"
    hook.write_text(f"#!/bin/sh\nexec '{sys.executable}' build.py\n")
    hook.chmod(0o755)
    (small.root / "file").write_text("three")
    command = ["git", "-c", "user.name=Ada", "-c", "user.email=a@b", "commit", "-q", "-a", "-m", "three"]
    done = subprocess.run(command, cwd=small.root, env=environment(small), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert small.git("show", "--format=", "--name-only", "HEAD") == "file"
    assert small.git("status", "--porcelain") == ""
    assert small.git("symbolic-ref", "HEAD") == "refs/heads/main"


@pytest.mark.slow
def test_asv_measures_a_linked_worktree_without_writing_to_either(small: Repository, tmp_path: Path) -> None:
    small.raw_commit(b"Caf\xe9\n", author=b"J\xfcrgen")
    small.git("config", "i18n.logOutputEncoding", "ISO-8859-1")
    small.git("worktree", "add", "-q", "--detach", str(tmp_path / "a b %41" / "linked"))
    linked = Repository.__new__(Repository)
    linked.root = tmp_path / "a b %41" / "linked"
    small.git("branch", "-q", "-m", "main", "trunk")
    bound = {"GIT_DIR": str(small.root / ".git"), "GIT_INDEX_FILE": str(small.root / ".git" / "index")}
    lock = {"PIP_CONSTRAINT": (ROOT / "lock.txt").as_uri()}
    before = state(small.root), linked.git("status", "--porcelain", "-b")
    asv(linked, "machine", "--yes")
    said = asv(linked, "run", "NEW", "--steps", "1", **bound, **lock)
    assert "There is no branch main here: the history of HEAD is followed" in said
    said = asv(linked, "publish", **bound)
    assert "Overview: " in said
    assert (linked.root / ".asv" / "html" / "overview.html").is_file()
    assert len(list((linked.root / ".asv" / "results").glob("*/????????-*.json"))) == 1
    assert (state(small.root), linked.git("status", "--porcelain", "-b")) == before


def test_pip_reads_the_lock_in_a_folder_of_any_name(tmp_path: Path) -> None:
    lock = tmp_path / "a b %41 é" / "lock.txt"
    lock.parent.mkdir()
    lock.write_text("pip<1\n")
    command = [sys.executable, "-m", "pip", "install", "--dry-run", "--no-index", "pip"]
    variables = {**os.environ, "PIP_CONSTRAINT": lock.as_uri()}
    done = subprocess.run(command, env=variables, capture_output=True, text=True, check=False)
    assert "Could not open" not in done.stderr
    assert "The user requested (constraint) pip<1" in " ".join((done.stdout + done.stderr).split())
