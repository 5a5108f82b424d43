"""Synthetic checkpoints: the released layout, the same bytes for the same seed, shared safely."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest
import torch
from safetensors import safe_open

from acestep import synthetic
from acestep.checkpoints.errors import CheckpointError
from acestep.checkpoints.variants import XL_SHAPES
from acestep.dit import model
from acestep.handler import AceStepHandler
from acestep.synthetic import cached, synthesizer, tokenizer, write
from acestep.synthetic.__main__ import main


def digests(root: Path) -> dict[str, str]:
    return {
        str(path.relative_to(root)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(root.rglob("*"))
        if path.is_file()
    }


def test_tiny_has_the_released_layout(tiny_root: Path) -> None:
    names = {folder.name for folder in tiny_root.iterdir()}
    assert names == {"acestep-v15-turbo", "vae", "Qwen3-Embedding-0.6B", "acestep-5Hz-lm-0.6B"}
    model = tiny_root / "acestep-v15-turbo"
    assert {path.name for path in model.iterdir()} == {
        "config.json",
        "model.safetensors",
        "silence_latent.pt",
    }
    with safe_open(model / "model.safetensors", "pt") as file:
        keys = set(file.keys())
    assert {"null_condition_emb", "decoder.proj_in.1.weight", "tokenizer.quantizer.project_in.bias"} <= keys
    assert sum(path.stat().st_size for path in tiny_root.rglob("*") if path.is_file()) < 25_000_000


def test_tiny_keeps_every_mechanism_alive(handler: AceStepHandler) -> None:
    config = handler.config
    assert config is not None
    assert config["num_attention_heads"] > config["num_key_value_heads"] > 1
    assert config["num_hidden_layers"] >= 2  # one sliding, one full
    assert config["sliding_window"] < 128 // config["patch_size"] * 2
    assert handler.vae.hop_length == 1920
    assert handler.vae.config.sampling_rate == 48_000
    audio = torch.randn(1, 2, 1920 * 3, generator=torch.Generator().manual_seed(0))
    assert handler.vae.encode(audio).latent_dist.mode().shape == (1, 64, 3)


def test_the_same_seed_gives_the_same_bytes(tmp_path: Path) -> None:
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        write("tiny", tmp_path / name, seed=seed)
    assert digests(tmp_path / "a") == digests(tmp_path / "b")
    weights = "acestep-v15-turbo/model.safetensors"
    assert digests(tmp_path / "a")[weights] != digests(tmp_path / "c")[weights]


def test_nothing_is_overwritten(tmp_path: Path) -> None:
    (tmp_path / "vae").mkdir()
    with pytest.raises(CheckpointError, match="already holds vae"):
        write("tiny", tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["vae"]


def test_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    target = tmp_path / "new" / "folder"
    assert main(["tiny", str(target), "--planner", "0.6B", "--planner", "4B"]) == 0
    assert (target / "acestep-5Hz-lm-4B" / "config.json").is_file()
    assert str(target / "vae") in capsys.readouterr().out
    assert main(["tiny", str(target)]) == 1
    assert "choose an empty folder" in capsys.readouterr().err
    with pytest.raises(SystemExit) as usage:
        main(["huge", str(target)])
    assert usage.value.code == 2


def test_other_families_on_demand(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["tiny", str(tmp_path), "--dit", "base", "--dit", "xl-sft"]) == 0
    names = {folder.name for folder in tmp_path.iterdir()}
    assert {"acestep-v15-base", "acestep-v15-xl-sft"} == {name for name in names if name.startswith("acestep-v15-")}
    assert "acestep-v15-xl-sft" in capsys.readouterr().out
    for name, xl in (("acestep-v15-base", False), ("acestep-v15-xl-sft", True)):
        config = json.loads((tmp_path / name / "config.json").read_text())
        assert config["is_turbo"] is False
        assert ("encoder_hidden_size" in config) is xl
    with pytest.raises(ValueError, match="Unknown variant 'huge': expected one of turbo, base, sft, xl-turbo"):
        write("tiny", tmp_path / "other", dits=["huge"])


@pytest.mark.parametrize(
    ("name", "keys", "parameters"),
    [("turbo", 677, 2_393_872_518), ("sft", 677, 2_393_872_518), ("xl-turbo", 829, 4_987_310_726)],
)
def test_full_shapes_follow_from_the_configuration(name: str, keys: int, parameters: int) -> None:
    from acestep.checkpoints.load import build_on_meta
    from acestep.checkpoints.variants import variant_named, variant_of
    from acestep.dit.model import AceStepModel
    from acestep.synthetic.synthesizer import dit_config_sizes

    variant = variant_named(name)
    shapes = dit_config_sizes("full", variant)
    assert variant_of(shapes | {"is_turbo": variant.turbo}, Path(variant.folder)) == variant
    model = build_on_meta(lambda: AceStepModel(shapes, variant))
    assert len(model.state_dict()) == keys
    assert sum(parameter.numel() for parameter in model.parameters()) == parameters


def test_full_has_the_released_shapes() -> None:
    from acestep.checkpoints.key_map import original_key
    from acestep.checkpoints.load import build_on_meta
    from acestep.checkpoints.variants import ModelVariant
    from acestep.dit.model import AceStepModel

    model = build_on_meta(lambda: AceStepModel({"model_type": "acestep", "is_turbo": True}, ModelVariant("turbo")))
    shapes = {original_key(key): list(tensor.shape) for key, tensor in model.state_dict().items()}
    assert len(shapes) == 677
    assert sum(parameter.numel() for parameter in model.parameters()) == 2_393_872_518
    assert shapes["decoder.layers.23.cross_attn.k_proj.weight"] == [1024, 2048]


def test_two_processes_that_ask_at_once_share_one_build(tmp_path: Path) -> None:
    ask = "from acestep.synthetic import cached; print(cached('tiny'))"
    processes = [
        subprocess.Popen(
            [sys.executable, "-W", "ignore", "-c", ask],
            env={"ACESTEP_CACHE_DIR": str(tmp_path), "PATH": "/usr/bin:/bin", "HOME": str(tmp_path)},
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(2)
    ]
    answers = {process.communicate(timeout=120)[0].strip() for process in processes}
    assert [process.returncode for process in processes] == [0, 0]
    (folder,) = (Path(answer) for answer in answers)
    built = [path for path in folder.parent.iterdir() if path.is_dir()]
    assert built == [folder]
    assert json.loads((folder / "vae" / "config.json").read_text())["sampling_rate"] == 48_000


def test_cache_is_built_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ACESTEP_CACHE_DIR", str(tmp_path))
    folder = cached("tiny")
    marker = folder / "marker"
    marker.touch()
    assert cached("tiny") == folder
    assert marker.exists()


@pytest.fixture
def _written_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ACESTEP_CACHE_DIR", str(tmp_path))
    monkeypatch.setattr(synthetic, "write", lambda *_, **__: [])


@pytest.mark.usefixtures("_written_at_once")
def test_another_default_of_the_model_gets_another_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    before = cached("tiny")
    assert cached("tiny") == before
    monkeypatch.setitem(model.CONFIG_DEFAULTS, "rope_theta", 10_000)
    assert cached("tiny") != before


@pytest.mark.usefixtures("_written_at_once")
@pytest.mark.parametrize(
    ("owner", "name", "value"),
    [
        (synthesizer, "original_key", lambda key: f"renamed.{key}"),
        (synthesizer, "SAMPLE_RATE", 44_100),
        (tokenizer, "INSTRUCTION_PLANNER", "Write audio codes with another instruction:"),
        (synthetic, "version", lambda package: f"another {package}"),
    ],
)
def test_whatever_changes_the_bytes_gets_another_folder(
    monkeypatch: pytest.MonkeyPatch, owner: ModuleType, name: str, value: object
) -> None:
    before = cached("tiny")
    monkeypatch.setattr(owner, name, value)
    assert cached("tiny") != before


@pytest.mark.usefixtures("_written_at_once")
def test_other_shapes_of_xl_models_get_another_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    before, turbo = cached("full", dits=["xl-base"]), cached("full")
    monkeypatch.setitem(XL_SHAPES, "intermediate_size", 96)
    assert cached("full", dits=["xl-base"]) != before
    assert cached("full") == turbo
