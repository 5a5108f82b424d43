"""The prediction of what a tier takes up, against numbers computed by hand from the same counts."""

from __future__ import annotations

import pytest

from acestep.gpu_config import get_gpu_config
from acestep.memory.predict import BATCH_SIZES, GenerationShape, ModelSetup, largest_batch, predict

TABLE = [
    (4, False, None, "3.11 diffuse", "4.57 diffuse !", "6.15 decode !"),
    (6, False, None, "3.11 diffuse", "4.57 diffuse", "6.15 decode !"),
    (8, False, None, "3.11 diffuse", "4.57 diffuse", "6.15 decode"),
    (8, True, "0.6B", "5.22 diffuse", "6.68 diffuse", "8.29 lm !"),
    (12, False, None, "4.15 text", "5.62 text", "6.15 decode"),
    (12, True, "1.7B", "8.48 text", "9.95 text", "10.51 lm"),
    (16, True, "1.7B", "8.48 text", "9.95 text", "10.51 lm"),
    (20, True, "1.7B", "10.51 lm", "10.51 lm", "10.51 lm"),
    (24, True, "4B", "15.11 lm", "15.11 lm", "15.11 lm"),
]


@pytest.mark.parametrize(("size", "with_lm", "lm", "default", "no_quant", "no_offload"), TABLE)
def test_peaks_stages_and_what_fits(
    size: int, with_lm: bool, lm: str | None, default: str, no_quant: str, no_offload: str
) -> None:
    setup = ModelSetup.from_config(get_gpu_config(size), with_lm=with_lm)
    assert setup.lm == lm
    for variant, expected in (("default", default), ("no-quant", no_quant), ("no-offload", no_offload)):
        predicted = predict(size, setup.variant(variant))
        told = f"{predicted.peak_gb:.2f} {predicted.peak_stage}" + ("" if predicted.fits() else " !")
        assert told == expected, variant


def test_the_largest_batch_of_a_small_card() -> None:
    setup = ModelSetup.from_config(get_gpu_config(4), with_lm=False)
    peaks = [f"{predict(4, setup, GenerationShape(30, batch)).peak_gb:.2f}" for batch in BATCH_SIZES]
    assert peaks == ["3.11", "3.22", "3.45", "3.92"]
    assert largest_batch(4, setup) == 4
    assert largest_batch(4, setup, 240) == 1
    assert largest_batch(2, setup) == 0


def test_a_planner_that_can_leave_is_there_only_for_its_stage() -> None:
    staying = ModelSetup(offload=True, lm="1.7B", lm_backend="vllm")
    leaving = ModelSetup(offload=True, lm="1.7B", lm_backend="pt")
    with_it, without_it = predict(12, staying), predict(12, leaving)
    assert with_it.stages_gb["lm"] == without_it.stages_gb["lm"]
    assert with_it.stages_gb["diffuse"] - without_it.stages_gb["diffuse"] == pytest.approx(3.454 + 0.875)


def test_guidance_doubles_the_rows_and_a_larger_model_is_larger() -> None:
    plain = predict(80, ModelSetup(), GenerationShape(240)).stages_gb["diffuse"]
    guided = predict(80, ModelSetup(), GenerationShape(240, guided=True)).stages_gb["diffuse"]
    twice = predict(80, ModelSetup(), GenerationShape(240, batch=2)).stages_gb["diffuse"]
    assert guided == twice > plain
    assert predict(80, ModelSetup(dit="XL")).peak_gb > predict(80, ModelSetup()).peak_gb + 4.8


def test_fragmentation_takes_its_share() -> None:
    predicted = predict(4, ModelSetup.from_config(get_gpu_config(4), with_lm=False), GenerationShape(30, 2))
    assert predicted.fits()
    assert not predicted.fits(0.1)


@pytest.mark.parametrize(("size", "frames"), [(8, 128), (19, 256), (23, 384), (31, 512)])
def test_more_is_decoded_at_once_where_more_is_free(size: int, frames: int) -> None:
    assert predict(size, ModelSetup(), GenerationShape(240)).tile_frames == frames
