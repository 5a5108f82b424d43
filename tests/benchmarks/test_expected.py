"""What a commit lacks is n/a if it never had it, and a failure if it should have it."""

import subprocess
from dataclasses import replace

import pytest

from benchmarks.harness import expected
from benchmarks.harness.expected import is_expected
from benchmarks.harness.matrices import MATRICES
from benchmarks.harness.matrix import measure_matrix
from tests.benchmarks.fakes import MATRIX, Deeds, TooNew, settings_in


def expect(monkeypatch, since):
    monkeypatch.setattr(expected, "COMPLETE_SINCE", {MATRIX.name: since})


def git(folder, *arguments):
    identity = ["-c", "user.name=A", "-c", "user.email=a@example.invalid"]
    command = ["git", "-C", str(folder), *identity, *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


@pytest.fixture
def commits(tmp_path):
    """Three commits in a line, oldest first."""
    git(tmp_path, "init", "-q")
    hashes = []
    for message in "abc":
        git(tmp_path, "commit", "-q", "--allow-empty", "-m", message)
        hashes.append(git(tmp_path, "rev-parse", "HEAD"))
    return hashes


def test_commits_from_the_named_one_on_are_expected_to_have_all(tmp_path, monkeypatch, commits):
    expect(monkeypatch, commits[1])
    told = [is_expected(MATRIX.name, settings_in(tmp_path, "ok", commit=commit)) for commit in commits]

    assert told == [False, True, True]
    assert is_expected(MATRIX.name, settings_in(tmp_path, "ok", commit=""))
    assert not is_expected("another", settings_in(tmp_path, "ok", commit=""))


def test_without_the_named_commit_nothing_is_excused(tmp_path, monkeypatch, commits):
    expect(monkeypatch, "0" * 40)

    assert is_expected(MATRIX.name, settings_in(tmp_path, "ok", commit=commits[0]))


def measure(folder, deeds, workload):
    records = measure_matrix(replace(MATRIX, workload=workload), settings_in(folder, deeds), known=(MATRIX,))
    return {name: (record["status"], record["reason"]) for name, record in records.items()}


def test_what_should_be_there_and_is_not_fails_with_its_name(tmp_path, monkeypatch):
    expect(monkeypatch, "0" * 40)
    (status, reason) = measure(tmp_path, "skip", Deeds)["deed=skip"]
    assert status == "fail"
    assert reason.startswith("this commit has no skip, which is expected to have it: it was removed or renamed.")

    (status, reason) = measure(tmp_path, "ok", TooNew)["deed=ok"]
    assert status == "fail"
    assert reason.startswith("this commit has no models, which is expected")


def test_what_the_machine_lacks_is_no_failure_at_any_commit(tmp_path, monkeypatch):
    expect(monkeypatch, "0" * 40)

    assert measure(tmp_path, "elsewhere", Deeds) == {"deed=elsewhere": ("skip", "there is no such device here")}


def test_every_matrix_says_since_when_it_is_complete():
    assert expected.COMPLETE_SINCE.keys() == {matrix.name for matrix in MATRICES}
