"""Searching a line of commits whose truth is known, with answers that a machine could give."""

import pytest

from scripts.tracker.comparison.bisection import Bisection, Memory, NothingToFind
from scripts.tracker.comparison.commit_probe import ProbeFailed
from scripts.tracker.comparison.revisions import Revision
from scripts.tracker.comparison.series_names import series_named
from scripts.tracker.statistics.judging import Evidence

LINE = [Revision(f"{place:040x}", f"c{place}", f"Revision {place}", stored=True) for place in range(17)]


class Truth:
    """Stands for a machine: *times* and *operators* of every commit; it counts what it is asked."""

    def __init__(
        self, times, operators=None, noise=0.001, unbuildable=(), series="stages.DiTForward.track_time(30, 1)"
    ):
        self.series = series_named(series)[2]
        self.times, self.operators, self.noise = times, operators or [100] * len(times), noise
        self.unbuildable = unbuildable
        self.runs, self.races = 0, 0

    def companions(self, commit):
        self.runs += 1
        return {"operators": self.operators[self._place(commit)], "tokens": 5}

    def race(self, base, head, _settled):
        self.races += 1
        ratio = self.times[self._place(head)] / self.times[self._place(base)]
        half = self.noise(self._place(head)) if callable(self.noise) else self.noise
        bounds = {"low": ratio - half, "high": ratio + half}
        tail = 1e-9 if half < abs(ratio - 1) else 1.0
        up, down = (tail, 1.0) if ratio > 1 else (1.0, tail)
        widest = {"simultaneous_low": ratio - half, "simultaneous_high": ratio + half}
        return Evidence(99, ratio, **bounds, **widest, p_slower=up, p_faster=down, detectable=2 * half)

    def _place(self, commit):
        place = LINE.index(commit)
        if place in self.unbuildable:
            raise ProbeFailed("it does not build")
        return place


@pytest.fixture
def search(tmp_path):
    def search(truth, said=lambda _text: None):
        memory = Memory(tmp_path / "probes.jsonl", {"question": 1})
        return Bisection(LINE[: len(truth.times)], truth, memory, said).run()

    return search


def step(at, size=1.05, count=17):
    return [1.0] * at + [size] * (count - at)


@pytest.mark.parametrize("at", [1, 7, 8, 9, 16])
def test_a_change_of_time_alone_is_halved(search, at):
    truth = Truth(step(at))
    found = search(truth)

    assert found.suspects == [LINE[at]]
    assert truth.races <= 1 + 4  # the ends, and four halvings of sixteen
    assert found.by_time.ratio == pytest.approx(1.05)


def test_what_became_faster_is_found_too(search):
    assert search(Truth(step(5, size=0.9))).suspects == [LINE[5]]


def test_a_change_of_operators_needs_one_race_more(search):
    truth = Truth(step(11), operators=[100] * 11 + [120] * 6)
    found = search(truth)

    assert found.suspects == [LINE[11]]
    assert truth.races == 2  # the ends, and the commit that changed the operators against the one before it
    assert [(fact.name, fact.base, fact.head) for fact in found.facts] == [("operators", 100, 120)]


def test_a_change_of_operators_that_takes_no_time_misleads_nobody(search):
    found = search(Truth(step(4), operators=[100] * 11 + [120] * 6))

    assert found.suspects == [LINE[4]]


def test_a_commit_that_cannot_be_measured_is_walked_around(search):
    said = []
    found = search(Truth(step(11), unbuildable=(8, 12)), said.append)

    assert found.suspects == [LINE[11]]
    assert any("could not be measured: it does not build" in text for text in said)


def test_what_noise_hides_stays_a_suspect(search):
    found = search(Truth(step(11), noise=lambda place: 0.2 if place in (10, 11) else 0.001))

    assert found.suspects == LINE[10:13]


def test_equal_ends_are_nothing_to_find(search):
    with pytest.raises(NothingToFind, match="good and bad are same by time"):
        search(Truth([1.0] * 9))


def test_ends_that_noise_hides_are_told_apart_from_equal_ones(search):
    with pytest.raises(NothingToFind, match=r"not told apart by time.*--budget"):
        search(Truth(step(5), noise=0.3))


def test_an_exact_series_is_found_without_a_race(search):
    truth = Truth(step(5), series="planner.Prefill.track_tokens")
    truth.companions = lambda commit: {"tokens": 5 if LINE.index(commit) < 13 else 6}

    found = search(truth)

    assert (found.suspects, found.by_time, truth.races) == ([LINE[13]], None, 0)


def test_an_exact_series_that_is_equal_is_nothing_to_find(search):
    with pytest.raises(NothingToFind, match="tokens is 5 at both ends"):
        search(Truth(step(5), series="planner.Prefill.track_tokens"))


def test_an_interrupted_search_asks_nothing_twice(search):
    first = Truth(step(11))
    race, left = first.race, 3

    def interrupted(*arguments):
        if first.races == left:
            raise KeyboardInterrupt
        return race(*arguments)

    first.race = interrupted
    with pytest.raises(KeyboardInterrupt):
        search(first)
    second = Truth(step(11))

    assert search(second).suspects == [LINE[11]]
    assert first.races + second.races == 5
    assert second.runs == 2  # of the commit that was found and the one before it, to tell what differs


def test_another_question_is_asked_anew(tmp_path):
    path = tmp_path / "probes.jsonl"
    Memory(path, {"question": 1}).ask("run a", lambda: 1)

    assert Memory(path, {"question": 1}).resumed == 1
    assert Memory(path, {"question": 2}).resumed == 0


def test_an_answer_cut_off_by_a_crash_is_asked_again(tmp_path):
    path = tmp_path / "probes.jsonl"
    Memory(path, {"question": 1}).ask("run a", lambda: {"operators": 1})
    path.write_text(path.read_text()[:-4])

    assert Memory(path, {"question": 1}).ask("run a", lambda: {"operators": 2}) == {"operators": 2}
