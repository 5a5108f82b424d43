"""A generation that does not fit fails in a sentence that names the stage, and leaves the handler as it was."""

from __future__ import annotations

import gc
from pathlib import Path
from statistics import linear_regression, median
from typing import Any

import numpy as np
import psutil
import pytest
import soundfile
import torch

from acestep.handler import AceStepHandler
from acestep.inference import GenerationConfig, GenerationParams, generate_music
from acestep.llm_inference import LLMHandler
from acestep.memory.limit import MemoryLimit

MIB = 1 << 20


def ask(handler: AceStepHandler, **changes: Any) -> Any:
    batch = changes.pop("batch", 1)
    params = GenerationParams(caption="a song", lyrics="la la", duration=10, thinking=False, inference_steps=2)
    for name, value in changes.items():
        setattr(params, name, value)
    seeds = list(range(batch))
    return generate_music(handler, None, params, GenerationConfig(batch_size=batch, seeds=seeds, use_random_seed=False))


@pytest.fixture
def source(tmp_path: Path) -> str:
    time = np.arange(48_000 * 6) / 48_000
    soundfile.write(tmp_path / "source.wav", 0.3 * np.sin(2 * np.pi * 220 * time), 48_000)
    return str(tmp_path / "source.wav")


@pytest.mark.parametrize(
    ("stage", "mebibytes", "remedy", "request_"),
    [
        ("text_encode", 0.01, "Try a shorter caption, offload_to_cpu or offload_dit_to_cpu.", {}),
        ("condition_encode", 5, "Try shorter lyrics, offload_to_cpu or offload_dit_to_cpu.", {}),
        ("source_encode", 20, "Try a shorter source,", {"task_type": "cover", "src_audio": "source"}),
        ("reference_encode", 20, "Try a shorter reference,", {"reference_audio": "source"}),
        ("diffusion", 60, "Try a smaller batch_size, a shorter duration, ", {"batch": 8, "duration": 240}),
        ("code_decode", 30, "Try a smaller batch_size, a shorter duration, ", {"batch": 8, "duration": 240}),
    ],
)
def test_every_stage_fails_in_a_sentence(
    handler: AceStepHandler, source: str, stage: str, mebibytes: float, remedy: str, request_: dict[str, Any]
) -> None:
    before = ask(handler)
    wanted = {name: source if value == "source" else value for name, value in request_.items()}
    with MemoryLimit(int(mebibytes * MIB)) as limit:
        result = ask(handler, **wanted)
        gc.collect()
        left = limit.free_bytes
    assert not result.success
    assert result.audios == []
    assert f"Out of memory in {stage}: it needs about" in result.error
    assert "MiB were free" in result.error
    assert remedy in result.error
    assert left == int(mebibytes * MIB)
    assert torch.equal(ask(handler).audios[0]["tensor"], before.audios[0]["tensor"])


def test_the_planner_fails_in_a_sentence_as_well(handler: AceStepHandler, planner: LLMHandler) -> None:
    params = GenerationParams(caption="a song", lyrics="la la", duration=60, use_cot_metas=False, inference_steps=2)
    config = GenerationConfig(batch_size=8, seeds=list(range(8)), use_random_seed=False)
    with MemoryLimit(MIB):
        result = generate_music(handler, planner, params, config)
    assert not result.success
    assert result.error is not None
    assert "Out of memory in the planner: " in result.error
    assert "Try a smaller batch_size or lm_batch_chunk_size" in result.error
    assert generate_music(handler, planner, params, config).success


def test_what_a_stage_is_said_to_need_is_more_than_there_was(handler: AceStepHandler) -> None:
    needs = []
    for duration in (120, 240):
        with MemoryLimit(25 * MIB):
            error = ask(handler, batch=8, duration=duration).error
        needs.append(float(error.partition("it needs about ")[2].partition(" MiB")[0]))
    assert 25 < needs[0] < needs[1]


def test_a_batch_is_made_whole_or_not_at_all(handler: AceStepHandler) -> None:
    with MemoryLimit(25 * MIB):
        result = ask(handler, batch=4, duration=60)
    assert len(result.audios) == 4
    assert result.extra_outputs["vae_decode"]["path"] == "tiled"
    assert "The VAE decoded in tiles of" in result.status_message


def test_memory_does_not_grow_from_generation_to_generation(handler: AceStepHandler) -> None:
    process, resident, held = psutil.Process(), [], []
    with MemoryLimit(1 << 40) as limit:
        for _ in range(24):
            ask(handler)
            gc.collect()
            held.append(limit.free_bytes)
            resident.append(process.memory_info().rss)
    assert linear_regression(range(20), held[4:]).slope == 0
    assert median(resident[-8:]) - median(resident[4:12]) < 8 * MIB
