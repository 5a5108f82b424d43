"""One history for all tests, without anything that was measured."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.tracker.running.history import History, build_history


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> History:
    """Five commits in a folder with an unusual name, and asv's environment once it has run."""
    return build_history(tmp_path_factory.mktemp("running") / "größe a b %41" / "history", 5)


@pytest.fixture
def history(built: History) -> Iterator[History]:
    """The history, as it was before a test, of which nothing is measured."""
    built.forget()
    yield built
    built.git("checkout", "-q", "main")
    built.git("reset", "-q", "--hard", built.commits[4])
    del built.commits[5:]
