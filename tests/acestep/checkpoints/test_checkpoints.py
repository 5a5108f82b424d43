"""A checkpoint that cannot be used ends with one sentence that names the file and the trouble."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from acestep.checkpoints.errors import CheckpointError
from acestep.checkpoints.files import read_config
from acestep.checkpoints.folders import checkpoints_root, component_folder
from acestep.checkpoints.key_map import module_key, original_key
from acestep.dit.model import load_model
from acestep.handler import AceStepHandler

NAME = "acestep-v15-turbo"


@pytest.fixture
def root(tiny_root: Path, tmp_path: Path) -> Path:
    """A copy of the tiny checkpoints that a test may damage."""
    copy = tmp_path / "checkpoints"
    shutil.copytree(tiny_root, copy)
    return copy


def load(root: Path) -> None:
    load_model(root / NAME, device="cpu", dtype=torch.float32)


def edit_tensors(root: Path, edit: Callable[[dict[str, torch.Tensor]], object]) -> None:
    path = root / NAME / "model.safetensors"
    tensors = {key: tensor.clone() for key, tensor in load_file(path).items()}
    edit(tensors)
    save_file(tensors, path)


def edit_config(root: Path, **changes: object) -> None:
    path = root / NAME / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def test_missing_key(root: Path) -> None:
    edit_tensors(root, lambda tensors: tensors.pop("decoder.norm_out.weight"))
    with pytest.raises(CheckpointError, match=r"lacks decoder\.norm_out\.weight"):
        load(root)


def test_unexpected_key(root: Path) -> None:
    edit_tensors(root, lambda tensors: tensors.update(extra=torch.zeros(1)))
    with pytest.raises(CheckpointError, match="unexpected extra"):
        load(root)


def test_wrong_shape(root: Path) -> None:
    edit_tensors(root, lambda tensors: tensors.update({"decoder.layers.1.mlp_norm.weight": torch.zeros(3)}))
    with pytest.raises(CheckpointError, match=r"decoder\.layers\.1\.mlp_norm\.weight has shape \[3\].*\[64\]"):
        load(root)


def test_truncated_file(root: Path) -> None:
    path = root / NAME / "model.safetensors"
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(CheckpointError, match=r"model\.safetensors is damaged: .* truncated, at 1,000 bytes"):
        load(root)


def test_missing_silence_latent(root: Path) -> None:
    (root / NAME / "silence_latent.pt").unlink()
    with pytest.raises(CheckpointError, match=r"silence_latent\.pt is missing"):
        load(root)


@pytest.mark.parametrize("content", [b"nonsense", b""])
def test_damaged_silence_latent(root: Path, content: bytes) -> None:
    (root / NAME / "silence_latent.pt").write_bytes(content)
    with pytest.raises(CheckpointError, match=r"silence_latent\.pt is damaged"):
        load(root)


def test_silence_latent_of_another_shape(root: Path) -> None:
    torch.save(torch.zeros(1, 32, 10), root / NAME / "silence_latent.pt")
    with pytest.raises(CheckpointError, match=r"holds \[1, 32, 10\], expected a tensor \[1, 64, frames\]"):
        load(root)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"model_type": "llama"}, "model_type is 'llama'"),
        ({"encoder_hidden_size": 64}, "lacks encoder_intermediate_size, .* which an XL model needs"),
        ({"layer_types": ["full_attention", "full_attention"]}, "alternating"),
        ({"use_sliding_window": False}, "alternating"),
    ],
)
def test_model_that_cannot_run(root: Path, change: dict[str, object], message: str) -> None:
    edit_config(root, **change)
    with pytest.raises(CheckpointError, match=message):
        load(root)


@pytest.mark.parametrize("content", ["", "[1]", "{"])
def test_config_that_is_no_object(root: Path, content: str) -> None:
    path = root / NAME / "config.json"
    path.write_text(content)
    with pytest.raises(CheckpointError, match=r"config\.json"):
        read_config(path.parent)


def test_missing_folder_names_what_is_there(root: Path) -> None:
    with pytest.raises(CheckpointError, match=r"'acestep-v15-base' not found.*vae"):
        component_folder(root, "acestep-v15-base")
    with pytest.raises(CheckpointError, match="empty or does not exist"):
        component_folder(root / "nowhere", NAME)


def test_sharded_checkpoint_equals_the_single_file(root: Path) -> None:
    whole = load_model(root / NAME, device="cpu", dtype=torch.float32)
    folder = root / NAME
    tensors = load_file(folder / "model.safetensors")
    names = sorted(tensors)
    halves = {"model-00001-of-00002.safetensors": names[::2], "model-00002-of-00002.safetensors": names[1::2]}
    for file, keys in halves.items():
        save_file({key: tensors[key].clone() for key in keys}, folder / file)
    weight_map = {key: file for file, keys in halves.items() for key in keys}
    (folder / "model.safetensors").unlink()
    (folder / "model.safetensors.index.json").write_text(json.dumps({"metadata": {}, "weight_map": weight_map}))
    sharded = load_model(folder, device="cpu", dtype=torch.float32)
    for key, tensor in whole.state_dict().items():
        assert torch.equal(tensor, sharded.state_dict()[key]), key
    (folder / "model-00002-of-00002.safetensors").unlink()
    with pytest.raises(CheckpointError, match="lacks model-00002-of-00002"):
        load(root)


def test_weights_do_not_depend_on_the_file_after_loading(root: Path) -> None:
    model = load_model(root / NAME, device="cpu", dtype=torch.float32)
    before = model.decoder.norm_out.weight.clone()
    path = root / NAME / "model.safetensors"
    with path.open("r+b") as file:
        file.truncate(10)
    assert torch.equal(model.decoder.norm_out.weight, before)


def test_key_map_is_invertible(handler: AceStepHandler) -> None:
    keys = list(handler.model.state_dict())
    originals = [original_key(key) for key in keys]
    assert [module_key(key) for key in originals] == keys
    assert "decoder.proj_in.1.weight" in originals
    assert "decoder.layers.0.cross_attn.q_norm.weight" in originals


def test_handler_reports_instead_of_raising(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.rmtree(root / "vae")
    monkeypatch.setenv("ACESTEP_CHECKPOINTS_DIR", str(root))
    handler = AceStepHandler()
    status, ok = handler.initialize_service(None, NAME, device="cpu")
    assert not ok
    assert status.startswith("Error initializing model: Checkpoint 'vae' not found")
    assert handler.model is None
    assert handler.generate_music("pop", "la")["error"] == "Model not fully initialized"


@pytest.mark.parametrize("absolute", [False, True])
def test_another_vae(root: Path, monkeypatch: pytest.MonkeyPatch, absolute: bool) -> None:
    monkeypatch.setenv("ACESTEP_CHECKPOINTS_DIR", str(root))
    (root / "vae").rename(root / "scragvae")
    handler = AceStepHandler()
    assert not handler.initialize_service(None, NAME, device="cpu", vae_checkpoint="official")[1]
    other = str(root / "scragvae") if absolute else "scragvae"
    status, ok = handler.initialize_service(None, NAME, device="cpu", vae_checkpoint=other)
    assert ok, status
    assert f"VAE: {other}" in status


def test_unknown_device_is_an_error(tiny_root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ACESTEP_CHECKPOINTS_DIR", str(tiny_root))
    status, ok = AceStepHandler().initialize_service(None, NAME, device="tpu")
    assert not ok
    assert "Unknown device 'tpu'" in status
    status, ok = AceStepHandler().initialize_service(None, NAME, device="cuda:99")
    assert not ok
    assert "'cuda:99' is not available" in status


def test_root_of_the_checkpoints(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ACESTEP_CHECKPOINTS_DIR", raising=False)
    monkeypatch.delenv("ACESTEP_PROJECT_ROOT", raising=False)
    monkeypatch.chdir(tmp_path)
    assert checkpoints_root(None) == tmp_path / "checkpoints"
    assert checkpoints_root("/project") == Path("/project/checkpoints")
    monkeypatch.setenv("ACESTEP_CHECKPOINTS_DIR", "/elsewhere")
    assert checkpoints_root("/project") == Path("/elsewhere")
