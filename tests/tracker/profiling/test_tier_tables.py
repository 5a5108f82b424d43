"""The tables of the tier test: the guide's columns, and what follows from which tests passed."""

from __future__ import annotations

from typing import Any

from acestep.gpu_config import get_gpu_config
from scripts.tracker.profiling.tier_cases import TierResult
from scripts.tracker.profiling.tier_tables import (
    batch_table,
    boundary,
    boundary_table,
    results_of_capability,
    results_table,
)

GUIDE = """\
  VRAM    Tier       LM      Duration   Status    Peak VRAM    Notes
  ──────────────────────────────────────────────────────────────────────────────
  4GB     tier1      —       30s        ✅ OK     3.8GB        VAE"""


def tier_test(size: int, variant: str = "default", status: str = "ok", **changes: Any) -> TierResult:
    config = get_gpu_config(size)
    found: dict[str, Any] = {
        "lm": "",
        "offload": config.offload_to_cpu_default and variant != "no-offload",
        "offload_dit": config.offload_dit_to_cpu_default and variant != "no-offload",
        "quantization": "int8_weight_only" if config.quantization_default and variant == "default" else None,
        "duration_s": 30,
        "batch": 1,
        "how": "measured",
        "peak_gb": 3.8,
        "vae_path": "whole",
    }
    return TierResult(size_gb=size, config=config, variant=variant, status=status, **found | changes)


def test_columns_are_the_guides() -> None:
    text = results_table([tier_test(4, vae_path="cpu 512")])
    assert GUIDE in text
    assert text.splitlines()[4].endswith("VAE decoded on CPU, offload with DiT, int8, measured")


def test_notes_tell_what_was_seen_and_failures_where_and_why() -> None:
    tests = [
        tier_test(6, vae_path="tiled 256"),
        tier_test(8, lm="0.6B", backend="pt"),
        tier_test(24, lm="4B", backend="vllm"),
        tier_test(12, status="oom", stage="diffusion", reason="needs 9GB"),
        tier_test(16, status="skip", reason="not asked for", peak_gb=None),
    ]
    rows = results_table(tests).splitlines()[4:]
    assert "tiled VAE chunk=256, offload with DiT, int8, measured" in rows[0]
    assert "0.6B    30s" in rows[1]
    assert "pt backend" in rows[1]
    assert "4B      30s        ✅ OK     3.8GB        vllm backend, all models on GPU, measured" in rows[2]
    assert "❌ OOM    3.8GB        diffusion: needs 9GB" in rows[3]
    assert "⏭ SKIP    —            not asked for" in rows[4]


def test_a_column_tells_variants_apart() -> None:
    text = results_table([tier_test(8), tier_test(8, "no-quant")])
    assert "Variant" in text
    assert "no-quant" in text.splitlines()[5]
    assert "Variant" in results_table([tier_test(8), tier_test(8, "no-quant")], "markdown")
    assert results_table([tier_test(8)], "csv").splitlines()[1].startswith("8GB,tier4,—,30s,")


def test_a_lucky_pass_below_a_failure_does_not_count() -> None:
    tests = [tier_test(4, "no-quant"), tier_test(6, "no-quant", "oom"), tier_test(8, "no-quant"), tier_test(24)]
    counted = results_of_capability(tests, "no-quant")
    assert [test.size_gb for test in counted] == [4, 6, 8, 24]
    least = boundary(counted)
    assert least is not None
    assert least.size_gb == 8
    text = boundary_table(tests)
    assert f"  {'No INT8 Quantization':<45} {'tier4':<10} {'8GB':>6}" in text
    assert f"  {'No CPU Offload (all models on GPU)':<45} {'unlimited':<10} {'24GB':>6}" in text
    assert "smaller size passed" in text


def test_nothing_that_passed_is_not_a_boundary() -> None:
    text = boundary_table([tier_test(8, "no-quant", "oom", reason="needs 9GB")])
    assert "no tier passed" in text
    assert "largest that failed: 8GB: needs 9GB" in text
    assert "N/A" in text
    assert "no results" in text


def test_largest_batches_against_the_tiers_limits() -> None:
    tests = [tier_test(4, f"batch-noLM-{n}", batch=n, peak_gb=3 + n / 10) for n in (1, 2, 4)]
    tests += [
        tier_test(4, "batch-noLM-8", "oom", batch=8),
        tier_test(8, "batch-noLM-1", "oom"),
        tier_test(8, "batch-LM-1", batch=1),
        tier_test(8, "batch-LM-2", batch=2),
    ]
    lines = batch_table(tests).splitlines()
    assert "     4GB  tier1                          4      3.40GB                   N/A           -" in lines
    assert "     8GB  tier4                       FAIL           -                     2      3.80GB" in lines
    assert next(line for line in lines if "no_lm: 1→4" in line).startswith("     4GB  tier1")
    assert next(line for line in lines if line.startswith("     8GB") and line.endswith("OK"))
