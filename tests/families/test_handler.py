"""Checkpoints of every family and layout behind the public handler."""

from __future__ import annotations

import shutil
import warnings
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from acestep.handler import AceStepHandler
from acestep.model import load_model
from acestep.synthetic import cached, weights

REQUEST = {
    "captions": "calm",
    "lyrics": "la",
    "audio_duration": 6,
    "batch_size": 1,
    "seed": 3,
    "use_random_seed": False,
}


@pytest.fixture(scope="module")
def families_root() -> Path:
    """Tiny synthetic checkpoints of several families."""
    return cached("tiny", dits=("turbo", "base", "xl-turbo"))


def open_handler(root: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> tuple[AceStepHandler, str]:
    monkeypatch.setenv("ACESTEP_CHECKPOINTS_DIR", str(root))
    handler = AceStepHandler()
    return handler, handler.initialize_service(None, name, device="cpu")[0]


def latents(handler: AceStepHandler) -> torch.Tensor:
    result = handler.generate_music(**REQUEST)
    assert result["success"], result["error"]
    return result["extra_outputs"]["pred_latents"]


def test_an_xl_model_makes_music(families_root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    handler, status = open_handler(families_root, "acestep-v15-xl-turbo", monkeypatch)
    assert handler.ready, status
    assert handler.config is not None
    assert handler.config["hidden_size"] > handler.config["encoder_hidden_size"]
    assert latents(handler).shape == (1, 150, 64)


def test_a_model_that_needs_guidance_is_not_run_without(families_root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    handler, status = open_handler(families_root, "acestep-v15-base", monkeypatch)
    assert not handler.ready
    assert "acestep-v15-base is not a turbo model" in status


def test_a_whole_diffusers_pipeline_gives_the_same_music(
    families_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    original, _ = open_handler(families_root, "acestep-v15-turbo", monkeypatch)
    expected = latents(original)
    save_pipeline(original, families_root, tmp_path / "pipeline")
    handler, status = open_handler(tmp_path, "pipeline", monkeypatch)
    assert handler.ready, status
    assert torch.equal(latents(handler), expected)
    (tmp_path / "pipeline" / "vae").rename(tmp_path / "pipeline" / "other")
    assert "'vae' not found" in open_handler(tmp_path, "pipeline", monkeypatch)[1]


def save_pipeline(handler: AceStepHandler, root: Path, folder: Path) -> None:
    """Write the models of *handler*, and the VAE of *root*, as diffusers' own pipeline does."""
    from diffusers import AceStepPipeline, AutoencoderOobleck, FlowMatchEulerDiscreteScheduler

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        vae = AutoencoderOobleck.from_pretrained(root / "vae")
    handler.model.encoder.register_buffer("silence_latent", handler.silence_latent)
    AceStepPipeline(
        vae=vae,
        text_encoder=handler.text_encoder,
        tokenizer=handler.text_tokenizer,
        transformer=handler.model.decoder,
        condition_encoder=handler.model.encoder,
        scheduler=FlowMatchEulerDiscreteScheduler(num_train_timesteps=1, shift=1.0),
        audio_tokenizer=handler.model.tokenizer,
        audio_token_detokenizer=handler.model.detokenizer,
    ).save_pretrained(folder)


def test_fp32_shards_load_as_one(families_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As XL models are released."""
    source = families_root / "acestep-v15-xl-turbo"
    tensors = load_file(source / "model.safetensors")
    folder = tmp_path / "acestep-v15-xl-turbo"
    folder.mkdir()
    monkeypatch.setattr(weights, "SHARD_BYTES", 1_000_000)
    shapes = {key: tuple(tensor.shape) for key, tensor in tensors.items()}
    weights.write_weights(folder, shapes, (tensor.contiguous() for tensor in tensors.values()), "float32")
    assert len(list(folder.glob("model-*-of-*.safetensors"))) > 2
    for name in ("config.json", "silence_latent.pt"):
        shutil.copy(source / name, folder)
    model, whole = (load_model(path, device="cpu", dtype=torch.float32).state_dict() for path in (folder, source))
    assert all(torch.equal(tensor, whole[key]) for key, tensor in model.items())
