"""Load options take effect, are reported, and change the music no more than they must."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch
from torch import Tensor, nn

from acestep.handler import AceStepHandler
from acestep.runtime import compilation, load_options, quantization
from acestep.runtime.quantization import METHODS, is_quantized, linear_layers, quantize
from tests.acestep.runtime.test_offload import bytes_of

REQUEST: dict[str, Any] = {
    "captions": "a slow song",
    "lyrics": "one line",
    "audio_duration": 10.0,
    "batch_size": 2,
    "seed": 1,
    "use_random_seed": False,
}


@pytest.fixture(autouse=True)
def _checkpoints(tiny_root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ACESTEP_CHECKPOINTS_DIR", str(tiny_root))


def opened(**wanted: Any) -> tuple[AceStepHandler, str]:
    handler = AceStepHandler()
    report, ok = handler.initialize_service(None, device="cpu", **wanted)
    assert ok, report
    return handler, report


def generated(handler: AceStepHandler, **changes: Any) -> dict[str, Any]:
    result = handler.generate_music(**(REQUEST | changes))
    assert result["success"], result["error"]
    return result


def music(result: dict[str, Any]) -> tuple[Tensor, Tensor]:
    """Latents, and waveforms."""
    return result["extra_outputs"]["pred_latents"].float(), torch.stack([audio["tensor"] for audio in result["audios"]])


@pytest.fixture(scope="module")
def plain(handler: AceStepHandler) -> tuple[Tensor, Tensor]:
    return music(generated(handler))


def distance(one: Tensor, other: Tensor) -> float:
    """Norm of the difference in norms of *other*."""
    return float((one - other).norm() / other.norm())


@pytest.mark.parametrize(
    ("wanted", "complaint"),
    [
        ({"quantization": "int3"}, "quantization is 'int3', expected one of int8_weight_only, fp8_weight_only"),
        ({"dtype": "float8"}, "dtype is 'float8', expected one of: float32, bfloat16, float16"),
        ({"attention_backend": "sage"}, "attention_backend is 'sage', expected one of: sdpa, flash, eager"),
        ({"attention_backend": "eager", "use_flash_attention": True}, "use_flash_attention is on"),
    ],
)
def test_unknown_options_are_refused(wanted: dict[str, Any], complaint: str) -> None:
    handler = AceStepHandler()
    report, ok = handler.initialize_service(None, device="cpu", **wanted)
    assert not ok
    assert complaint in report
    assert handler.model is None


@pytest.mark.parametrize(
    ("method", "most"), [("int8_weight_only", 0.02), ("fp8_weight_only", 0.06), ("w8a8_dynamic", 0.03)]
)
def test_quantization(plain: tuple[Tensor, Tensor], method: str, most: float) -> None:
    handler, report = opened(quantization=method)
    layers = linear_layers(handler.model.decoder)
    assert all(is_quantized(layer) for layer in layers)
    assert not any(
        is_quantized(layer) for part in (handler.model.encoder, handler.vae) for layer in linear_layers(part)
    )
    done = handler.quantized
    assert done is not None
    assert done.layers == len(layers) == 29
    assert done.before_bytes == 4 * sum(math.prod(layer.weight.shape) for layer in layers)
    assert done.saved_bytes > 0.65 * done.before_bytes
    assert f"Quantization: {method}, 29 linear layers, 0.5 MiB saved" in report
    result = generated(handler)
    told = result["extra_outputs"]["options"]
    assert (told["quantization"], told["quantized_layers"]) == (method, 29)
    assert told["quantization_saved_bytes"] == done.saved_bytes
    latents, waveforms = music(result)
    assert 0 < distance(latents, plain[0]) < most
    assert 0 < distance(waveforms, plain[1]) < most


@pytest.mark.parametrize("method", METHODS)
def test_a_device_that_cannot_is_an_error(monkeypatch: pytest.MonkeyPatch, method: str) -> None:
    with pytest.raises(ValueError, match=f"quantization='{method}' does not run on mps"):
        quantize(nn.Sequential(nn.Linear(8, 8)), method, "mps")
    monkeypatch.setattr(nn.Linear, "forward", lambda *_: 1 / 0)
    with pytest.raises(ValueError, match=f"quantization='{method}' does not run on cpu in torch.float32: division"):
        quantize(nn.Sequential(nn.Linear(8, 8)), method, "cpu")


def test_quantization_without_torchao_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "torchao", None)
    with pytest.raises(ValueError, match=r"needs torchao .* pip install 'acestep\[quantization\]'"):
        quantize(nn.Sequential(nn.Linear(8, 8)), "int8_weight_only", "cpu")


def test_layers_that_stay_plain_are_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(quantization, "_torchao", lambda _: (lambda *_: None, None))
    with pytest.raises(ValueError, match="left 1 of 1 linear layers as they were"):
        quantize(nn.Sequential(nn.Linear(64, 64)), "int8_weight_only", "cpu")


@pytest.mark.parametrize(("dtype", "most"), [("bfloat16", 0.08), ("float16", 0.01)])
def test_number_formats(plain: tuple[Tensor, Tensor], dtype: str, most: float) -> None:
    handler, report = opened(dtype=dtype)
    assert f"Dtype: {dtype}" in report
    parts = (handler.model, handler.vae, handler.text_encoder)
    assert {str(tensor.dtype) for part in parts for tensor in part.parameters()} == {f"torch.{dtype}"}
    latents, waveforms = music(generated(handler))
    assert 0 < distance(latents, plain[0]) < most
    assert 0 < distance(waveforms, plain[1]) < most


@pytest.mark.parametrize("wanted", [{"attention_backend": "eager"}, {"use_flash_attention": True}])
def test_attention_backends(plain: tuple[Tensor, Tensor], wanted: dict[str, Any]) -> None:
    handler, report = opened(**wanted)
    name = wanted.get("attention_backend", "flash")
    assert f"Attention: {name}" in report
    result = generated(handler)
    assert result["extra_outputs"]["options"]["attention"] == name
    assert distance(music(result)[0], plain[0]) < 1e-5


def test_flash_attention_is_refused_where_it_has_no_kernel(monkeypatch: pytest.MonkeyPatch) -> None:
    for device, dtype, complaint in (("mps", None, "does not run on mps"), ("cuda", "float32", "on cuda in float32")):
        monkeypatch.setattr(load_options, "resolve_device", lambda _, device=device: device)
        with pytest.raises(ValueError, match=complaint):
            load_options.LoadOptions.resolve(device, dtype or "float16", "flash")


def test_offloading_moves_each_part_once_and_changes_nothing(plain: tuple[Tensor, Tensor]) -> None:
    handler, report = opened(offload_to_cpu=True, offload_dit_to_cpu=True)
    assert "Offload to CPU: yes" in report
    assert "Offload DiT to CPU: yes" in report
    result = generated(handler)
    assert all(torch.equal(ours, theirs) for ours, theirs in zip(music(result), plain, strict=True))
    model = handler.model
    used = [handler.text_encoder, model.encoder, model.tokenizer, model.detokenizer, model.decoder, handler.vae.decoder]
    transfers = result["extra_outputs"]["transfers"]
    assert transfers["times"] == 4
    assert transfers["moved_bytes"] == sum(map(bytes_of, used))
    assert transfers["seconds"] > 0
    assert handler.offload_manager.transfers.times == 4


def test_text_encoder_and_vae_can_be_offloaded_alone() -> None:
    handler, _ = opened(offload_to_cpu=True)
    result = generated(handler)
    assert result["extra_outputs"]["transfers"]["times"] == 2
    assert result["extra_outputs"]["options"]["offloaded"] == ["text_encoder", "vae_encoder", "vae_decoder"]


def test_a_task_that_needs_parts_again_moves_none_of_them_twice(tmp_path: Path) -> None:
    time = np.arange(48_000 * 2) / 48_000
    soundfile.write(tmp_path / "source.wav", 0.3 * np.sin(2 * np.pi * 220 * time), 48_000)
    handler, _ = opened(offload_to_cpu=True, offload_dit_to_cpu=True)
    path = str(tmp_path / "source.wav")
    cover: dict[str, Any] = {"task_type": "cover", "src_audio": path, "audio_cover_strength": 0.5, "batch_size": 1}
    moved = generated(handler, **cover, audio_duration=None)
    assert moved["extra_outputs"]["transfers"]["times"] == 5


@pytest.mark.slow
def test_compiling_with_everything_else(plain: tuple[Tensor, Tensor]) -> None:
    wanted = {"quantization": "int8_weight_only", "offload_to_cpu": True, "offload_dit_to_cpu": True}
    eager = music(generated(opened(**wanted)[0]))
    handler, report = opened(**wanted, compile_model=True)
    assert "Compiled: transformer layers and VAE activation" in report
    result = generated(handler)
    told = result["extra_outputs"]["options"]
    assert told["compiled_graphs"] >= 9
    assert told["quantized_layers"] == 29
    assert result["extra_outputs"]["transfers"]["times"] == 4
    assert distance(music(result)[0], eager[0]) < 1e-4
    assert distance(music(result)[0], plain[0]) < 0.02
    again = generated(handler)["extra_outputs"]["options"]
    assert again["compiled_graphs"] == told["compiled_graphs"]
    assert again["compiled_calls"] > told["compiled_calls"]


def test_an_error_of_a_library_is_returned(monkeypatch: pytest.MonkeyPatch) -> None:
    handler, _ = opened()

    def fail(*_: Any, **__: Any) -> None:
        raise KeyError("a region that cannot be compiled")

    monkeypatch.setattr(handler, "diffuse", fail)
    result = handler.generate_music(**REQUEST)
    assert not result["success"]
    assert result["error"] == "KeyError: 'a region that cannot be compiled'"


def test_a_machine_that_cannot_compile_gets_an_error_that_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any) -> None:
        raise RuntimeError("No working C++ compiler found.\nlong story")

    monkeypatch.setattr(compilation.CompiledRegions, "_backend", fail)
    handler = AceStepHandler()
    report, ok = handler.initialize_service(None, device="cpu", compile_model=True)
    assert not ok
    assert "compile_model=True, but torch.compile does not work here" in report
    assert "No working C++ compiler found" in report
    assert "leave compile_model out" in report
