"""Damaged weights, indices, silence and tokenizers end with one sentence that names the file."""

from __future__ import annotations

import io
import json
import os
import pickle
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from acestep.checkpoints.errors import CheckpointError
from acestep.checkpoints.files import as_checkpoint_error, weight_files
from acestep.dit.model import load_model
from acestep.planner.vocabulary import Vocabulary
from acestep.text.encoder import load_text_encoder
from tests.acestep.hostile.conftest import MODEL, PLANNER, TEXT, change_tensors, replace

WEIGHTS = "model.safetensors"


def load(root: Path) -> None:
    load_model(root / MODEL, device="cpu", dtype=torch.float32)


def header(entries: dict[str, Any], length: int | None = None) -> bytes:
    text = json.dumps(entries).encode()
    return struct.pack("<Q", len(text) if length is None else length) + text


def tensor(begin: int, end: int, shape: list[int]) -> dict[str, Any]:
    return {"dtype": "F32", "shape": shape, "data_offsets": [begin, end]}


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\0" * 8,
        header({}, 2**60),
        header({}, 2**63 + 1),
        header({"a": tensor(0, 8, [2]), "b": tensor(4, 12, [2])}) + bytes(12),
        header({"a": tensor(0, 2**60, [2**58])}) + bytes(8),
        header({"a": tensor(0, 8, [2**62, 2**62])}) + bytes(8),
        header({"a": tensor(0, 8, [-2])}) + bytes(8),
        struct.pack("<Q", 100_000) + b"[" * 100_000,
    ],
)
def test_damaged_headers(root: Path, content: bytes) -> None:
    replace(root / MODEL / WEIGHTS, content)
    with pytest.raises(CheckpointError, match=r"model\.safetensors is damaged: .* It may be truncated, at "):
        load(root)


def test_weights_without_tensors(root: Path) -> None:
    replace(root / MODEL / WEIGHTS, header({}))
    with pytest.raises(CheckpointError, match="num_hidden_layers is 2, but the weights have 0 layers"):
        load(root)


def test_more_layers_than_anybody_could_build(root: Path) -> None:
    """The header names as many layers as the configuration, and nothing else of them."""
    names = {f"decoder.layers.{layer}.x": tensor(0, 0, [0]) for layer in range(1000)}
    names["decoder.layers.0.y"] = tensor(0, 0, [0])
    replace(root / MODEL / WEIGHTS, header(names))
    path = root / MODEL / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"num_hidden_layers": 1000}))
    with pytest.raises(CheckpointError, match=r"some of the 1000 layers decoder\.layers\.\* have more tensors"):
        load(root)


@pytest.mark.parametrize(
    ("weight_map", "said"),
    [
        ({"a": "../../etc/passwd"}, "places a in '../../etc/passwd', expected the name of a file in"),
        ({"a": "/etc/passwd"}, "places a in '/etc/passwd'"),
        ({"a": ".."}, "lacks .."),
        ({"a": ["x"]}, "places a in"),
        ({"a": 5}, "places a in '5'"),
        ({"a": ""}, "places a in ''"),
        ({"a": "x\0y"}, "places a in"),
        ({"a": "model-00001.safetensors"}, "lacks model-00001.safetensors, named by model.safetensors.index.json"),
        ({}, "it has no weight_map"),
        (None, "it has no weight_map"),
        ([1], "it has no weight_map"),
    ],
)
def test_shards_that_are_not_there(tmp_path: Path, weight_map: Any, said: str) -> None:
    (tmp_path / f"{WEIGHTS}.index.json").write_text(json.dumps({"weight_map": weight_map}))
    with pytest.raises(CheckpointError) as refused:
        weight_files(tmp_path)
    assert said in str(refused.value)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda tensors: tensors.pop("decoder.layers.1.mlp_norm.weight"), "have more tensors than others"),
        (lambda tensors: tensors.update({"x.y": torch.zeros(1)}), "unexpected x.y"),
        (lambda tensors: tensors["decoder.norm_out.weight"].fill_(torch.nan), "decoder.norm_out.weight holds NaN"),
        (lambda tensors: tensors["null_condition_emb"].fill_(torch.inf), "null_condition_emb holds NaN or infinite"),
        (
            lambda tensors: tensors.update({"decoder.norm_out.weight": torch.zeros(64, dtype=torch.int64)}),
            "decoder.norm_out.weight holds torch.int64",
        ),
    ],
)
def test_tensors_that_do_not_belong(root: Path, change: Callable[[dict[str, torch.Tensor]], object], said: str) -> None:
    change_tensors(root / MODEL, change)
    with pytest.raises(CheckpointError) as refused:
        load(root)
    assert said in str(refused.value)
    assert str(root / MODEL) in str(refused.value)


class Bomb:
    """Runs a command where it is unpickled."""

    def __reduce__(self) -> Any:
        return os.system, ("touch /tmp/acestep-pickle-bomb",)


def bomb() -> bytes:
    stream = io.BytesIO()
    torch.save(Bomb(), stream)
    return stream.getvalue()


def compressed() -> bytes:
    """What torch writes, compressed: some kilobytes that become megabytes."""
    stream, packed = io.BytesIO(), io.BytesIO()
    torch.save(torch.zeros(1, 64, 10_000), stream)
    with zipfile.ZipFile(stream) as source, zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as target:
        for entry in source.infolist():
            target.writestr(entry.filename, source.read(entry))
    return packed.getvalue()


def saved(value: Any) -> bytes:
    stream = io.BytesIO()
    torch.save(value, stream)
    return stream.getvalue()


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (bomb(), "is damaged"),
        (pickle.dumps(Bomb()), "is damaged"),
        (compressed(), "is compressed"),
        (saved({"a": 1}), "holds dict"),
        (saved(torch.zeros(1, 64, 0)), "holds [1, 64, 0]"),
        (saved(torch.zeros(64)), "holds [64]"),
        (saved(torch.zeros(1).expand(1, 64, 10**12)), "claims 1,000,000,000,000 frames"),
        (saved(torch.full((1, 64, 9), torch.nan)), "other than finite floating-point"),
        (saved(torch.zeros(1, 64, 9, dtype=torch.int32)), "other than finite floating-point"),
        (saved(torch.zeros(1, 64, 1000))[:-5000], "is damaged"),
    ],
)
def test_silence_that_is_none(root: Path, content: bytes, said: str) -> None:
    replace(root / MODEL / "silence_latent.pt", content)
    with pytest.raises(CheckpointError) as refused:
        load(root)
    assert str(refused.value).startswith(f"{root / MODEL}/silence_latent.pt ")
    assert said in str(refused.value)
    assert not Path("/tmp/acestep-pickle-bomb").exists()


def panicking(content: dict[str, Any]) -> None:
    """A merge whose tokens are shorter than the library's code supposes."""
    content["model"] |= {"vocab": {"a": 0, "b": 1}, "merges": [["a", "b"]], "continuing_subword_prefix": "###"}


def changed(**changes: Any) -> Callable[[dict[str, Any]], None]:
    return lambda content: content.update(changes)


TOKENIZERS: list[Callable[[dict[str, Any]], object]] = [
    panicking,
    changed(model=None),
    changed(model={"type": "BPE", "vocab": [], "merges": []}),
    changed(added_tokens=[{"content": ["x"], "id": 1}]),
    lambda content: content["model"]["vocab"].update(x=10**12),
    lambda content: content["model"]["vocab"].update(x=-1),
    lambda content: content["model"]["vocab"].update(x=2.5),
]


@pytest.mark.parametrize("change", TOKENIZERS)
def test_a_broken_tokenizer(root: Path, change: Callable[[dict[str, Any]], object]) -> None:
    for part in (TEXT, PLANNER):
        path = root / part / "tokenizer.json"
        content = json.loads(path.read_text())
        change(content)
        replace(path, json.dumps(content).encode())
    with pytest.raises(CheckpointError, match=rf"{PLANNER}/tokenizer\.json"):
        Vocabulary(root / PLANNER)
    with pytest.raises(CheckpointError, match=rf"{TEXT}/tokenizer\.json"):
        load_text_encoder(root / TEXT, device="cpu", dtype=torch.float32)


def test_an_audio_code_with_too_many_digits(root: Path) -> None:
    path = root / PLANNER / "tokenizer.json"
    content = json.loads(path.read_text())
    content["model"]["vocab"][f"<|audio_code_{'9' * 5000}|>"] = 7
    replace(path, json.dumps(content).encode())
    with pytest.raises(CheckpointError, match=r"tokenizer\.json is damaged: Exceeds the limit \(4300 digits\)"):
        Vocabulary(root / PLANNER)


def test_a_tokenizer_of_another_checkpoint(root: Path) -> None:
    path = root / TEXT / "tokenizer.json"
    content = json.loads(path.read_text())
    content["model"]["vocab"]["no such word"] = 5000
    replace(path, json.dumps(content).encode())
    with pytest.raises(CheckpointError, match="ids up to 5000, but the text encoder knows 726 tokens"):
        load_text_encoder(root / TEXT, device="cpu", dtype=torch.float32)


def test_a_panic_is_damage_and_an_interrupt_is_not(tmp_path: Path) -> None:
    class Panic(BaseException):
        """As what libraries in Rust raise."""

    with (
        pytest.raises(CheckpointError, match=r"x is damaged: boom\. Download it again\."),
        as_checkpoint_error(tmp_path / "x"),
    ):
        raise Panic("boom")
    with pytest.raises(KeyboardInterrupt), as_checkpoint_error(tmp_path / "x"):
        raise KeyboardInterrupt
