"""Checkpoints of every variant and layout behind the public handler."""

from __future__ import annotations

import json
import shutil
import warnings
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from acestep.checkpoints.variants import VARIANTS
from acestep.dit.model import load_model
from acestep.handler import AceStepHandler
from acestep.synthetic import cached, weights

REQUEST: dict[str, Any] = {
    "captions": "calm",
    "lyrics": "la",
    "audio_duration": 6,
    "batch_size": 1,
    "seed": 3,
    "use_random_seed": False,
}


@pytest.fixture(scope="module")
def families_root() -> Path:
    """Tiny synthetic checkpoints of every variant."""
    return cached("tiny", dits=[variant.name for variant in VARIANTS])


def open_handler(root: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> tuple[AceStepHandler, str]:
    monkeypatch.setenv("ACESTEP_CHECKPOINTS_DIR", str(root))
    handler = AceStepHandler()
    return handler, handler.initialize_service(None, name, device="cpu")[0]


def latents(handler: AceStepHandler, **request: Any) -> torch.Tensor:
    result = handler.generate_music(**(request or REQUEST))
    assert result["success"], result["error"]
    return result["extra_outputs"]["pred_latents"]


@pytest.mark.parametrize("name", [variant.name for variant in VARIANTS])
def test_every_family_makes_music(families_root: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    handler, status = open_handler(families_root, f"acestep-v15-{name}", monkeypatch)
    assert handler.ready, status
    result = handler.generate_music(**REQUEST, inference_steps=3, shift=2.0)
    assert result["success"], result["error"]
    assert result["audios"][0]["tensor"].shape == (2, 6 * 48_000)
    counts = result["extra_outputs"]["counts"]
    guided = 1 if "turbo" in name else 2
    assert (counts["steps"], counts["dit_calls"], counts["dit_rows"]) == (3, 3, 3 * guided)
    assert "turbo" not in result["status_message"]


@pytest.mark.parametrize(
    ("options", "calls", "rows"),
    [
        ({"guidance_scale": 1.0}, 4, 4),
        ({"cfg_interval_start": 0.5}, 4, 3 * 2 + 1),
        ({"cfg_interval_end": 0.5}, 4, 2 + 2 * 2),
        ({"sampler_mode": "heun"}, 8, 16),
        ({"infer_method": "sde"}, 4, 8),
        ({"use_adg": True}, 4, 8),
        ({"timesteps": [1.0, 0.5, 0.0]}, 2, 4),
    ],
)
def test_counts_tell_what_the_network_did(
    families_root: Path, monkeypatch: pytest.MonkeyPatch, options: dict[str, Any], calls: int, rows: int
) -> None:
    handler, _ = open_handler(families_root, "acestep-v15-base", monkeypatch)
    seen: list[int] = []
    queries = handler.model.decoder.layers[0].self_attn.to_q
    queries.register_forward_pre_hook(lambda _module, inputs: seen.append(len(inputs[0])))
    result = handler.generate_music(**REQUEST, inference_steps=4, **options)
    counts = result["extra_outputs"]["counts"]
    assert (counts["dit_calls"], counts["dit_rows"]) == (len(seen), sum(seen)) == (calls, rows)


def test_every_option_of_the_sampler_changes_the_music(families_root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    handler, _ = open_handler(families_root, "acestep-v15-base", monkeypatch)
    few = REQUEST | {"inference_steps": 3}
    plain = latents(handler, **few)
    changes: list[dict[str, Any]] = [
        {"guidance_scale": 3.0},
        {"guidance_scale": 1.0},
        {"use_adg": True},
        {"cfg_interval_start": 0.5},
        {"cfg_interval_end": 0.5},
        {"infer_method": "sde"},
        {"sampler_mode": "heun"},
        {"velocity_norm_threshold": 0.5},
        {"velocity_ema_factor": 0.3},
        {"retake_variance": 0.3, "retake_seed": 5},
    ]
    for change in changes:
        changed = latents(handler, **few, **change)
        assert (changed - plain).abs().max() > 1e-5, change


def test_other_wavelets(families_root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("pywt", reason="PyWavelets is not installed")
    handler, _ = open_handler(families_root, "acestep-v15-turbo", monkeypatch)
    assert not torch.equal(latents(handler, **REQUEST, dcw_wavelet="db4"), latents(handler))


def test_models_for_lego_have_captions_of_their_own(
    families_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(families_root, tmp_path / "root")
    config = tmp_path / "root" / "acestep-v15-sft" / "config.json"
    config.write_text(json.dumps(json.loads(config.read_text()) | {"is_lego_sft": True}))
    handler, _ = open_handler(tmp_path / "root", "acestep-v15-sft", monkeypatch)
    assert handler.variant is not None
    assert "lego" in handler.variant.tasks
    seen: list[str] = []
    encode = handler.encode_text
    monkeypatch.setattr(
        handler, "encode_text", lambda captions, *rest: seen.extend(captions) or encode(captions, *rest)
    )
    lego = REQUEST | {"task_type": "lego", "audio_code_string": "<|audio_code_9|>" * 30, "inference_steps": 1}
    latents(handler, **lego, global_caption="a song")
    latents(handler, **lego, instruction="Generate a segment:", chunk_mask_mode="explicit")
    assert "# Caption\nGlobal: a song\nLocal: calm\nMask Control: false\n\n# Metas" in seen[0]
    assert "# Caption\nLocal: calm\nMask Control: true\n\n# Metas" in seen[1]
    plain, _ = open_handler(families_root, "acestep-v15-sft", monkeypatch)
    assert "global_caption is 'a song', but only" in plain.generate_music(**REQUEST, global_caption="a song")["error"]


def test_turbo_says_that_it_is_not_guided(families_root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    handler, _ = open_handler(families_root, "acestep-v15-turbo", monkeypatch)
    plain = handler.generate_music(**REQUEST)
    guided = handler.generate_music(**REQUEST, guidance_scale=4.0, use_adg=True)
    assert torch.equal(guided["audios"][0]["tensor"], plain["audios"][0]["tensor"])
    assert "guidance 4 by angles between the times 0 and 1 has no effect" in guided["status_message"]
    assert "no effect" not in plain["status_message"]
    many = handler.generate_music(**REQUEST, timesteps=[1 - i / 30 for i in range(30)])
    assert many["error"] == "timesteps has 30 times above 0; a turbo model takes at most 20."


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
