"""The validation of change points, with few histories."""

from __future__ import annotations

import numpy as np
import pytest

from scripts.tracker.validation.detectors import asv_with, ours
from scripts.tracker.validation.rates import detection_rates, false_alarms
from scripts.tracker.validation.synthetic import COMMITS, Histories, History
from scripts.validate import main


@pytest.fixture(scope="module")
def histories() -> Histories:
    return Histories(60, seed=7)


def stepped(before: float, after: float) -> History:
    return History((before,) * 30 + (after,) * 10, (0.0,) * COMMITS, (1.0,) * COMMITS)


def test_a_history_has_the_requested_noise(histories: Histories) -> None:
    values = np.array([histories.history(number, 0.02, 0.0, COMMITS).values for number in range(60)])
    assert values.std() == pytest.approx(0.02, rel=0.06)
    assert values.mean() == pytest.approx(1, abs=0.002)
    spreads = np.array([histories.history(number, 0.02, 0.0, COMMITS).spreads for number in range(60)])
    assert np.sqrt(np.mean(spreads**2)) == pytest.approx(0.02 * np.sqrt(0.5), rel=0.15)


def test_equal_seeds_give_equal_histories() -> None:
    first, second = (Histories(2, seed=3).history(1, 0.01, 0.05, 20) for _ in range(2))
    assert first == second


@pytest.mark.parametrize("detect", [ours, asv_with(0.05)])
def test_a_detector_lists_persistent_regressions(detect) -> None:  # type: ignore[no-untyped-def]
    assert detect(stepped(1.0, 1.2), 34) == [30]
    assert detect(stepped(1.0, 0.8), 34) == []
    assert detect(stepped(1.0, 1.0), 34) == []


def test_a_large_step_is_always_detected_without_false_alarms(histories: Histories) -> None:
    rates = detection_rates(ours, histories, 30, 0.01, 0.2, 20)
    assert (rates.after_one, rates.after_three, rates.exact) == (1.0, 1.0, 1.0)
    assert false_alarms(ours, histories, 10, 0.01).false == 0.0


def test_the_command_prints_both_tables_and_whether_the_claim_holds(capsys: pytest.CaptureFixture[str]) -> None:
    status = main(["histories", "--histories", "3"])
    printed = capsys.readouterr().out
    assert status in (0, 1)
    assert ("holds" if status == 0 else "MISSED") in printed
    rows = [line for line in printed.splitlines() if line.count("|") == 3 and "%" in line and "threshold" not in line]
    assert len(rows) == 12
    assert "after 20 commits" in printed


def test_no_histories_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["histories", "--histories", "0"])
    assert "expected a number from 1 on" in capsys.readouterr().err
