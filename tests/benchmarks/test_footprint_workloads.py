"""What is computed at the released shapes is the same to the byte every time, and follows from the shapes."""

from __future__ import annotations

from typing import Any

import pytest

from benchmarks.harness import meta_footprint
from benchmarks.harness.meta_footprint import FootprintRequest, footprint
from benchmarks.harness.record import Record
from benchmarks.harness.settings import Settings
from benchmarks.harness.workloads.footprint import Footprints
from benchmarks.harness.workloads.tiers import Tiers
from tests.benchmarks.fakes import record_of

GIB = 2**30
DIT, VAE, TEXT = 2 * 2_393_872_518, 2 * 168_586_240, 2 * 595_776_512
"""Bytes of the released 2B model, of the VAE without weight norms, and of the text encoder."""


@pytest.fixture(scope="module")
def plain() -> Any:
    return footprint(FootprintRequest(steps=2))


def measured(workload: Any, cell: dict[str, Any]) -> Record:
    settings = Settings("tiny", "cpu", "", "", "", "", "")
    record = record_of("matrix", workload, workload.load(settings), cell, None)
    assert record.status == "ok", record.reason
    return record


def test_the_same_numbers_every_time(plain: Any) -> None:
    assert footprint(FootprintRequest(steps=2)) == plain


def test_weights_are_those_of_the_released_models(plain: Any) -> None:
    weights = {stage.weight_bytes for stage in plain.stages.values()}
    assert weights == {plain.resting_bytes}
    assert plain.resting_bytes == pytest.approx(DIT + VAE + TEXT, rel=0.001)


def test_steps_that_are_not_run_are_counted_as_if_they_were(monkeypatch: pytest.MonkeyPatch) -> None:
    counted = footprint(FootprintRequest(steps=5, scale="tiny")).stages["diffusion"]
    monkeypatch.setattr(meta_footprint, "EXECUTED", 5)
    run = footprint(FootprintRequest(steps=5, scale="tiny")).stages["diffusion"]
    assert (counted.flops, counted.operators) == (run.flops, run.operators)
    assert counted.peak_bytes == pytest.approx(run.peak_bytes, abs=8)  # the flow times themselves


def test_work_grows_with_steps_and_pieces(plain: Any) -> None:
    more, larger = footprint(FootprintRequest(steps=4)), footprint(FootprintRequest(steps=2, batch=2))
    step = (more.stages["diffusion"].flops - plain.stages["diffusion"].flops) / 2
    eight = footprint(FootprintRequest(steps=8)).stages["diffusion"]
    assert eight.flops == plain.stages["diffusion"].flops + 6 * step
    assert step == pytest.approx(1.06e12, rel=0.1)
    assert larger.stages["diffusion"].peak_bytes > plain.stages["diffusion"].peak_bytes
    assert larger.stages["vae_decode"].flops == pytest.approx(2 * plain.stages["vae_decode"].flops, rel=0.01)
    assert larger.stages["text_encode"] == plain.stages["text_encode"]


def test_offloaded_models_are_there_for_their_stage_alone(plain: Any) -> None:
    found = footprint(FootprintRequest(steps=2, offload=True, offload_dit=True))
    assert found.resting_bytes == 0
    assert sum(stage.weight_bytes for stage in found.stages.values()) < plain.resting_bytes
    for name, stage in found.stages.items():
        assert stage.peak_bytes < plain.stages[name].peak_bytes
        assert stage.flops == plain.stages[name].flops


def test_a_limit_is_felt_as_on_a_gpu(plain: Any) -> None:
    decode = plain.stages["vae_decode"].peak_bytes
    tiled = footprint(FootprintRequest(steps=2), decode - 100 * 2**20)
    assert plain.vae_path == "whole"
    assert tiled.vae_path.startswith("tiled")
    assert not tiled.failed
    short = footprint(FootprintRequest(steps=2), plain.resting_bytes + 2**20)
    assert short.failed == "text_encode"
    assert "out of memory" in short.reason


def test_a_shape_is_run_once() -> None:
    record = measured(Footprints(), {"family": "turbo", "loaded": "offloaded int8", "duration": 10, "batch": 1})
    assert {len(values) for values in record.samples.values()} == {1}
    assert record.samples["diffusion_weights"] == [pytest.approx(1_577_000_000, rel=0.01)]
    assert record.work["vae_path"] == "whole"


@pytest.mark.parametrize(
    ("cell", "series", "value"),
    [
        ({"stage": "Resolve", "vram_gb": 8}, "tier_index", 3),
        ({"stage": "Resolve", "vram_gb": 8}, "max_batch", 4),
        ({"stage": "Estimators", "dit": "turbo", "batch": 1, "duration": 240, "lm": "4B"}, "estimate", 18.03 * GIB),
        ({"stage": "MemoryModel", "vram_gb": 8, "variant": "no-offload", "lm": "tier"}, "misfits", 1),
        ({"stage": "MemoryModel", "vram_gb": 12, "variant": "no-offload", "lm": "tier"}, "misfits", 0),
        ({"stage": "Boundary", "lm": "none", "duration": 30}, "min_gb_default", 4),
        ({"stage": "Boundary", "lm": "none", "duration": 30}, "min_gb_no_quant", 6),
        ({"stage": "BatchBoundary", "vram_gb": 24, "lm": "tier"}, "too_large", 4),
        ({"stage": "Run", "vram_gb": 4, "lm": "none"}, "misfits", 0),
    ],
)
def test_tiers(cell: dict[str, Any], series: str, value: float) -> None:
    record = measured(Tiers(), cell)
    assert record.samples[series][0] == pytest.approx(value, rel=1e-3)
    assert len(record.samples[series]) == 1
