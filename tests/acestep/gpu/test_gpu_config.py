"""Tiers and limits equal the reference's, except that exactly 8, 12 and 24 GiB belong to the tier that begins there."""

from __future__ import annotations

import itertools
import json
import math
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from acestep import gpu_config
from acestep.gpu import probe, simulation
from acestep.gpu_config import GPU_TIER_CONFIGS, GPU_TIER_LABELS, GPUConfig, compute_adaptive_config, get_gpu_config

GOLDEN = json.loads((Path(__file__).parents[2] / "data/golden/gpu_config.json").read_text(encoding="utf-8"))
OURS = {8: ("tier3", "tier4"), 12: ("tier4", "tier5"), 24: ("tier6b", "unlimited")}
"""Sizes whose tier differs from the reference's: (the reference's tier, ours)."""


@pytest.fixture(autouse=True)
def _plain_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """No GPU, nothing simulated, no config of another test."""
    for name in ("is_cuda_available", "is_mps_available", "is_xpu_available"):
        monkeypatch.setattr(probe, name, lambda: False)
    for name in ("MAX_CUDA_VRAM", "MAX_MPS_VRAM", "MAX_XPU_VRAM", "ACESTEP_SAVE_MEMORY", "ACESTEP_MLX_VAE_CHUNK"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(gpu_config, "_global", [])


@pytest.mark.parametrize("entry", GOLDEN["configs"], ids=lambda entry: str(entry["gpu_memory_gb_arg"]))
def test_configs_are_the_references(entry: dict[str, Any]) -> None:
    size = entry["gpu_memory_gb_arg"]
    found, expected = asdict(get_gpu_config(size)), entry["config"]
    if size in OURS:
        assert (expected["tier"], found["tier"]) == OURS[size]
    else:
        assert found == expected


def test_the_row_of_a_tier_is_the_references_whatever_size_it_is_reached_by() -> None:
    rows = {entry["config"]["tier"]: entry["config"] for entry in GOLDEN["configs"]}
    rows.pop("tier3")
    for tier, row in rows.items():
        own = asdict(gpu_config.get_gpu_config_for_tier(tier)) | {"gpu_memory_gb": row["gpu_memory_gb"]}
        assert own == row
    assert asdict(get_gpu_config(7))["max_batch_size_without_lm"] == 2
    assert GPU_TIER_CONFIGS["tier6"] is GPU_TIER_CONFIGS["tier6b"]
    assert set(GPU_TIER_CONFIGS) - {"tier6"} == set(GPU_TIER_LABELS)


@pytest.mark.parametrize(
    ("tier", "sizes"),
    {
        "tier1": (-1, 0, 4, math.nan),
        "tier2": (4.01, 6),
        "tier3": (6.01, 7.6),
        "tier4": (8, 8.01, 11.6),
        "tier5": (12, 15.49),
        "tier6a": (15.5, 16, 19.99),
        "tier6b": (20, 23.5),
        "unlimited": (24, 24.01, 80),
    }.items(),
)
def test_tiers_begin_and_end(tier: str, sizes: tuple[float, ...]) -> None:
    assert [gpu_config.get_gpu_tier(size) for size in sizes] == [tier] * len(sizes)


@pytest.mark.parametrize("entry", GOLDEN["max_cuda_vram_env"], ids=lambda entry: str(entry["MAX_CUDA_VRAM"]))
def test_a_simulated_size_is_this_machines(monkeypatch: pytest.MonkeyPatch, entry: dict[str, Any]) -> None:
    monkeypatch.setenv("MAX_CUDA_VRAM", entry["MAX_CUDA_VRAM"])
    result = entry["result"]
    assert gpu_config.get_gpu_memory_gb() == result["gpu_memory_gb"]
    tier = OURS[int(result["gpu_memory_gb"])][1] if result["gpu_memory_gb"] in OURS else result["tier"]
    assert get_gpu_config().tier == tier


@pytest.mark.parametrize("text", ["nan", "inf", "-3", "", "8GB"])
def test_an_invalid_simulated_size_is_ignored_with_a_warning(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, text: str
) -> None:
    monkeypatch.setenv("MAX_CUDA_VRAM", text)
    assert gpu_config.get_gpu_memory_gb() == 0
    assert repr(text) in caplog.text


def test_configs_share_no_lists() -> None:
    one = get_gpu_config(24)
    one.available_lm_models.clear()
    one.lm_memory_gb.clear()
    assert len(get_gpu_config(24).available_lm_models) == len(get_gpu_config(24).lm_memory_gb) == 3


def test_an_apple_machine_neither_offloads_nor_compiles(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gpu_config, "is_mps_platform", lambda: True)
    config = get_gpu_config(8)
    assert (config.lm_backend_restriction, config.recommended_backend) == ("pt_mlx_only", "mlx")
    assert not config.offload_to_cpu_default
    assert not config.offload_dit_to_cpu_default
    assert not config.quantization_default
    assert not config.compile_model_default


@pytest.mark.parametrize(
    ("size", "frames"), [(16, 256), (17, 512), (36, 512), (37, 1024), (64, 1024), (65, 2048), (128, 2048)]
)
def test_an_apple_machine_decodes_more_at_once_with_more_memory(
    monkeypatch: pytest.MonkeyPatch, size: int, frames: int
) -> None:
    monkeypatch.setattr(gpu_config, "is_mps_platform", lambda: True)
    assert get_gpu_config(size).mlx_vae_chunk_size == frames
    for text, expected in (("1024", 1024), ("32", 192), ("not_a_number", frames)):
        monkeypatch.setenv("ACESTEP_MLX_VAE_CHUNK", text)
        assert get_gpu_config(size).mlx_vae_chunk_size == expected


def test_an_old_card_is_left_to_the_plain_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gpu_config, "is_legacy_cuda_gpu", lambda: True)
    config = get_gpu_config(8)
    assert (config.lm_backend_restriction, config.recommended_backend) == ("pt_only", "pt")


@pytest.mark.parametrize(
    ("requested", "restriction", "recommended", "backend"),
    [
        ("vllm", "pt_only", "pt", "pt"),
        (None, "pt_only", "pt", "pt"),
        ("vllm", "all", "vllm", "vllm"),
        ("vllm", "pt_mlx_only", "mlx", "mlx"),
        ("vllm", "pt_mlx_only", "vllm", "pt"),
        ("", "all", "vllm", "vllm"),
        (" PT ", "all", "vllm", "pt"),
        ("tpu", "all", "nonsense", "pt"),
    ],
)
def test_the_planners_backend(requested: str | None, restriction: str, recommended: str, backend: str) -> None:
    config = get_gpu_config(16).__dict__ | {"lm_backend_restriction": restriction, "recommended_backend": recommended}
    assert gpu_config.resolve_lm_backend(requested, GPUConfig(**config)) == backend


@pytest.mark.parametrize(("path", "kind"), GOLDEN["get_dit_type_from_path"].items())
def test_the_kind_of_a_checkpoint(path: str, kind: str) -> None:
    assert gpu_config.get_dit_type_from_path(path) == kind


@pytest.mark.parametrize("path", [path for path in GOLDEN["get_lm_model_size_and_ratio"] if path != "None"])
def test_a_planners_share_of_the_memory(path: str) -> None:
    entry = GOLDEN["get_lm_model_size_and_ratio"][path]
    assert gpu_config.get_lm_model_size(path) == entry["size"]
    for key, (ratio, weights) in ((k, v) for k, v in entry.items() if "@" in k):
        found = gpu_config.get_lm_gpu_memory_ratio(path, float(key.partition("@")[2]))
        assert found == pytest.approx((ratio, weights))
    assert gpu_config.get_lm_gpu_memory_ratio(path, 0)[0] == 0.1


def test_estimates_of_a_generation() -> None:
    estimate = gpu_config.estimate_inference_vram
    turbo = [round(estimate(1, seconds), 2) for seconds in (30, 60, 120, 240, 600)]
    assert turbo == [7.53, 7.53, 7.83, 8.43, 10.23]
    assert round(estimate(4, 240), 2) == round(estimate(2, 240, "base"), 2) == 12.03
    assert round(estimate(1, 600, "xl_turbo"), 2) == 16.53
    planners = [
        round(estimate(1, 30, with_lm=True, lm_size=size) - estimate(1, 30), 2) for size in ("0.6B", "1.7B", "4B")
    ]
    assert planners == [1.8, 4.4, 9.6]
    assert round(estimate(1, 30, "other") - estimate(1, 30), 2) == 0.5


@pytest.mark.parametrize("dit", ["turbo", "base", "xl_turbo", "xl_base"])
def test_no_limit_falls_when_the_gpu_grows_and_what_is_recommended_fits(dit: str) -> None:
    sizes = [size / 4 for size in range(1, 400)]
    configs = [compute_adaptive_config(size, dit) for size in sizes]
    for before, after in itertools.pairwise(configs):
        for name in ("max_duration_with_lm", "max_duration_without_lm", "max_batch_size_without_lm"):
            assert getattr(after, name) >= getattr(before, name)
        assert after.max_batch_size_with_lm >= before.max_batch_size_with_lm
        assert set(after.available_lm_models) >= set(before.available_lm_models)
    for config in configs:
        assert config.init_lm_default == bool(config.available_lm_models)
        assert config.recommended_lm_model in [*config.available_lm_models, ""]
    assert configs[-1].max_batch_size_with_lm == 8


def test_the_best_planner_on_disk() -> None:
    best = gpu_config.find_best_lm_model_on_disk
    assert best("acestep-5Hz-lm-1.7B", ["acestep-5Hz-lm-4B", "acestep-5Hz-lm-1.7B"]) == "acestep-5Hz-lm-1.7B"
    there = ["acestep-5Hz-lm-1.7B-v4-fix", "acestep-5Hz-lm-4B"]
    assert best("acestep-5Hz-lm-1.7B", there) == "acestep-5Hz-lm-1.7B-v4-fix"
    assert best("acestep-5Hz-lm-0.6B", there) == there[0]
    assert best("", there) == there[0]
    assert best("acestep-5Hz-lm-1.7B", []) is None
    assert gpu_config.get_lm_model_size("foo") == "0.6B"
    assert gpu_config.is_lm_model_size_allowed("acestep-5Hz-lm-0.6B-v4-fix", ["acestep-5Hz-lm-0.6B"])
    assert not gpu_config.is_lm_model_size_allowed("acestep-5Hz-lm-4B", ["acestep-5Hz-lm-0.6B"])
    assert not gpu_config.is_lm_model_size_allowed("acestep-5Hz-lm-0.6B", [])
    assert gpu_config.get_recommended_lm_model(get_gpu_config(20)) == "acestep-5Hz-lm-4B"
    assert gpu_config.get_recommended_lm_model(get_gpu_config(4)) is None


def test_a_request_beyond_a_limit_gets_a_warning_that_names_it() -> None:
    config = get_gpu_config(8)
    assert gpu_config.check_duration_limit(480, config, True) == (True, "")
    sound, warning = gpu_config.check_duration_limit(500, config, True)
    assert not sound
    assert "500 s" in warning
    assert "480 s" in warning
    assert "tier4" in warning
    assert gpu_config.check_batch_size_limit(4, config, False) == (True, "")
    assert "2" in gpu_config.check_batch_size_limit(4, config, True)[1]
    assert gpu_config.is_lm_model_supported("acestep-5Hz-lm-0.6B", config) == (True, "")
    assert "acestep-5Hz-lm-0.6B" in gpu_config.is_lm_model_supported("acestep-5Hz-lm-4B", config)[1]
    assert "no room" in gpu_config.is_lm_model_supported("acestep-5Hz-lm-4B", get_gpu_config(4))[1]


def test_the_process_has_one_config_that_can_be_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ACESTEP_SAVE_MEMORY", "yes")
    first = gpu_config.get_global_gpu_config()
    assert first is gpu_config.get_global_gpu_config()
    assert first.tier == "tier1"
    assert first.save_memory_mode
    other = get_gpu_config(48)
    gpu_config.set_global_gpu_config(other)
    assert gpu_config.get_global_gpu_config() is other
    with simulation.simulated_vram(8) as enforcement:
        assert (enforcement, gpu_config.get_global_gpu_config().tier, get_gpu_config().tier) == (
            "none",
            "tier4",
            "tier4",
        )
    assert gpu_config.get_global_gpu_config() is other
    assert gpu_config.get_gpu_memory_gb() == 0
    with pytest.raises(ValueError, match="-1"), simulation.simulated_vram(-1):
        pass
