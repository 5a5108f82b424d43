"""asv does here what its manual says, or refuses in a sentence what cannot be."""

from __future__ import annotations

import json
import shutil
import socket
import time
import urllib.request
from pathlib import Path

import pytest

from tests.tracker.running.history import BATCH, History

ONE = "stage=Resolve,vram_gb=4"


def run(history: History, *arguments: str, status: int = 0) -> list[str]:
    """Measure one cell; returns the batches of the commits that were asked, in order."""
    before = len(history.asked())
    history.asv("run", *arguments, status=status, ACESTEP_BENCH_CELLS=ONE)
    return [line.partition(" ")[0] for line in history.asked()[before:]]


def test_ranges_of_commits(history: History) -> None:
    assert sorted(run(history, "HEAD~4..HEAD~2")) == ["2", "3"]
    assert sorted(run(history, "EXISTING")) == ["2", "3"]
    assert sorted(run(history, "NEW")) == ["4", "5"]
    assert len(run(history, "ALL", "--steps", "2")) == 2
    chosen = history.root / ".asv" / "chosen"
    chosen.write_text(f"{history.commits[2]}\n")
    assert run(history, f"HASHFILE:{chosen}") == ["3"]
    assert {batch for commit in history.commits[1:] for batch in history.batches(commit).values()} == {2, 3, 4, 5}


def test_tags_and_merges(history: History) -> None:
    history.git("tag", "-a", "-m", "Größer", "v1/größer", history.commits[1])
    history.git("tag", "v2", history.commits[3])
    history.git("tag", "tree", "HEAD^{tree}")
    history.git("checkout", "-q", "-b", "topic/side", "HEAD~1")
    history.git("commit", "-q", "--allow-empty", "-m", "Aside")
    history.git("checkout", "-q", "main")
    history.git("merge", "-q", "--no-ff", "-m", "Merge", "topic/side")
    try:
        assert sorted(run(history, "TAGS")) == ["2", "4"]
        assert run(history, "HEAD~2..HEAD") == ["5", "5"]  # the merge and its first parent, not what was merged
    finally:
        history.git("tag", "-d", "v1/größer", "v2", "tree")
        history.git("branch", "-D", "topic/side")


def test_what_exists_is_skipped_by_cells(history: History) -> None:
    history.commit(6, "if gigabytes == 8: raise ValueError('nothing fits')")
    run(history, "HEAD^!")
    asked = ["6 4"]
    for options, more in (
        (("--skip-existing",), ["6 8"]),
        (("--skip-existing",), []),
        (("--skip-existing-successful",), ["6 8"]),
        (("--skip-existing-failed",), []),
        (("--skip-existing-commits",), []),
    ):
        history.asv("run", "HEAD^!", *options, status=2 if more else 0)
        asked += more
        assert history.asked() == asked, options
    assert history.batches(history.commits[5]) == {4: 6.0}


def test_samples_are_appended_when_asked_for_and_replaced_otherwise(history: History) -> None:
    last = history.commits[-1]
    run(history, "HEAD^!", "--record-samples")
    assert history.samples(last) == {4: [3.0]}
    run(history, "HEAD^!", "--append-samples")
    assert history.samples(last) == {4: [3.0, 3.0]}
    run(history, "HEAD^!", "--record-samples", "--interleave-rounds")
    assert history.samples(last) == {4: [3.0]}


def test_what_is_only_tried_is_not_saved(history: History) -> None:
    assert run(history, "HEAD^!", "--quick") == ["5"]
    assert run(history, "HEAD^!", "--dry-run") == ["5"]

    assert not list(history.results.glob(f"*/{history.commits[-1][:8]}*"))
    assert not list((history.root / ".asv" / "journal").glob("*-tiers.jsonl"))
    assert run(history, "HEAD^!") == ["5"]


@pytest.mark.parametrize(
    ("command", "told"),
    [
        (("run", "HEAD^!", "-a", "rounds=3"), "--attribute rounds: the benchmarks take their samples themselves"),
        (("run", "HEAD^!", "-a", "repeat=3"), "--attribute repeat"),
        (("run", "HEAD^!", "--profile"), "scripts/profile_inference.py"),
        (("profile", BATCH), "scripts/profile_inference.py"),
        (("continuous", "--quick", "HEAD~1", "HEAD"), "asv continuous compares what is saved"),
        (("run", "HEAD~1..nowhere"), "nowhere"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_what_cannot_be_is_refused_in_a_sentence(history: History, command: tuple[str, ...], told: str) -> None:
    said = history.asv(*command, status=1)

    assert told in said
    assert "Traceback" not in said
    assert history.asked() == []


def test_commits_are_compared(history: History) -> None:
    said = history.asv("continuous", "--factor", "1.1", "HEAD~1", "HEAD", ACESTEP_BENCH_CELLS=ONE)
    assert sorted(history.asked()) == ["4 4", "5 4"]
    assert "tiers.Resolve.track_batch_shortfall(4)" in said
    assert "PERFORMANCE INCREASED" in said

    said = history.asv("compare", "--split", "HEAD~1", "HEAD")
    assert "Benchmarks that have improved" in said
    assert "tiers.Resolve.track_batch_shortfall(4)" in said.partition("Benchmarks that have stayed")[0]


def test_find_names_the_commit(history: History) -> None:
    history.commit(1, message="Kleiner")
    history.commit(1, message="Kleiner noch")
    said = history.asv("find", "HEAD~6..HEAD", BATCH, ACESTEP_BENCH_CELLS=ONE)

    assert f"Greatest regression found: {history.commits[5][:8]}" in said
    assert set(history.asked()) <= {f"{batch} 4" for batch in range(1, 6)}


def test_results_are_shown_removed_and_updated(history: History) -> None:
    run(history, "HEAD^!")
    history.asv("update")
    assert "tiers.Resolve.track_batch_shortfall" in history.asv("show", "HEAD")
    history.asv("rm", "-y", f"benchmark={BATCH}")

    assert history.stored(history.commits[-1]) == {}
    assert history.stored(history.commits[-1], "tiers.Resolve.track_duration_shortfall")
    history.asv("run", "HEAD^!", "--skip-existing", ACESTEP_BENCH_CELLS=ONE)
    assert history.batches(history.commits[-1]) == {4: 5.0}


def test_the_site_is_published_and_served(history: History) -> None:
    run(history, "HEAD^!")
    tools = history.root / ".asv" / "tools"  # git alone: nothing is to be fetched
    tools.mkdir(exist_ok=True)
    git = tools / "git"
    git.exists() or git.symlink_to(shutil.which("git") or "git")
    history.asv("publish", PATH=str(tools))
    html = history.root / ".asv" / "html"
    assert BATCH in json.loads((html / "index.json").read_text())["benchmarks"]

    head = history.git("rev-parse", "HEAD")
    history.asv("gh-pages", "--no-push", PATH=str(tools))
    assert "overview.html" in history.git("ls-tree", "--name-only", "gh-pages").split()
    assert (history.git("rev-parse", "HEAD"), history.git("status", "--porcelain")) == (head, "")

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    preview = history.start("asv", "preview", "--port", str(port), PATH=str(tools))
    try:
        assert "<title>" in served(f"http://127.0.0.1:{port}/overview.html")
    finally:
        preview.terminate()
        preview.communicate()
        history.git("branch", "-D", "gh-pages")


def served(url: str) -> str:
    """What a server says that is just being started."""
    end = time.monotonic() + 60
    while True:
        try:
            with urllib.request.urlopen(url, timeout=5) as answer:
                return str(answer.read().decode())
        except OSError:
            assert time.monotonic() < end, "the site is not served"
            time.sleep(0.1)


def test_results_of_another_machine_are_published_and_count_for_nothing_here(history: History) -> None:
    history.asv("run", "HEAD^!")
    other = history.results / "elsewhere"
    shutil.copytree(history.results / "here", other)
    for path in other.glob("*.json"):
        path.write_text(path.read_text().replace('"machine": "here"', '"machine": "elsewhere"'))
    for folder in (history.results / "here", history.root / ".asv" / "journal"):
        shutil.rmtree(folder)
    before = len(history.asked())
    history.track("--commits", "1", publish=True)

    assert history.asked()[before:] == ["5 4", "5 8"]
    index = json.loads(Path(history.root, ".asv", "html", "index.json").read_text())
    assert index["params"]["machine"] == ["elsewhere", "here"]
