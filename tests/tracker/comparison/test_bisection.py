"""Bisections of commits whose times and exact metrics are known."""

import pytest

from scripts.tracker.comparison.bisection import Bisection, NothingToFind
from scripts.tracker.comparison.commit_probe import ProbeFailed
from scripts.tracker.comparison.probe_log import ProbeLog
from scripts.tracker.comparison.revisions import Revision
from scripts.tracker.comparison.series_names import series_named
from scripts.tracker.statistics.judging import Evidence

LINE = [Revision(f"{index:040x}", f"c{index}", f"Commit {index}", stored=True) for index in range(17)]


class FakeProbe:
    """A probe with known *times* and *operators* of every commit; it counts the runs and time ratios."""

    def __init__(
        self, times, operators=None, noise=0.001, unbuildable=(), series="stages.DiTForward.track_time(30, 1)"
    ):
        self.series = series_named(series)[2]
        self.times, self.operators, self.noise = times, operators or [100] * len(times), noise
        self.unbuildable = unbuildable
        self.runs, self.time_ratios = 0, 0

    def exact_metrics(self, commit):
        self.runs += 1
        return {"operators": self.operators[self._index(commit)], "tokens": 5}

    def time_ratio(self, baseline, candidate, _decided):
        self.time_ratios += 1
        ratio = self.times[self._index(candidate)] / self.times[self._index(baseline)]
        half = self.noise(self._index(candidate)) if callable(self.noise) else self.noise
        bounds = {"low": ratio - half, "high": ratio + half}
        tail = 1e-9 if half < abs(ratio - 1) else 1.0
        up, down = (tail, 1.0) if ratio > 1 else (1.0, tail)
        simultaneous = {"simultaneous_low": ratio - half, "simultaneous_high": ratio + half}
        return Evidence(99, ratio, **bounds, **simultaneous, p_slower=up, p_faster=down, detectable=2 * half)

    def _index(self, commit):
        index = LINE.index(commit)
        if index in self.unbuildable:
            raise ProbeFailed("it does not build")
        return index


@pytest.fixture
def search(tmp_path):
    def search(probe, said=lambda _text: None):
        log = ProbeLog(tmp_path / "probes.jsonl", {"question": 1})
        return Bisection(LINE[: len(probe.times)], probe, log, said).run()

    return search


def step(at, size=1.05, count=17):
    return [1.0] * at + [size] * (count - at)


@pytest.mark.parametrize("at", [1, 7, 8, 9, 16])
def test_a_change_of_time_alone_is_found_by_halving(search, at):
    probe = FakeProbe(step(at))
    found = search(probe)

    assert found.suspects == [LINE[at]]
    assert probe.time_ratios <= 1 + 4  # the ends, and four halvings of sixteen
    assert found.evidence.ratio == pytest.approx(1.05)


def test_a_commit_that_became_faster_is_found(search):
    assert search(FakeProbe(step(5, size=0.9))).suspects == [LINE[5]]


def test_a_change_of_operators_needs_one_more_time_ratio(search):
    probe = FakeProbe(step(11), operators=[100] * 11 + [120] * 6)
    found = search(probe)

    assert found.suspects == [LINE[11]]
    assert probe.time_ratios == 2  # the ends, and the commit that changed the operators against the one before it
    assert [(diff.name, diff.baseline, diff.candidate) for diff in found.counter_diffs] == [("operators", 100, 120)]


def test_a_change_of_operators_without_a_change_of_time_does_not_mislead(search):
    found = search(FakeProbe(step(4), operators=[100] * 11 + [120] * 6))

    assert found.suspects == [LINE[4]]


def test_a_commit_that_cannot_be_measured_is_skipped(search):
    said = []
    found = search(FakeProbe(step(11), unbuildable=(8, 12)), said.append)

    assert found.suspects == [LINE[11]]
    assert any("could not be measured: it does not build" in text for text in said)


def test_commits_with_too_much_noise_stay_suspects(search):
    found = search(FakeProbe(step(11), noise=lambda place: 0.2 if place in (10, 11) else 0.001))

    assert found.suspects == LINE[10:13]


def test_equal_ends_are_refused(search):
    with pytest.raises(NothingToFind, match="The times of good and bad are the same"):
        search(FakeProbe([1.0] * 9))


def test_ends_with_too_much_noise_are_distinguished_from_equal_ones(search):
    with pytest.raises(NothingToFind, match=r"times of good and bad are not distinguishable.*--budget"):
        search(FakeProbe(step(5), noise=0.3))


def test_a_change_of_an_exact_series_is_found_without_timing(search):
    probe = FakeProbe(step(5), series="planner.Prefill.track_tokens")
    probe.exact_metrics = lambda commit: {"tokens": 5 if LINE.index(commit) < 13 else 6}

    found = search(probe)

    assert (found.suspects, found.evidence, probe.time_ratios) == ([LINE[13]], None, 0)


def test_an_exact_series_that_is_equal_is_refused(search):
    with pytest.raises(NothingToFind, match="tokens is 5 at both ends"):
        search(FakeProbe(step(5), series="planner.Prefill.track_tokens"))


def test_an_interrupted_search_repeats_no_probe(search):
    first = FakeProbe(step(11))
    time_ratio, limit = first.time_ratio, 3

    def interrupted(*arguments):
        if first.time_ratios == limit:
            raise KeyboardInterrupt
        return time_ratio(*arguments)

    first.time_ratio = interrupted
    with pytest.raises(KeyboardInterrupt):
        search(first)
    second = FakeProbe(step(11))

    assert search(second).suspects == [LINE[11]]
    assert first.time_ratios + second.time_ratios == 5
    assert second.runs == 2  # of the commit that was found and the one before it, for the metrics that differ


def test_the_results_of_another_question_are_discarded(tmp_path):
    path = tmp_path / "probes.jsonl"
    ProbeLog(path, {"question": 1}).result("run a", lambda: 1)

    assert ProbeLog(path, {"question": 1}).resumed == 1
    assert ProbeLog(path, {"question": 2}).resumed == 0


def test_a_result_that_a_crash_has_cut_off_is_measured_again(tmp_path):
    path = tmp_path / "probes.jsonl"
    ProbeLog(path, {"question": 1}).result("run a", lambda: {"operators": 1})
    path.write_text(path.read_text()[:-4])

    assert ProbeLog(path, {"question": 1}).result("run a", lambda: {"operators": 2}) == {"operators": 2}
