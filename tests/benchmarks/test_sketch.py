"""Distances that are known are found again in sketches."""

import math

import numpy as np
import pytest

from benchmarks.harness.fingerprint import BLOCK
from benchmarks.harness.sketch import PROJECTIONS, Sketch, distance, sketch


def noise(seed, size=3 * BLOCK + 7):
    return np.random.default_rng(seed).standard_normal(size).astype(np.float32)


@pytest.fixture(scope="module")
def piece():
    return noise(0)


def far(one, reference):
    return distance(sketch(one), sketch(reference))


def test_the_same_output_is_no_distance_away(piece):
    assert far(piece, piece.copy()) == 0.0
    assert far(piece.reshape(1, -1), piece) == 0.0


@pytest.mark.parametrize("seed", range(1, 6))
@pytest.mark.parametrize("size", [1e-3, 1e-6])
def test_a_little_noise_is_as_far_as_it_is_large(piece, seed, size):
    exact = np.linalg.norm(piece * (1 + size * noise(seed)) - piece) / np.linalg.norm(piece)

    assert far(piece * (1 + size * noise(seed)), piece) == pytest.approx(exact, rel=0.3)


@pytest.mark.parametrize("seed", range(1, 6))
def test_outputs_that_have_nothing_in_common_are_the_root_of_two_away(piece, seed):
    assert far(noise(seed), piece) == pytest.approx(math.sqrt(2), rel=0.3)


@pytest.mark.parametrize("level", [0.5, 1.001, 2.0])
def test_a_change_of_level_is_a_distance(piece, level):
    assert far(level * piece, piece) == pytest.approx(abs(level - 1), rel=0.3)


def test_a_shift_within_a_block_and_by_a_block_are_no_small_changes(piece):
    assert far(np.roll(piece, 1), piece) > 1
    assert far(np.roll(piece, BLOCK), piece) > 1


def test_silence_is_one_away_from_sound_and_none_from_silence(piece):
    silence = np.zeros_like(piece)

    assert far(silence, silence) == 0.0
    assert far(silence, piece) == pytest.approx(1, rel=0.3)
    assert far(piece, silence) == pytest.approx(1, rel=0.3)


def test_a_sketch_is_the_same_on_every_machine_and_in_a_file():
    ramp = sketch(np.linspace(-1, 1, 2 * BLOCK + 3, dtype=np.float32))

    assert ramp == Sketch(float(repr(ramp.length)), [float(repr(value)) for value in ramp.projections])
    assert len(ramp.projections) == PROJECTIONS
    assert ramp.length == pytest.approx(math.sqrt((2 * BLOCK + 3) / 3), rel=1e-4)
    assert ramp.projections[:3] == pytest.approx([-0.062191934, 1.439982657, 2.406349675], abs=1e-6)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_what_is_not_finite_has_none(value):
    with pytest.raises(ValueError, match="not finite"):
        sketch(np.array([1, value], dtype=np.float32))
