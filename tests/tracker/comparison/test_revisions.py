"""The commits that names on the command line resolve to."""

import subprocess

import pytest

from scripts.tracker.comparison.revisions import resolve
from scripts.tracker.preflight import RefusalError


@pytest.fixture
def repository(tmp_path):
    def git(*arguments):
        identity = ["-c", "user.name=Nobody", "-c", "user.email=nobody@example.org"]
        command = ["git", "-C", str(tmp_path), *identity, *arguments]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()

    git("init", "--quiet", "-b", "main")
    (tmp_path / "kept.txt").write_text("as committed\n")
    (tmp_path / ".gitignore").write_text("*.log\n")
    git("add", ".")
    git("commit", "--quiet", "-m", "A beginning")
    return tmp_path, git


def test_a_branch_resolves_to_its_commit(repository):
    root, git = repository
    found = resolve(root, "main")

    assert (found.hash, found.subject, found.stored) == (git("rev-parse", "HEAD"), "A beginning", True)
    assert found.label == f"main ({found.hash[:8]})"


def test_an_unknown_name_is_refused_with_a_remedy(repository):
    with pytest.raises(RefusalError, match=r"'mian' is no commit .* git log"):
        resolve(repository[0], "mian")


def test_the_working_tree_resolves_to_a_commit_of_all_its_files(repository):
    root, git = repository
    (root / "kept.txt").write_text("changed\n")
    (root / "new.txt").write_text("not added\n")
    (root / "run.log").write_text("ignored\n")

    found = resolve(root, ".")

    assert git("show", f"{found.hash}:kept.txt") == "changed"
    assert git("show", f"{found.hash}:new.txt") == "not added"
    assert "run.log" not in git("ls-tree", "--name-only", found.hash)
    assert git("rev-parse", f"{found.hash}^") == git("rev-parse", "HEAD")
    assert not found.stored


def test_resolving_the_working_tree_changes_nothing(repository):
    root, git = repository
    (root / "kept.txt").write_text("changed\n")
    (root / "new.txt").write_text("not added\n")
    before = git("status", "--porcelain"), git("rev-parse", "HEAD"), git("branch", "--all")

    first, second = resolve(root, "."), resolve(root, ".")

    assert (git("status", "--porcelain"), git("rev-parse", "HEAD"), git("branch", "--all")) == before
    assert first == second
