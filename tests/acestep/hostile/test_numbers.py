"""NaN and infinity in large weights show in what the models make, and the stage that made them is named."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from acestep.checkpoints import files
from acestep.llm_inference import LLMHandler
from acestep.runtime.finite_outputs import first_nonfinite_stage, is_finite
from tests.acestep.hostile.conftest import MODEL, PLANNER, TEXT, VAE, change_tensors
from tests.conftest import load_handler

WORDS = {"captions": "pop", "lyrics": "la", "audio_duration": 5.0, "inference_steps": 1, "batch_size": 1}
CODES = "<|audio_code_1|><|audio_code_2|>" * 15


@pytest.fixture(autouse=True)
def _all_tensors_are_large(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a real checkpoint: the tiny one has none that is not looked at when it is read."""
    monkeypatch.setattr(files, "SMALL_TENSOR", 0)


@pytest.mark.parametrize(
    ("part", "key", "stage", "codes", "number"),
    [
        (TEXT, "layers.1.mlp.down_proj.weight", "Stage text_encode", "", torch.nan),
        (MODEL, "encoder.lyric_encoder.layers.0.self_attn.q_proj.weight", "Stage condition_encode", "", torch.inf),
        (MODEL, "detokenizer.proj_out.weight", "Stage code_decode", CODES, torch.nan),
        (MODEL, "decoder.layers.1.mlp.up_proj.weight", "Stage diffusion", "", torch.inf),
        (VAE, "decoder.block.2.conv_t1.weight_v", "Stage vae_decode", "", torch.nan),
        (VAE, "decoder.conv2.weight_v", "Stage vae_decode", "", torch.inf),
    ],
)
def test_a_generation_fails(root: Path, part: str, key: str, stage: str, codes: str, number: float) -> None:
    change_tensors(root / part, lambda tensors: tensors[key].fill_(number))
    made = load_handler(root).generate_music(**WORDS, audio_code_string=codes)
    assert not made["success"]
    assert made["audios"] == []
    assert made["error"].startswith(f"{stage} made NaN or infinite numbers: the checkpoint is damaged (download it")


def test_one_number_is_enough(root: Path) -> None:
    def damage(tensors: dict[str, torch.Tensor]) -> None:
        tensors["decoder.layers.0.mlp.down_proj.weight"][3, 5] = torch.nan

    change_tensors(root / MODEL, damage)
    assert "Stage diffusion" in load_handler(root).generate_music(**WORDS)["error"]


@pytest.mark.parametrize("backend", ["pt", "mlx"])
@pytest.mark.parametrize("key", ["model.layers.0.mlp.down_proj.weight", "model.embed_tokens.weight"])
def test_a_plan_fails(root: Path, backend: str, key: str) -> None:
    if backend == "mlx":
        pytest.importorskip("mlx.core")
    change_tensors(root / PLANNER, lambda tensors: tensors[key].fill_(torch.nan))
    planner = LLMHandler()
    status, ok = planner.initialize(root, PLANNER, backend=backend, device="cpu")
    assert ok, status
    metas = {"bpm": 100, "keyscale": "C major", "timesignature": "4", "duration": 10}
    for user, kind in (({}, "dit"), (metas, "llm_dit")):
        made = planner.generate_with_stop_condition("pop", "la", kind, user_metadata=user, seeds=[1])
        assert not made["success"]
        assert made["error"].startswith("The planner made NaN or infinite numbers: the checkpoint is damaged")
    planner.unload()


def test_what_is_finite() -> None:
    for dtype in (torch.float32, torch.bfloat16):
        assert is_finite(torch.ones(3, dtype=dtype))
        assert not is_finite(torch.tensor([1, torch.inf], dtype=dtype))
    bad = torch.tensor([torch.nan])
    assert first_nonfinite_stage({"a": None, "b": torch.zeros(2), "c": bad, "d": bad}) == "c"
    assert first_nonfinite_stage({"a": None, "b": torch.zeros(2)}) is None
