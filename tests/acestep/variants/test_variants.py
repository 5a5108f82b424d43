"""What tells the variants apart, and that every layout of a checkpoint gives the same model."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest
import torch

from acestep.checkpoints.errors import CheckpointError
from acestep.checkpoints.variants import VARIANTS, XL_SHAPES, ModelVariant, variant_of
from acestep.dit.model import AceStepModel, load_model
from tests.acestep.variants.conftest import Open
from tests.acestep.variants.deterministic import XL, given

TURBO_CODE = {"AutoModel": "modeling_acestep_v15_turbo.AceStepConditionGenerationModel"}
XL_BASE_CODE = {"AutoModel": "modeling_acestep_v15_xl_base.AceStepConditionGenerationModel"}


@pytest.mark.parametrize(
    ("folder", "config", "name"),
    [
        ("acestep-v15-turbo", {"is_turbo": True}, "turbo"),
        ("acestep-v15-turbo-shift3", {"is_turbo": True}, "turbo"),
        ("acestep-v15-base", {"is_turbo": False}, "base"),
        ("acestep-v15-sft", {"is_turbo": False, "model_version": "turbo"}, "sft"),
        ("acestep-v15-base-sft-fix-inst", {"is_turbo": False}, "sft"),
        ("acestep-v15-xl-turbo", XL | {"is_turbo": True}, "xl-turbo"),
        ("acestep-v15-xl-base", XL | {"is_turbo": False}, "xl-base"),
        ("acestep-v15-xl-sft", XL | {"is_turbo": False}, "xl-sft"),
        ("mine", {"is_turbo": True}, "turbo"),
        ("mine", XL | {"is_turbo": False}, "xl-base"),
        ("acestep-v15-base", {"is_turbo": True}, "turbo"),
        ("acestep-v15-base", {"auto_map": TURBO_CODE}, "turbo"),
        ("mine", {"auto_map": {"AutoModel": "ACE-Step/Ace-Step1.5--" + TURBO_CODE["AutoModel"]}}, "turbo"),
        ("acestep-v15-turbo", XL | {"auto_map": XL_BASE_CODE}, "xl-base"),
        ("acestep-v15-turbo-rl", {}, "turbo"),
        ("mine", {}, "base"),
    ],
)
def test_configuration_before_code_before_name(folder: str, config: dict[str, Any], name: str) -> None:
    assert variant_of(config, Path(folder)).name == name


@pytest.mark.parametrize("config", [{"encoder_hidden_size": 32}, {"auto_map": XL_BASE_CODE}, {}])
def test_an_xl_model_needs_the_widths_of_its_encoders(config: dict[str, Any]) -> None:
    with pytest.raises(CheckpointError, match="encoder_num_key_value_heads, which an XL model needs"):
        variant_of(config, Path("acestep-v15-xl-turbo"))


def test_what_a_family_may_be_asked_for() -> None:
    turbo, base = ModelVariant("turbo"), ModelVariant("base")
    assert {variant.folder for variant in VARIANTS} == {
        f"acestep-v15-{name}" for name in ("turbo", "base", "sft", "xl-turbo", "xl-base", "xl-sft")
    }
    assert (turbo.guided, turbo.max_steps) == (False, 8)
    assert (base.guided, base.max_steps) == (True, None)
    assert len(turbo.schedule(20, 1.0)) == 8
    assert len(base.schedule(20, 1.0)) == 20
    assert turbo.schedule(8, 1.0, [0.97]) == [21 / 22]
    assert base.schedule(8, 1.0, [0.97]) == [0.97]


def write_diffusers(model: AceStepModel, folder: Path) -> None:
    """The folders of the parts of a diffusers pipeline."""
    encoder = copy.deepcopy(model.encoder)
    encoder.register_buffer("silence_latent", model.silence_latent)
    encoder.save_pretrained(folder / "condition_encoder")
    model.decoder.save_pretrained(folder / "transformer")
    model.tokenizer.save_pretrained(folder / "audio_tokenizer")
    model.detokenizer.save_pretrained(folder / "audio_token_detokenizer")


@pytest.mark.parametrize("name", ["turbo", "base", "xl-base"])
def test_diffusers_folders_load_as_well(open_variant: Open, tmp_path: Path, name: str) -> None:
    original = open_variant(name).model
    write_diffusers(original, tmp_path)
    model = load_model(tmp_path, device="cpu", dtype=torch.float32)
    assert (model.variant.turbo, model.variant.xl) == (original.variant.turbo, original.variant.xl)
    assert {key: model.config[key] for key in ("hidden_size", "text_hidden_dim", "fsq_dim", "sliding_window")} == {
        key: original.config[key] for key in ("hidden_size", "text_hidden_dim", "fsq_dim", "sliding_window")
    }
    assert torch.equal(model.silence_latent, original.silence_latent)
    stored = original.state_dict()
    assert model.state_dict().keys() == stored.keys()
    assert all(torch.equal(tensor, stored[key]) for key, tensor in model.state_dict().items())
    timbre = [part.encoder.timbre_encoder(given("refer"), torch.tensor([0, 0, 1]))[0] for part in (model, original)]
    assert torch.equal(*timbre)


def test_an_incomplete_diffusers_folder_is_an_error(open_variant: Open, tmp_path: Path) -> None:
    write_diffusers(open_variant("base").model, tmp_path)
    (tmp_path / "audio_tokenizer" / "config.json").unlink()
    with pytest.raises(CheckpointError, match="audio_tokenizer is not a complete checkpoint folder"):
        load_model(tmp_path, device="cpu", dtype=torch.float32)


def test_the_released_xl_shapes() -> None:
    from acestep.checkpoints.key_map import original_key
    from acestep.checkpoints.load import build_on_meta

    model = build_on_meta(lambda: AceStepModel(XL_SHAPES | {"model_type": "acestep"}, ModelVariant("base", xl=True)))

    def count(part: torch.nn.Module) -> int:
        return sum(parameter.numel() for parameter in part.parameters())

    assert count(model.decoder) == 4_168_897_088
    assert count(model.encoder.lyric_encoder) == 404_789_248
    assert count(model.encoder.timbre_encoder) == 201_481_216
    assert (count(model.tokenizer), count(model.detokenizer)) == (105_032_198, 105_011_776)
    assert count(model) == 4_987_310_726
    shapes = {original_key(key): list(tensor.shape) for key, tensor in model.state_dict().items()}
    assert len(shapes) == 829
    assert shapes["decoder.layers.31.self_attn.q_proj.weight"] == [4096, 2560]
    assert shapes["decoder.condition_embedder.weight"] == [2560, 2048]


def test_tiny_models_have_the_keys_of_the_reference(open_variant: Open) -> None:
    from acestep.checkpoints.key_map import original_key

    for name in ("base", "xl-base"):
        shapes = {original_key(key): list(t.shape) for key, t in open_variant(name).model.state_dict().items()}
        assert len(shapes) == 220
    assert shapes["encoder.timbre_encoder.special_token"] == [1, 1, 32]
    assert shapes["decoder.layers.0.cross_attn.k_proj.weight"] == [32, 40]
    assert shapes["decoder.condition_embedder.weight"] == [40, 32]
    assert shapes["encoder.lyric_encoder.layers.0.self_attn.q_proj.weight"] == [32, 32]


def test_diffusers_label_of_turbo_models_counts_too(open_variant: Open, tmp_path: Path) -> None:
    folder = tmp_path / "acestep-v15-sft"
    write_diffusers(open_variant("base").model, folder)
    path = folder / "transformer" / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"is_turbo": None, "model_version": "turbo"}))
    model = load_model(folder, device="cpu", dtype=torch.float32)
    assert model.config["is_turbo"] is True
    assert model.variant.name == "turbo"
