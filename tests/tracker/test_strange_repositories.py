"""What the commands do in repositories that are not what one expects: each row builds a small real one."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from scripts.tracker.branches import checked_out_branch, existing_branches
from scripts.tracker.command import run
from scripts.tracker.comparison.revisions import resolve
from scripts.tracker.git import GitError, drop_local_variables, git, local_variables, subject
from scripts.tracker.history.commits import commit_tags, missing_commits, read_commits
from scripts.tracker.preflight import require_clean, require_history
from scripts.tracker.refusal import RefusalError

CAFE = "Caf\N{LATIN SMALL LETTER E WITH ACUTE}"


class Repository:
    """A real repository in a folder of any name; git is run as a user does, with an identity."""

    def __init__(self, root: Path) -> None:
        self.root = root
        root.mkdir(parents=True)
        self.git("init", "-q", "-b", "main")

    def git(self, *arguments: str, stdin: bytes = b"") -> str:
        identity = ["-c", "user.name=Ada", "-c", "user.email=ada@example.org", "-c", "protocol.file.allow=always"]
        command = ["git", "-C", str(self.root), *identity, *arguments]
        done = subprocess.run(command, input=stdin, capture_output=True, check=True)
        return done.stdout.decode(errors="replace").strip()

    def commit(self, message: str, *options: str) -> str:
        (self.root / "file").write_text(message)
        self.git("add", "file")
        self.git("commit", "-q", "-m", message, *options)
        return self.git("rev-parse", "HEAD")

    def raw_commit(self, message: bytes, author: bytes = b"Ada") -> str:
        """Make a commit of bytes that `git commit` would not write."""
        people = b"".join(
            b"%s %s <ada@example.org> 1790000000 +0000\n" % (role, author) for role in (b"author", b"committer")
        )
        tree, parent = self.git("write-tree").encode(), self.git("rev-parse", "HEAD").encode()
        text = b"tree %s\nparent %s\n%s\n%s" % (tree, parent, people, message)
        commit = self.git("hash-object", "-t", "commit", "-w", "--stdin", stdin=text)
        self.git("update-ref", "HEAD", commit)
        return commit


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    """Two commits on main."""
    made = Repository(tmp_path / "clone")
    made.commit("one")
    made.commit("two")
    return made


@pytest.mark.parametrize("folder", ["a b", "100%41", "日本語 é", "-dash", "quo'te\"s", "$HOME;&|", "a/very/deep/one"])
def test_folders_of_any_name(tmp_path: Path, folder: str) -> None:
    made = Repository(tmp_path / folder)
    head = made.commit("one")
    require_history(made.root)
    require_clean(made.root)
    assert resolve(made.root, "main").hash == head
    assert existing_branches(made.root, ["main"]) == (["main"], [])


def test_a_folder_that_no_environment_can_be_made_in(tmp_path: Path) -> None:
    made = Repository(tmp_path / "a:b")
    made.commit("one")
    with pytest.raises(RefusalError, match=r"has a ':'.*a folder without it"):
        require_history(made.root)


MESSAGES: dict[str, tuple[bytes, str]] = {
    "latin-1, undeclared": (b"Caf\xe9\n", "Caf\N{REPLACEMENT CHARACTER}"),
    "not UTF-8, and not the end": (b"\xff\xfe start\n", "\N{REPLACEMENT CHARACTER}" * 2 + " start"),
    "CRLF": (b"Subject\r\n\r\nBody\r\n", "Subject"),
    "two lines": (b"Subject\ngoes on\n\nBody\n", "Subject goes on"),
    "empty": (b"", ""),
    "steers a terminal": (b"\x1b[31mred\x07\n", "\N{REPLACEMENT CHARACTER}[31mred\N{REPLACEMENT CHARACTER}"),
    "separators of lines": ("a\u2028b\u0085c\n".encode(), "a\N{REPLACEMENT CHARACTER}b\N{REPLACEMENT CHARACTER}c"),
    "separator of fields": (b"a\x1fb\n", "a\N{REPLACEMENT CHARACTER}b"),
    "unicode": ("日本語 🎵\n".encode(), "日本語 🎵"),
}


@pytest.mark.parametrize("row", MESSAGES)
def test_messages_of_any_bytes(repository: Repository, row: str) -> None:
    message, expected = MESSAGES[row]
    commit = repository.raw_commit(message)
    assert resolve(repository.root, "HEAD").subject == subject(repository.root, commit) == expected
    assert read_commits(repository.root, [commit])[commit].hash == commit


def test_an_author_of_any_bytes(repository: Repository) -> None:
    commit = repository.raw_commit(b"Text\n", author=b"J\xfcrgen")
    assert read_commits(repository.root, [commit])[commit].author == "J\N{REPLACEMENT CHARACTER}rgen"


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("i18n.logOutputEncoding", "ISO-8859-1"),
        ("i18n.commitEncoding", "ISO-8859-1"),
        ("log.showSignature", "true"),
        ("color.ui", "always"),
        ("core.quotePath", "true"),
        ("core.autocrlf", "true"),
        ("status.branch", "true"),
        ("diff.external", "false"),
    ],
)
def test_configurations_of_git(repository: Repository, setting: str, value: str) -> None:
    commit = repository.commit(CAFE)
    if setting == "i18n.commitEncoding":
        repository.git("config", setting, value)
        commit = repository.raw_commit(b"encoding\n").strip() and repository.git(
            "commit-tree", "HEAD^{tree}", "-p", "HEAD", "-F", "-", stdin=CAFE.encode("latin-1")
        )
    repository.git("config", setting, value)
    assert subject(repository.root, commit) == CAFE
    require_history(repository.root)
    require_clean(repository.root)
    (repository.root / "file").write_text("changed")
    with pytest.raises(RefusalError, match=r"Uncommitted changes \(file\)"):
        require_clean(repository.root)


def names(repository: Repository) -> None:
    """Branches and tags of every kind, on the first commit; main is on the second."""
    for branch in ("a/b", "-dash", "it's", 'say"so', "é", "x;y", "HEAD-1", "@home"):
        repository.git("update-ref", f"refs/heads/{branch}", "main^")
    for tag in ("v1", "-tag", "日本", "both"):
        repository.git("update-ref", f"refs/tags/{tag}", "main^")
    repository.git("branch", "both", "main")
    repository.git("tag", "-a", "annotated", "-m", "x", "main^")
    repository.git("tag", "tree", "main^{tree}")
    repository.git("tag", "blob", "main:file")


@pytest.mark.parametrize(
    "name",
    "a/b -dash it's say\"so é x;y HEAD-1 @home v1 -tag 日本 annotated HEAD~1 main^ :/one main@{0}~1 heads/a/b".split(),
)
def test_a_commit_by_any_name(repository: Repository, name: str) -> None:
    names(repository)
    assert resolve(repository.root, name).hash == repository.git("rev-parse", "main^")


@pytest.mark.parametrize(
    "name", ["tree", "blob", "", "main..a/b", "--all", "-z", "nowhere", "HEAD~9", "main:file", "^main"]
)
def test_what_is_no_commit(repository: Repository, name: str) -> None:
    names(repository)
    with pytest.raises(RefusalError, match=r"is no commit of this repository.* git says: "):
        resolve(repository.root, name)


def test_a_tag_called_like_a_branch_is_told(repository: Repository, capsys: pytest.CaptureFixture[str]) -> None:
    names(repository)
    assert resolve(repository.root, "both").hash == repository.git("rev-parse", "main^")
    assert "'both' is ambiguous" in capsys.readouterr().err
    branches, notes = existing_branches(repository.root, ["both"])
    assert branches == ["refs/heads/both"]
    assert notes == ["both is a branch and a tag here: the history of refs/heads/both is followed."]


def test_tags_are_those_of_commits(repository: Repository) -> None:
    assert commit_tags(repository.root) == {}
    names(repository)
    repository.git("-c", "advice.nestedTag=false", "tag", "-a", "nested", "-m", "x", "annotated")
    assert set(commit_tags(repository.root)) == {"v1", "-tag", "日本", "both", "annotated", "nested"}
    assert set(commit_tags(repository.root).values()) == {repository.git("rev-parse", "main^")}


@pytest.mark.parametrize(
    ("head", "expected"),
    [
        ("refs/heads/a/b", "a/b"),
        ("refs/heads/é", "é"),
        ("refs/heads/-dash", "refs/heads/-dash"),
        ("refs/heads/both", "refs/heads/both"),
        ("refs/heads/it's", "HEAD"),
        (None, "HEAD"),
    ],
)
def test_without_main_what_is_checked_out_is_followed(repository: Repository, head: str | None, expected: str) -> None:
    names(repository)
    if head is None:
        repository.git("checkout", "-q", "--detach")
    else:
        repository.git("symbolic-ref", "HEAD", head)
    repository.git("branch", "-q", "-D", "main")
    assert checked_out_branch(repository.root) == expected
    branches, notes = existing_branches(repository.root, ["main", "master"])
    assert branches == [expected]
    assert notes == [
        f"There is no branch main or master here: the history of {expected} is followed, which is checked out."
    ]
    assert git(repository.root, "rev-list", expected, "--")


def test_a_clone_of_one_branch(repository: Repository, tmp_path: Path) -> None:
    repository.git("checkout", "-q", "-b", "topic")
    git(tmp_path, "clone", "-q", "-b", "topic", "--single-branch", str(repository.root), "single")
    require_history(tmp_path / "single")
    assert existing_branches(tmp_path / "single", ["main"])[0] == ["topic"]


def test_a_linked_worktree(repository: Repository, tmp_path: Path) -> None:
    repository.git("worktree", "add", "-q", "-b", "topic", str(tmp_path / "linked"))
    before = state(repository.root)
    require_history(tmp_path / "linked")
    (tmp_path / "linked" / "new").touch()
    assert git(tmp_path / "linked", "ls-tree", "--name-only", resolve(tmp_path / "linked", ".").hash) == "file\nnew"
    assert checked_out_branch(tmp_path / "linked") == "topic"
    assert state(repository.root) == before


def test_a_submodule_and_a_merge(repository: Repository, tmp_path: Path) -> None:
    other = Repository(tmp_path / "other")
    other.commit("inside")
    repository.git("checkout", "-q", "-b", "topic", "main^")
    repository.git("submodule", "--quiet", "add", str(other.root), "sub")
    repository.git("commit", "-q", "-m", "A submodule")
    repository.git("checkout", "-q", "main")
    repository.git("merge", "-q", "--no-edit", "topic")
    repository.git("submodule", "--quiet", "update", "--init")
    require_clean(repository.root)
    assert resolve(repository.root, "HEAD^2").subject == "A submodule"
    require_history(repository.root / "sub")


def test_what_is_no_history_is_told_in_gits_words(
    repository: Repository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "plain").mkdir()
    with pytest.raises(RefusalError, match="git says: fatal: not a git repository"):
        require_history(tmp_path / "plain")
    with pytest.raises(RefusalError, match="git says: fatal: cannot change to"):
        require_history(tmp_path / "nowhere")
    with pytest.raises(RefusalError, match="does not have any commits yet"):
        require_history(Repository(tmp_path / "empty").root)
    git(tmp_path, "clone", "-q", "--depth", "1", repository.root.as_uri(), "shallow")
    with pytest.raises(RefusalError, match="git fetch --unshallow"):
        require_history(tmp_path / "shallow")
    monkeypatch.setenv("GIT_TEST_ASSUME_DIFFERENT_OWNER", "1")
    with pytest.raises(RefusalError, match=r"(?s)dubious ownership.*safe\.directory [^.]*$"):
        require_history(repository.root)


VANISHING: dict[str, Callable[[Repository], object]] = {
    "amend": lambda made: made.git("commit", "-q", "--amend", "-m", "better"),
    "reset": lambda made: made.git("reset", "-q", "--hard", "HEAD^"),
    "squash": lambda made: (made.git("reset", "-q", "--soft", "HEAD^"), made.git("commit", "-q", "-m", "squashed")),
    "deleted branch": lambda made: (made.git("checkout", "-q", "main^"), made.git("branch", "-q", "-D", "main")),
}


@pytest.mark.parametrize("event", VANISHING)
def test_commits_that_vanish(repository: Repository, event: str) -> None:
    first, second = repository.git("rev-list", "--reverse", "HEAD").split()
    assert missing_commits(repository.root, [first, second]) == []
    VANISHING[event](repository)
    assert missing_commits(repository.root, [first, second]) == [second]


def state(root: Path) -> tuple[bytes, ...]:
    """What a command must not write: index, HEAD, refs, configuration, and the files of the working tree."""
    inside = [root / ".git" / name for name in ("index", "HEAD", "config", "packed-refs")]
    loose = sorted(path for path in (root / ".git" / "refs").rglob("*") if path.is_file())
    files = sorted(path for path in root.iterdir() if path.is_file())
    return tuple(path.read_bytes() for path in (*inside, *loose, *files) if path.is_file())


VARIABLES = {
    "GIT_DIR": "{other}/.git",
    "GIT_INDEX_FILE": "{other}/.git/index",
    "GIT_WORK_TREE": "{other}",
    "GIT_PREFIX": "sub/",
    "GIT_OBJECT_DIRECTORY": "{other}/.git/objects",
    "GIT_COMMON_DIR": "{other}/.git",
}


@pytest.mark.parametrize("name", VARIABLES)
def test_the_callers_repository_is_not_touched(
    repository: Repository, tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = Repository(tmp_path / "other")
    other.commit("the caller's")
    before, expected = state(other.root), repository.git("rev-parse", "HEAD")
    monkeypatch.setenv(name, VARIABLES[name].format(other=other.root))
    require_history(repository.root)
    require_clean(repository.root)
    assert resolve(repository.root, "HEAD").hash == expected
    resolve(repository.root, ".")
    assert run("test", lambda: int(name in os.environ)) == 0
    assert state(other.root) == before


def test_configuration_given_by_variables_stays(repository: Repository, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIT_TEST_ASSUME_DIFFERENT_OWNER", "1")
    for name, value in {"COUNT": "1", "KEY_0": "safe.directory", "VALUE_0": "*"}.items():
        monkeypatch.setenv(f"GIT_CONFIG_{name}", value)
    drop_local_variables()
    require_history(repository.root)
    assert "GIT_CONFIG_COUNT" not in local_variables()
    assert {"GIT_DIR", "GIT_INDEX_FILE"} <= local_variables()


def test_asking_writes_no_index(repository: Repository) -> None:
    """`git diff` and `git status` refresh the index when a file has another time."""
    os.utime(repository.root / "file", (1, 1))
    before = state(repository.root)
    require_clean(repository.root)
    resolve(repository.root, ".")
    assert state(repository.root) == before


def test_without_git(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    local_variables.cache_clear()
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(GitError, match=r"git is missing\. Install it"):
        git(tmp_path, "status")
