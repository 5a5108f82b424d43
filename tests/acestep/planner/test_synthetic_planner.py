from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from tokenizers import Tokenizer
from transformers import AutoTokenizer, Qwen3ForCausalLM

from acestep.planner.vocabulary import Vocabulary
from acestep.synthetic import weights
from acestep.synthetic.planner import ARCHITECTURES, PlannerSize, tensor_shapes, write_planner
from acestep.synthetic.tokenizer import (
    build_full_tokenizer,
    build_text_tokenizer,
    build_tokenizer,
    save_tokenizer,
)

TEXT = "Héllo 月亮 😀 banana\r\n\n  caption: tada 120 <|im_start|>\t<think>"


@pytest.fixture(scope="module")
def full() -> Tokenizer:
    return build_full_tokenizer()


def test_the_full_vocabulary_has_the_released_layout(full: Tokenizer) -> None:
    assert full.get_vocab_size() == 217_204
    assert full.get_vocab_size(with_added_tokens=False) == 151_643
    ids = {
        "<|endoftext|>": 151_643,
        "<|im_start|>": 151_644,
        "<|im_end|>": 151_645,
        "<think>": 151_667,
        "</think>": 151_668,
        "<|audio_code_0|>": 151_669,
        "<|audio_code_65534|>": 217_203,
    }
    assert {text: full.token_to_id(text) for text in ids} == ids


def test_text_survives_every_tokenizer(full: Tokenizer) -> None:
    for tokenizer in (full, build_tokenizer(64), build_text_tokenizer("tiny")):
        ids = tokenizer.encode(TEXT, add_special_tokens=False).ids
        assert tokenizer.decode(ids, skip_special_tokens=False) == TEXT
        assert len(ids) < len(TEXT.encode())
    assert full.encode("120").tokens == ["1", "2", "0"]
    assert full.encode(" banana").tokens != list(" banana")


def test_the_text_encoders_tokenizer_ends_every_text() -> None:
    tokenizer = build_text_tokenizer("full")
    assert tokenizer.get_vocab_size() == 151_669
    assert tokenizer.encode("hello").ids[-1] == 151_643
    assert build_text_tokenizer("tiny").encode("hello").tokens[-1] == "<|endoftext|>"
    assert tokenizer.token_to_id("<|audio_code_0|>") is None


def test_tiny_codes_are_followed_by_two_invalid_ones() -> None:
    tokenizer = build_tokenizer(64)
    ids = [tokenizer.token_to_id(f"<|audio_code_{code}|>") for code in (0, 63, 64_000, 64_001)]
    assert ids == [726, 789, 790, 791]
    assert tokenizer.token_to_id("<|audio_code_64|>") is None


def test_transformers_reads_what_is_saved(tmp_path: Path) -> None:
    save_tokenizer(build_tokenizer(4), tmp_path)
    tokenizer = AutoTokenizer.from_pretrained(tmp_path)
    assert (tokenizer.eos_token, tokenizer.pad_token) == ("<|im_end|>", "<|endoftext|>")
    messages = [{"role": "system", "content": "S"}, {"role": "user", "content": "U"}]
    rendered = tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
    assert rendered == "<|im_start|>system\nS<|im_end|>\n<|im_start|>user\nU<|im_end|>\n<|im_start|>assistant\n"
    assert tokenizer.decode(tokenizer.encode(TEXT)) == TEXT


@pytest.mark.parametrize("size", ["0.6B", "1.7B", "4B"])
def test_a_tiny_planner_is_small_and_in_the_original_layout(planners: Path, size: PlannerSize) -> None:
    folder = planners / f"acestep-5Hz-lm-{size}"
    assert sum(file.stat().st_size for file in folder.iterdir()) < 2_000_000
    keys = load_file(folder / "model.safetensors").keys()
    assert {key.startswith("model.") for key in keys} == {size == "0.6B"}
    assert not any("lm_head" in key for key in keys)
    model = Qwen3ForCausalLM.from_pretrained(folder)
    assert model.lm_head.weight is model.model.embed_tokens.weight
    assert model.config.vocab_size == len(model.lm_head.weight) == 726 + 1024 + 2


def test_the_same_seed_gives_the_same_bytes(tmp_path: Path) -> None:
    for name, seed in (("a", 3), ("b", 3), ("c", 4)):
        write_planner(tmp_path / name, "0.6B", "tiny", seed=seed)
    first, second, other = ({file.name: file.read_bytes() for file in (tmp_path / name).iterdir()} for name in "abc")
    assert first == second
    assert first["model.safetensors"] != other["model.safetensors"]
    assert first["tokenizer.json"] == other["tokenizer.json"]


def test_a_large_planner_is_sharded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_planner(tmp_path / "whole", "1.7B", "tiny")
    monkeypatch.setattr(weights, "SHARD_BYTES", 700_000)
    write_planner(tmp_path / "parts", "1.7B", "tiny")
    assert not (tmp_path / "parts" / "model.safetensors").exists()
    index = json.loads((tmp_path / "parts" / "model.safetensors.index.json").read_text())
    parts = sorted((tmp_path / "parts").glob("model-*-of-00002.safetensors"))
    assert sorted(set(index["weight_map"].values())) == [part.name for part in parts]
    tensors = {key: value for part in parts for key, value in load_file(part).items()}
    whole = load_file(tmp_path / "whole" / "model.safetensors")
    assert tensors.keys() == whole.keys() == index["weight_map"].keys()
    assert all(torch.equal(tensors[key], whole[key]) for key in whole)
    assert index["metadata"]["total_size"] == sum(4 * value.numel() for value in whole.values())


@pytest.mark.parametrize(("size", "billions", "shards"), [("0.6B", 0.663, 1), ("1.7B", 1.854, 1), ("4B", 4.190, 2)])
def test_full_shapes_are_the_released_ones(size: PlannerSize, billions: float, shards: int) -> None:
    shapes = tensor_shapes(ARCHITECTURES["full", size], 217_204)
    parameters = sum(math.prod(shape) for shape in shapes.values())
    assert parameters == pytest.approx(billions * 1e9, rel=1e-3)
    assert math.ceil(2 * parameters / weights.SHARD_BYTES) == shards
    assert len(shapes) == {"0.6B": 310, "1.7B": 310, "4B": 398}[size]


def test_the_vocabulary_of_a_tiny_planner_is_slim(folder: Path) -> None:
    vocabulary = Vocabulary(folder)
    assert vocabulary.size == vocabulary.codes.first_id == 726
    assert vocabulary.decode(vocabulary.encode((TEXT,))) == TEXT
