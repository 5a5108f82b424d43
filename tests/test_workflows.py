"""What the repository's host runs: only this project's scripts, with options that they have."""

import os
import re
import shlex
from pathlib import Path

import pytest
import yaml

from scripts import compare, regressions, track

ROOT = Path(__file__).resolve().parents[1]
PARSERS = {"compare": compare.parse, "regressions": regressions.parse, "track": track.parse}


def commands():
    """Every command of a workflow that is a script of this project, with its arguments."""
    for path in sorted((ROOT / ".github" / "workflows").glob("*.yml")):
        for job in yaml.safe_load(path.read_text())["jobs"].values():
            for step in job["steps"]:
                for line in step.get("run", "").splitlines():
                    if line.strip().startswith("scripts/"):
                        yield path.stem, line.partition(">>")[0].strip()


@pytest.mark.parametrize("command", [command for _, command in commands()])
def test_a_workflow_calls_scripts_that_are_there(command):
    script, *arguments = shlex.split(re.sub(r"\$\{\{.*?\}\}|\$\w+", "main", command))

    assert os.access(ROOT / script, os.X_OK)
    PARSERS[Path(script).name](arguments)


def test_pull_requests_are_compared_and_nights_measured():
    called = {(workflow, command.split()[0]) for workflow, command in commands()}

    assert called == {("compare", "scripts/compare"), ("history", "scripts/track"), ("history", "scripts/regressions")}


@pytest.mark.parametrize("name", ["compare", "history"])
def test_whole_histories_are_fetched(name):
    workflow = yaml.safe_load((ROOT / ".github" / "workflows" / f"{name}.yml").read_text())
    (job,) = workflow["jobs"].values()
    (checkout,) = [step for step in job["steps"] if step.get("uses", "").startswith("actions/checkout")]

    assert checkout["with"]["fetch-depth"] == 0


def test_what_a_night_has_measured_is_kept_whatever_happened_to_it():
    workflow = yaml.safe_load((ROOT / ".github" / "workflows" / "history.yml").read_text())
    job = workflow["jobs"]["history"]
    names = [step.get("name") or step.get("uses", "") for step in job["steps"]]
    measured = names.index("Measure what is new, and publish")

    assert job["steps"][measured]["timeout-minutes"] < job["timeout-minutes"]
    assert len(job["steps"]) > measured + 1
    assert all("always()" in step["if"] for step in job["steps"][measured + 1 :])
