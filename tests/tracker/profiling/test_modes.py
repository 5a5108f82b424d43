"""The user's own tool, as the benchmark guide runs it, on the tiny checkpoints that it takes where there are none."""

from __future__ import annotations

import json
import re
import threading
from pathlib import Path
from typing import Any

import pytest

from scripts.tracker.profiling.command import main
from scripts.tracker.profiling.function_profile import profiled

FAST = {"profile": ["--duration", "10"], "benchmark": ["--duration", "10", "--batch-size", "1", "--repeat", "1"]}
"""What makes a command of the guide quick enough to be tested, if it does not say otherwise itself."""
BREAKDOWN_ROWS = ("LLM Planning (total)", "DiT Diffusion (total)", "VAE Decode", "Audio Save", "Other / Overhead")
PROFILES = (
    "",
    "--mode profile",
    "--thinking",
    "--detailed",
    "--detailed --llm-debug",
    "--device cpu --lm-backend pt",
    "--lm-model acestep-5Hz-lm-0.6B",
    "--lm-model acestep-5Hz-lm-4B",
    "--thinking --use-cot-metas --use-cot-caption",
    "--offload-to-cpu --quantization int8_weight_only --lm-model acestep-5Hz-lm-0.6B",
)
DESCRIPTIONS = (
    "--mode understand",
    "--mode understand --audio-codes <|audio_code_5|><|audio_code_17|>",
    "--mode create_sample",
    "--mode create_sample --sample-query 一首柔和的孟加拉情歌",
    "--mode create_sample --instrumental",
    "--mode format_sample",
)


@pytest.fixture(autouse=True)
def _somewhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A folder without checkpoints, and nothing set."""
    monkeypatch.chdir(tmp_path)
    for name in ("ACESTEP_CHECKPOINTS_DIR", "ACESTEP_PROJECT_ROOT", "MAX_CUDA_VRAM", "ACESTEP_COMPILE_MODEL"):
        monkeypatch.delenv(name, raising=False)


def run(command: str, *more: str) -> tuple[int, dict[str, Any]]:
    """The exit code and the JSON file of *command*."""
    argv = command.split()
    mode = argv[argv.index("--mode") + 1] if "--mode" in argv else "profile"
    file = Path("told.json")
    code = main([*argv, *FAST.get(mode, []), *more, "--benchmark-output", str(file)])
    return code, json.loads(file.read_text(encoding="utf-8"))


@pytest.mark.parametrize("command", PROFILES)
def test_profiles_of_the_guide(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    code, told = run(command)
    out = capsys.readouterr().out
    assert code == 0
    assert "SYNTHETIC tiny" in "\n".join(out.splitlines()[:12])
    for row in BREAKDOWN_ROWS:
        assert re.search(rf"^  {re.escape(row)} +\d+\.\d\d +\d+\.\d%$", out, re.MULTILINE), row
    assert re.search(r"^  Wall Time \(total\) +\d+\.\d\d +100\.0%$", out, re.MULTILINE)
    assert ("├─ Token generation" in out) == ("--thinking" in command)
    assert ("LLM DEBUG" in out) == ("--llm-debug" in command)
    assert ("FUNCTION PROFILE" in out) == ("--detailed" in command) == Path("profile_cprofile_detailed.txt").exists()
    (entry,) = told["results"]
    assert entry["status"] == "ok"
    times = sum(entry[name] for name in ("lm_time", "dit_time", "vae_time"))
    assert 0 < times < entry["wall_time"]
    assert told["complete"]
    assert told["host"]["torch"]


@pytest.mark.parametrize("command", DESCRIPTIONS)
def test_descriptions_of_the_guide(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    code, told = run(command, "--llm-debug")
    out = capsys.readouterr().out
    assert code == 0
    assert re.search(r"^Wall time: \d+\.\d{3} s$", out, re.MULTILINE)
    assert "BPM: " in out
    assert "Tokens/s" in out
    assert "Main model" not in out  # the synthesizer has nothing to do here
    (entry,) = told["results"]
    assert entry["fields"]["caption"]
    assert entry["record"]["work"]["forwards"] > 0


def test_every_thread_that_works_is_profiled(tmp_path: Path) -> None:
    def work() -> None:
        thread = threading.Thread(target=in_another_thread)
        thread.start()
        thread.join()

    told = profiled(work, tmp_path / "all.txt")
    assert "2 threads" in told
    assert "in_another_thread" in (tmp_path / "all.txt").read_text(encoding="utf-8")


def in_another_thread() -> int:
    return sum(range(1000))


def test_the_matrix_of_the_guide(capsys: pytest.CaptureFixture[str]) -> None:
    code, told = run("--mode benchmark")
    out = capsys.readouterr().out
    assert code == 0
    rows = [line.split() for line in out.splitlines() if line.startswith("10  ")]
    assert [row[:4] for row in rows] == [
        ["10", "1", thinking, steps] for thinking in ("False", "True") for steps in ("8", "16")
    ]
    assert all(row[-1] == "OK" for row in rows)
    assert rows[0][5] == "0.00"
    assert float(rows[2][5]) > 0
    assert "16 steps were asked for, 8 executed" in out
    steps = [entry["effective"]["inference_steps"] for entry in told["results"]]
    assert steps == [8, 8, 8, 8]
    assert told["summary"] == {"configurations": 4, "failed": 0}


def test_a_simulated_card_clips_the_matrix(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("MAX_CUDA_VRAM", "6")
    command = "--mode benchmark --duration 10 --batch-size 1 2 --inference-steps 2 --repeat 2 --format csv"
    assert main(command.split()) == 0
    out = capsys.readouterr().out
    assert "Dropped 2: there is no planner in the limits of tier2 (6 GB)" in out
    assert "Dropped 1: a batch above the 1 without a planner of tier2 (6 GB)" in out
    assert re.search(r"^10,1,False,2,\d+\.\d\d±\d+\.\d\d,0\.00", out, re.MULTILINE)
    assert "automatic below 20 GB" in out


def test_repeats_have_a_spread(capsys: pytest.CaptureFixture[str]) -> None:
    _, told = run("--repeat 3 --inference-steps 2")
    assert "± (s, of 3)" in capsys.readouterr().out
    assert told["results"][0]["samples"]["wall"]["n"] == 3


def test_a_task_that_needs_a_source_fails_and_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    code, told = run("--task-type cover")
    assert code == 3
    assert told["results"][0]["status"] == "fail"
    assert "src_audio" in capsys.readouterr().out


def test_what_it_cannot_begin_with_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    refused = {
        "--example nothing.json": "example_01.json",
        "--benchmark-output nowhere/told.json": "nowhere",
        f"--checkpoints {tmp_path}": "holds no checkpoints",
        "--config-path acestep-v9": "acestep-v9",
        "--lm-model gpt": "acestep-5Hz-lm-0.6B",
        "--device cuda:7": "cuda:7",
        "--device mps --lm-backend mlx": "mps",
        "--device cuda:9 --lm-backend vllm": "cuda:9",
    }
    for command, told in refused.items():
        assert main(command.split()) == 1, command
        assert told in capsys.readouterr().err


@pytest.mark.parametrize(
    ("command", "told"),
    [
        ("--mode nothing", "--mode"),
        ("--mode understand --tiers 8", "--tiers means nothing to --mode understand"),
        ("--mode tier-test --lm-cfg-scale x", "--lm-cfg-scale"),
        ("--mode tier-test --lm-model acestep-5Hz-lm-4B", "--lm-model means nothing to --mode tier-test"),
        ("--mode tier-test --seed 3", "--seed means nothing to --mode tier-test"),
        ("--duration 10 20", "takes one value"),
        ("--device tpu", "'tpu'"),
        ("--repeat 0", "--repeat is 0"),
        ("--scale tiny --checkpoints here", "exclude each other"),
    ],
)
def test_usage_errors(command: str, told: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as refused:
        main(command.split())
    assert refused.value.code == 2
    assert told in capsys.readouterr().err
