"""Every flag of the benchmark guide has its default; four of them can be set by the environment or a file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from acestep import examples
from acestep.examples import ExampleError
from scripts.tracker.profiling.options import parse, read_defaults, thinking_of

GUIDE: dict[str, Any] = {
    "device": "auto",
    "lm_backend": "auto",
    "config_path": "acestep-v15-turbo",
    "lm_model": "acestep-5Hz-lm-1.7B",
    "offload_to_cpu": False,
    "offload_dit_to_cpu": False,
    "quantization": None,
    "duration": None,
    "batch_size": None,
    "inference_steps": None,
    "seed": None,
    "guidance_scale": 7.0,
    "thinking": None,
    "use_cot_metas": False,
    "use_cot_caption": False,
    "use_cot_language": False,
    "use_constrained_decoding": True,
    "no_constrained_decoding": False,
    "lm_temperature": 0.85,
    "lm_cfg_scale": 2.0,
    "mode": "profile",
    "no_warmup": False,
    "detailed": False,
    "llm_debug": False,
    "benchmark_output": None,
    "tiers": [4, 6, 8, 12, 16, 20, 24],
    "tier_with_lm": False,
    "tier_skip_compile": False,
    "tier_boundary": False,
    "tier_batch_boundary": False,
    "tier_duration": 30.0,
    "example": "example_05.json",
    "task_type": "text2music",
    "reference_audio": None,
    "src_audio": None,
    "sample_query": None,
    "instrumental": False,
    "audio_codes": None,
}


def test_defaults_are_the_guides(tmp_path: Path) -> None:
    told = vars(parse([], {}, tmp_path))
    assert {name: told[name] for name in GUIDE} == GUIDE


def test_thinking_alone_is_true() -> None:
    assert thinking_of(parse([], {})) is None
    assert thinking_of(parse(["--thinking"], {})) == [True]
    assert thinking_of(parse("--mode benchmark --thinking false true".split(), {})) == [False, True]


def test_the_environment_wins_over_a_file_and_a_flag_over_both(tmp_path: Path) -> None:
    lines = ["# a comment", "", "ACESTEP_DEVICE=cpu", "ACESTEP_LM_MODEL_PATH=acestep-5Hz-lm-4B", "OTHER=1"]
    (tmp_path / ".env").write_text("\n".join(lines))
    assert read_defaults({}, tmp_path)["device"] == "cpu"
    told = parse([], {"ACESTEP_LM_MODEL_PATH": "acestep-5Hz-lm-0.6B"}, tmp_path)
    assert (told.device, told.lm_model) == ("cpu", "acestep-5Hz-lm-0.6B")
    assert parse(["--device", "cuda:1"], {}, tmp_path).device == "cuda:1"


def test_examples_are_sound_and_of_every_kind() -> None:
    found = [examples.load(name) for name in examples.names()]
    assert len(found) >= 6
    assert len({example.language for example in found} - {"unknown"}) >= 3
    assert any(example.lyrics == "[Instrumental]" for example in found)
    assert any(example.bpm is None and example.duration_s is None and not example.keyscale for example in found)
    assert max(len(example.lyrics) for example in found) > 2000
    assert examples.load("example_05").name == "example_05.json"


def test_an_example_that_is_none_is_told(tmp_path: Path) -> None:
    with pytest.raises(ExampleError, match=r"example_01\.json"):
        examples.load("example_99")
    own = tmp_path / "mine.json"
    for text, told in (("{", "JSON"), ("{}", "caption"), ('{"caption": "x", "duration": 3}', "duration is 3")):
        own.write_text(text)
        with pytest.raises(ExampleError, match=told):
            examples.load(str(own))
    own.write_text('{"caption": "x"}')
    assert examples.load(str(own)).lyrics == "[Instrumental]"
