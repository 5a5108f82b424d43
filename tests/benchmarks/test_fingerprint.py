"""The same output gives the same number, any other output another one."""

import numpy as np
import pytest

from benchmarks.harness.fingerprint import BLOCK, fingerprint


@pytest.fixture
def waveform():
    return np.random.default_rng(0).standard_normal((2, 2, 3 * BLOCK + 7)).astype(np.float32)


def test_the_number_is_the_same_on_every_machine():
    ramp = np.linspace(-1, 1, 2 * BLOCK + 3, dtype=np.float32)

    assert fingerprint(ramp) == pytest.approx(2.4455132328812073, rel=1e-9)


def test_rounding_hardly_moves_it(waveform):
    noise = np.random.default_rng(1).standard_normal(waveform.shape).astype(np.float32)

    assert fingerprint(waveform * (1 + 1e-6 * noise)) == pytest.approx(fingerprint(waveform), rel=5e-6)


@pytest.mark.parametrize(
    "change",
    [
        lambda x: -x,
        lambda x: np.roll(x, 1, axis=-1),
        lambda x: np.roll(x, BLOCK, axis=-1),
        lambda x: x[::-1],
        lambda x: x[:, ::-1],
        lambda x: x[..., :-1],
        lambda x: x + 0.01 * np.roll(x, 8, axis=-1),
    ],
    ids=["sign", "shift", "shift by a block", "items", "channels", "length", "echo"],
)
def test_a_real_change_moves_it(waveform, change):
    assert abs(fingerprint(change(waveform)) / fingerprint(waveform) - 1) > 1e-3


def test_it_is_positive_and_does_not_depend_on_the_level(waveform):
    assert fingerprint(waveform) > 0
    assert fingerprint(0.5 * waveform) == pytest.approx(fingerprint(waveform))


def test_silence_has_a_fingerprint():
    assert fingerprint(np.zeros((2, 100), dtype=np.float32)) == 1.0


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_broken_waveform_has_none(waveform, value):
    waveform[0, 0, 5] = value
    with pytest.raises(ValueError, match="not finite"):
        fingerprint(waveform)
