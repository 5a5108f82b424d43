"""The exit statuses of the commands, and their messages."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from asv.util import ProcessError

from scripts import bisect, compare, reference, regressions
from scripts.tracker import configuration
from scripts.tracker.command import run
from scripts.tracker.comparison.build import BuildEnvironment, failure_text
from scripts.tracker.refusal import RefusalError
from scripts.tracker.running.asv_process import publish
from scripts.validate import main as validate
from tests.tracker.measured_project import ROOT, Measured, Project, build_project


def raising(error: BaseException) -> int:
    raise error


@pytest.mark.parametrize(
    ("error", "status", "message"),
    [
        (RefusalError("No room."), 2, "it: No room.\n"),
        (ValueError("odd"), 2, "it: ValueError is a fault of the tool, not a result.\n"),
        (KeyboardInterrupt(), 130, "\nInterrupted.\n"),
        (
            subprocess.CalledProcessError(1, ["git"]),
            2,
            "it: CalledProcessError is a fault of the tool, not a result.\n",
        ),
    ],
)
def test_an_error_never_has_exit_status_1(
    error: BaseException, status: int, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("it", lambda: raising(error)) == status
    errors = capsys.readouterr().err
    assert errors.endswith(message)
    assert ("Traceback" in errors) == ("fault" in message)


def test_a_verdict_and_a_known_refusal(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("it", lambda: 1) == 1
    assert run("it", lambda: raising(LookupError("No such thing.")), LookupError) == 2
    assert capsys.readouterr().err == "it: No such thing.\n"


def test_a_reader_that_leaves_is_no_crash() -> None:
    code = "import sys; from scripts.tracker.command import run; sys.exit(run('it', lambda: print('x' * 10**6) or 0))"
    command = f"'{sys.executable}' -c \"{code}\" | true; exit ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", command], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (2, "")


def test_a_crash_of_every_command_is_2(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def crash(*_arguments: object) -> int:
        raise KeyError("host")

    for module, name in (
        (compare, "compare_commits"),
        (bisect, "bisect_commits"),
        (regressions, "read_list"),
        (reference, "write"),
    ):
        monkeypatch.setattr(module, name, crash)
    monkeypatch.setattr("scripts.tracker.validation.histories.Histories", crash)
    assert compare.main([]) == 2
    assert bisect.main(["a", "b", "--series", "c"]) == 2
    assert regressions.main([]) == 2
    assert reference.main() == 2
    assert validate(["histories"]) == 2
    assert capsys.readouterr().err.count("KeyError is a fault of the tool") == 5


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "cannot be read"),
        ("", "cannot be read"),
        ("{}", "No version specified"),
        (b"\xff", "cannot be read"),
        (None, "no "),
    ],
)
def test_a_configuration_that_cannot_be_read(
    tmp_path: Path, text: str | bytes | None, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "asv.conf.json"
    if text is not None:
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(RefusalError, match=message):
        configuration.load(path)


def test_a_plugin_that_is_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "asv.conf.json"
    path.write_text(json.dumps({"version": 1, "repo": ".", "plugins": [".nowhere"]}))
    with pytest.raises(RefusalError, match=r"names a plugin that cannot be imported: No module named 'nowhere'"):
        BuildEnvironment.open(path, "tiny", "cpu")


@pytest.mark.parametrize(
    ("stdout", "stderr", "expected"),
    [
        ("Looking\n", "note\nERROR: Could not open constraint file\nnote\n", "ERROR: Could not open constraint file"),
        ("", "fatal: not a tree object\n", "fatal: not a tree object"),
        ("one\ntwo\n", "", "two"),
        ("", "", ""),
    ],
)
def test_the_words_of_a_build_that_failed(stdout: str, stderr: str, expected: str) -> None:
    assert failure_text(ProcessError(["pip"], 1, stdout, stderr)) == expected


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    """Two measured commits; the working folder and PATH come back after the test."""
    monkeypatch.chdir(tmp_path)
    return build_project(tmp_path / "a b %41", [Measured(), Measured()], [(30, 1, False, 8)], [("bench-1", "cpu")])


def listed(project: Project) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "scripts.regressions", "--config", str(project.root / "asv.conf.json")]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


def test_regressions_say_what_they_follow_and_leave_out(project: Project) -> None:
    project.git("checkout", "-q", "-b", "trunk", "HEAD^")
    project.git("branch", "-q", "-D", "main")
    done = listed(project)
    assert done.returncode == 0, done.stderr
    assert done.stderr.splitlines() == [
        "scripts.regressions: There is no branch main here: the history of trunk is followed, which is checked out.",
        f"scripts.regressions: 1 measured commit ({project.commits[1][:8]}) is on no branch or tag any more "
        "(amended, rebased, squashed, or deleted with its branch): left out.",
    ]


def test_regressions_name_what_is_damaged_once(project: Project) -> None:
    result, other = (next(project.results.glob(f"*/{commit[:8]}-*.json")) for commit in project.commits)
    other.write_text("")
    result.with_suffix(".hosts.jsonl").write_text('{"matrix": "stages"}\n{"host": {}}\n')
    done = listed(project)
    assert done.returncode == 0, done.stderr
    first, second = done.stderr.splitlines()
    assert other.name in first + second
    assert f"{result.stem}.hosts.jsonl has a line without matrix or host" in first + second


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("regressions_first_commits", {".*": "mian"}),
        ("regressions_thresholds", {"(": 1}),
        ("regressions_thresholds", {"x": "y"}),
        ("regressions_thresholds", 5),
    ],
)
def test_regressions_of_a_wrong_configuration_are_2(project: Project, setting: str, value: object) -> None:
    conf = json.loads((project.root / "asv.conf.json").read_text())
    (project.root / "asv.conf.json").write_text(json.dumps({**conf, setting: value}))
    done = listed(project)
    assert done.returncode == 2
    [line] = done.stderr.splitlines()
    assert setting in line


def test_publishing_shows_each_warning_once(project: Project, capfd: pytest.CaptureFixture[str]) -> None:
    project.git("reset", "-q", "--hard", "HEAD^")
    [damaged] = project.results.glob(f"*/{project.commits[0][:8]}-*.json")
    damaged.write_text("{")
    (project.root / "benchmarks").mkdir()
    (project.root / "benchmarks" / "acknowledged.toml").write_text(
        '[[acknowledged]]\ncommit = "1234567"\nseries = "*"\nreason = "x"\nby = "y"\n'
    )
    environment = {"PATH": str(project.root / "bin"), "HOME": str(project.root)}
    assert publish(project.root, "asv.conf.json", environment) == 0
    output = capfd.readouterr()
    assert output.out == ""
    for warning in (damaged.name, "1 measured commit (", "acknowledges nothing", "need a network"):
        assert output.err.count(warning) == 1, output.err


def test_publishing_that_fails_says_why(project: Project, capfd: pytest.CaptureFixture[str]) -> None:
    (project.results / "benchmarks.json").unlink()
    assert publish(project.root, "asv.conf.json", {"PATH": str(project.root / "bin")}) == 1
    assert "benchmarks.json missing" in capfd.readouterr().err
    (project.results / "bench-1" / "machine.json").unlink()
    assert publish(project.root, "asv.conf.json", {"PATH": str(project.root / "bin")}) == 1
    assert "Skipping results: could not load" in capfd.readouterr().err
