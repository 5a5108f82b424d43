"""Predictions of memory equal numbers that were computed by hand, and use the true sizes of the released models."""

from __future__ import annotations

import pytest
import torch

from acestep.checkpoints.variants import variant_named
from acestep.gpu.meta_models import build_meta_models
from acestep.gpu_config import get_gpu_config
from acestep.memory.predict import BATCH_SIZES, ModelSetup, largest_batch, predict
from acestep.memory.released_sizes import DIT_SIZES, TEXT_ENCODER_PARAMETERS, VAE_PARAMETERS
from acestep.memory.stage_estimates import GenerationShape
from acestep.runtime.load_options import LoadOptions
from acestep.runtime.quantization import linear_layers
from acestep.synthetic.synthesizer import build_vae

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
def test_peak_stage_and_fit_of_each_tier(
    size: int, with_lm: bool, lm: str | None, default: str, no_quant: str, no_offload: str
) -> None:
    setup = ModelSetup.from_config(get_gpu_config(size), with_lm=with_lm)
    assert setup.lm == lm
    for variant, expected in (("default", default), ("no-quant", no_quant), ("no-offload", no_offload)):
        predicted = predict(size, setup.variant(variant))
        summary = f"{predicted.peak_gb:.2f} {predicted.peak_stage}" + ("" if predicted.fits() else " !")
        assert summary == expected, variant


def test_largest_batch_of_a_4_gb_gpu() -> None:
    setup = ModelSetup.from_config(get_gpu_config(4), with_lm=False)
    peaks = [f"{predict(4, setup, GenerationShape(30, batch)).peak_gb:.2f}" for batch in BATCH_SIZES]
    assert peaks == ["3.11", "3.22", "3.45", "3.92"]
    assert largest_batch(4, setup) == 4
    assert largest_batch(4, setup, 240) == 1
    assert largest_batch(2, setup) == 0


def test_an_offloaded_planner_counts_only_in_its_own_stage() -> None:
    resident = ModelSetup(offload=True, lm="1.7B", lm_backend="vllm")
    offloaded = ModelSetup(offload=True, lm="1.7B", lm_backend="pt")
    always, in_turn = predict(12, resident), predict(12, offloaded)
    assert always.stages_gb["lm"] == in_turn.stages_gb["lm"]
    assert always.stages_gb["diffuse"] - in_turn.stages_gb["diffuse"] == pytest.approx(3.454 + 0.875)


def test_guidance_doubles_the_rows_and_a_larger_model_is_larger() -> None:
    plain = predict(80, ModelSetup(), GenerationShape(240)).stages_gb["diffuse"]
    guided = predict(80, ModelSetup(), GenerationShape(240, guided=True)).stages_gb["diffuse"]
    twice = predict(80, ModelSetup(), GenerationShape(240, batch=2)).stages_gb["diffuse"]
    assert guided == twice > plain
    assert predict(80, ModelSetup(dit="XL")).peak_gb > predict(80, ModelSetup()).peak_gb + 4.8


def test_fragmentation_reduces_what_fits() -> None:
    predicted = predict(4, ModelSetup.from_config(get_gpu_config(4), with_lm=False), GenerationShape(30, 2))
    assert predicted.fits()
    assert not predicted.fits(0.1)


@pytest.mark.parametrize(("variant", "size"), [("turbo", "2B"), ("base", "2B"), ("xl-turbo", "XL")])
def test_sizes_of_the_diffusion_checkpoints_equal_those_of_the_models(variant: str, size: str) -> None:
    options = LoadOptions("meta", torch.bfloat16)
    models = build_meta_models(variant_named(variant), options)
    assert sum(parameter.numel() for parameter in models.model.parameters()) == DIT_SIZES[size].parameters
    linear = linear_layers(models.model.decoder)
    assert sum(layer.weight.numel() for layer in linear) == DIT_SIZES[size].quantized_parameters
    text_encoder = sum(parameter.numel() for parameter in models.text_encoder.parameters())
    assert text_encoder == pytest.approx(TEXT_ENCODER_PARAMETERS, rel=0.001)


def test_the_size_of_the_vae_equals_that_of_the_model() -> None:
    with torch.device("meta"):
        vae = build_vae("full")
    assert sum(parameter.numel() for parameter in vae.parameters()) == VAE_PARAMETERS


@pytest.mark.parametrize(("size", "frames"), [(8, 128), (19, 256), (23, 384), (31, 512)])
def test_the_references_decode_tiles_grow_with_free_memory(size: int, frames: int) -> None:
    assert predict(size, ModelSetup(), GenerationShape(240)).tile_frames == frames
