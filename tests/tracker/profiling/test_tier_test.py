"""`tier-test` without a GPU: by formula, at the released shapes without storage, and really, with tiny models."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from acestep.memory.predict import ModelSetup, predict
from acestep.memory.stage_estimates import GenerationShape
from benchmarks.harness.meta_footprint import FootprintRequest, footprint
from scripts.tracker.profiling.command import main

GIB = 2**30


def tier_test(tmp_path: Path, *options: str) -> tuple[int, dict[str, Any]]:
    file = tmp_path / "tiers.json"
    code = main(["--mode", "tier-test", "--benchmark-output", str(file), *options])
    return code, json.loads(file.read_text(encoding="utf-8"))


def test_every_default_size_passes_by_formula_and_says_that_it_is_one(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, told = tier_test(tmp_path, "--memory-model", "analytic", "--tier-with-lm")
    assert code == 0
    assert [(entry["tier_gb"], entry["tier"]) for entry in told["results"]] == [
        *((4, "tier1"), (6, "tier2"), (8, "tier4"), (12, "tier5"), (16, "tier6a"), (20, "tier6b")),
        (24, "unlimited"),
    ]
    assert told["complete"]
    assert told["memory_model"] == "analytic"
    assert capsys.readouterr().out.count("computed by formula") == 8


def test_boundaries_and_batches_by_formula(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    options = "--memory-model analytic --tier-boundary --tier-batch-boundary --tier-with-lm".split()
    code, told = tier_test(tmp_path, *options)
    out = capsys.readouterr().out
    assert code == 0
    assert f"{'No INT8 Quantization':<45} {'tier2':<10} {'6GB':>6}" in out
    assert f"{'No CPU Offload (all models on GPU)':<45} {'tier5':<10} {'12GB':>6}" in out
    assert "     4GB  tier1                          4      3.45GB                   N/A           -" in out
    skipped = [entry for entry in told["results"] if entry["status"] == "skip"]
    assert {(entry["tier_gb"], entry["test_variant"]) for entry in skipped} >= {(4, "no-offload"), (24, "no-quant")}


def test_a_tier_that_does_not_fit_is_told_and_fails_the_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, told = tier_test(tmp_path, "--memory-model", "analytic", "--tiers", "2")
    assert code == 3
    assert told["results"][0]["status"] == "oom"
    assert "diffuse: needs 3.11GB of 1.50GB" in capsys.readouterr().out


def test_the_released_shapes_run_without_storage(tmp_path: Path) -> None:
    code, told = tier_test(tmp_path, "--tiers", "24", "--memory-model", "shapes", "--tier-duration", "10")
    (entry,) = told["results"]
    assert code == 0
    assert entry["vae_path"] == "whole"
    assert entry["peak_gb"] == pytest.approx(6.1, abs=0.3)  # all weights in 2 bytes, and a decode
    assert "released shapes" in entry["how"]


@pytest.mark.parametrize(("size", "path"), [(24, "whole"), (2, "tiled")])
def test_tiny_models_generate_under_a_limit_in_proportion(tmp_path: Path, size: int, path: str) -> None:
    code, told = tier_test(tmp_path, "--tiers", str(size), "--memory-model", "budget")
    (entry,) = told["results"]
    assert (code, entry["status"]) == (0, "ok")
    assert entry["wall_time"] > 0
    assert entry["vae_path"].startswith(path)
    assert entry["peak_vram_gb"] <= size - 0.5


def test_formula_and_shapes_agree_where_everything_is_on_the_gpu() -> None:
    predicted = predict(8, ModelSetup(), GenerationShape(30))
    found = footprint(FootprintRequest(steps=2), int(predicted.budget_gb * GIB))
    for ours, formula in (("text_encode", "text"), ("diffusion", "diffuse"), ("vae_decode", "decode")):
        assert found.stages[ours].peak_bytes / GIB == pytest.approx(predicted.stages_gb[formula], rel=0.15)


def test_the_formula_needs_no_torch(tmp_path: Path) -> None:
    program = (
        "import sys; sys.modules['torch'] = None; from scripts.tracker.profiling.command import main; sys.exit(main())"
    )
    options = ["--mode", "tier-test", "--memory-model", "analytic", "--tiers", "8"]
    command = [sys.executable, "-c", program, *options]
    environ = {**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[3])}
    done = subprocess.run(command, cwd=tmp_path, env=environ, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "8GB     tier4" in done.stdout


def test_a_limit_that_is_too_small_fails_as_a_gpu_does(tmp_path: Path) -> None:
    code, told = tier_test(tmp_path, "--tiers", "1", "--memory-model", "budget")
    (entry,) = told["results"]
    assert (code, entry["status"]) == (3, "oom")
    assert entry["stage"]
    assert entry["error"]


@pytest.mark.parametrize(
    "command",
    [
        "",
        "--tiers 6 8 16",
        "--tier-with-lm",
        "--tier-skip-compile",
        "--tier-boundary",
        "--tier-boundary --tier-with-lm",
        "--tier-batch-boundary --tier-with-lm",
        "--tier-batch-boundary --tier-with-lm --tiers 8 12 16 24",
    ],
)
def test_commands_of_the_guide(tmp_path: Path, command: str, capsys: pytest.CaptureFixture[str]) -> None:
    code, told = tier_test(tmp_path, *command.split(), "--memory-model", "analytic")
    out = capsys.readouterr().out
    assert code == 0
    variants = "Variant         " if "--tier-boundary" in command else ""
    header = f"{'  VRAM':<10}{'Tier':<11}{variants}{'LM':<8}{'Duration':<11}{'Status':<10}{'Peak VRAM':<13}Notes"
    assert header in out
    assert ("nothing is compiled" in out) == ("skip" in command)
    assert ("BOUNDARY ANALYSIS" in out) == ("boundary" in command)
    tested = [entry["tier_gb"] for entry in told["results"] if entry["test_variant"] == "default"]
    sizes = command.partition("--tiers ")[2] or "4 6 8 12 16 20 24"
    assert tested == [int(size) for size in sizes.split()]


def test_without_a_gpu_its_limit_cannot_be_asked_for(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--mode", "tier-test", "--memory-model", "cuda"]) == 1
    assert "needs CUDA" in capsys.readouterr().err


def test_sizes_and_models_that_cannot_be_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as refused:
        main(["--mode", "tier-test", "--tiers", "8", "0"])
    assert refused.value.code == 2
    assert main(["--mode", "tier-test", "--memory-model", "shapes", "--config-path", "acestep-v9"]) == 1
    assert "acestep-v9" in capsys.readouterr().err
