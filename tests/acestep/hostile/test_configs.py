"""A configuration that cannot be true ends with one sentence, before anything is built: file, key, value."""

from __future__ import annotations

import contextlib
import json
import math
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from acestep.checkpoints.errors import CheckpointError
from acestep.checkpoints.files import read_config, read_json
from acestep.dit.model import load_model
from acestep.planner.engines.weights import read_architecture, read_weights
from acestep.text.encoder import load_text_encoder
from acestep.vae.model import load_vae
from tests.acestep.hostile.conftest import MODEL, PLANNER, TEXT, VAE, change_config

BILLION = 10**9
WATCHDOG_S = 300
NO_SIZES = (0, -1, 10**12, BILLION, 2.5, 64.0, "64", [64], {}, None, True, math.nan, math.inf, [[[[[]]]]])
SIZES = {
    MODEL: (
        "num_hidden_layers",
        "hidden_size",
        "intermediate_size",
        "num_attention_heads",
        "num_key_value_heads",
        "head_dim",
        "text_hidden_dim",
        "num_lyric_encoder_hidden_layers",
        "num_timbre_encoder_hidden_layers",
        "num_attention_pooler_hidden_layers",
        "fsq_dim",
        "in_channels",
        "audio_acoustic_hidden_dim",
        "timbre_hidden_dim",
        "patch_size",
        "pool_window_size",
    ),
    VAE: ("audio_channels", "encoder_hidden_size", "decoder_channels", "decoder_input_channels", "sampling_rate"),
    TEXT: ("num_hidden_layers", "hidden_size", "intermediate_size", "num_attention_heads", "head_dim", "vocab_size"),
    PLANNER: ("num_hidden_layers", "hidden_size", "intermediate_size", "num_key_value_heads", "head_dim", "vocab_size"),
}
OTHERS: list[tuple[str, str, Any]] = [
    (MODEL, "rope_theta", math.nan),
    (MODEL, "rope_theta", -1),
    (MODEL, "rope_theta", 10**400),
    (MODEL, "rms_norm_eps", 0),
    (MODEL, "rms_norm_eps", math.inf),
    (MODEL, "rms_norm_eps", "1e-6"),
    (MODEL, "sliding_window", 0),
    (MODEL, "sliding_window", 10**30),
    (MODEL, "attention_bias", "no"),
    (MODEL, "attention_dropout", 7),
    (MODEL, "layer_types", "sliding_attention"),
    (MODEL, "layer_types", [1, 2]),
    (MODEL, "fsq_input_levels", [BILLION] * 6),
    (MODEL, "fsq_input_levels", [8, 8, 8, 5, 5, 0]),
    (MODEL, "fsq_input_levels", []),
    (MODEL, "fsq_input_num_quantizers", BILLION),
    (MODEL, "is_turbo", "yes"),
    (MODEL, "auto_map", [1]),
    (MODEL, "model_type", ["acestep"]),
    (MODEL, "encoder_hidden_size", [BILLION]),
    (VAE, "downsampling_ratios", [0]),
    (VAE, "downsampling_ratios", [BILLION]),
    (VAE, "downsampling_ratios", [2, 4, 4, 6, 10.0]),
    (VAE, "downsampling_ratios", [1920]),
    (VAE, "downsampling_ratios", 1920),
    (VAE, "downsampling_ratios", [10, 6, 4, 4, 2]),
    (VAE, "channel_multiples", [1] * 4),
    (VAE, "channel_multiples", [1, 1, 1, 1, BILLION]),
    (VAE, "channel_multiples", [-1] * 5),
    (TEXT, "model_type", "bert"),
    (TEXT, "rope_scaling", {"rope_type": "yarn", "factor": BILLION}),
    (TEXT, "hidden_act", "gelu"),
    (PLANNER, "model_type", "llama"),
    (PLANNER, "model_type", {"qwen3": 1}),
    (PLANNER, "max_position_embeddings", -5),
    (PLANNER, "rope_parameters", {"rope_theta": math.nan}),
    (PLANNER, "rope_parameters", "default"),
    (PLANNER, "use_sliding_window", True),
    (PLANNER, "tie_word_embeddings", "yes"),
    (PLANNER, "layer_types", ["sliding_attention"] * 2),
]


def load(root: Path, part: str) -> None:
    folder = root / part
    if part == MODEL:
        load_model(folder, device="cpu", dtype=torch.float32)
    elif part == VAE:
        load_vae(folder, device="cpu", dtype=torch.float32)
    elif part == TEXT:
        load_text_encoder(folder, device="cpu", dtype=torch.float32)
    else:
        read_weights(folder, read_architecture(folder))


@pytest.mark.parametrize(("part", "key"), [(part, key) for part, keys in SIZES.items() for key in keys])
def test_a_size_that_the_weights_do_not_have(root: Path, part: str, key: str) -> None:
    config = read_config(root / part)
    for value in (*NO_SIZES, config.get(key, 1) + 1):
        (root / part / "config.json").write_text(json.dumps(config | {key: value}))
        with pytest.raises(CheckpointError) as refused:
            load(root, part)
        said = str(refused.value)
        assert said.startswith(f"{root / part}/config.json: "), said
        assert key in said, said
        assert len(said) < 600, said


@pytest.mark.parametrize(("part", "key", "value"), OTHERS, ids=[f"{key}={value!r:.30}" for _, key, value in OTHERS])
def test_a_value_that_makes_no_sense(root: Path, part: str, key: str, value: Any) -> None:
    change_config(root / part, **{key: value})
    with pytest.raises(CheckpointError) as refused:
        load(root, part)
    said = str(refused.value)
    assert f"{root / part}/config.json: " in said
    assert key in said or "rope_t" in said
    assert said.endswith((". Restore the file from its source.", "weights of one checkpoint.", "qwen3'."))


def test_heads_that_cannot_share_their_keys(root: Path) -> None:
    change_config(root / MODEL, num_attention_heads=8, num_key_value_heads=3)
    with pytest.raises(
        CheckpointError, match="num_attention_heads is 8, expected a multiple of num_key_value_heads = 3"
    ):
        load(root, MODEL)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "Expecting value"),
        (b"{", "Expecting property name"),
        (b"[1]", "holds a list, not a JSON object"),
        (b"null", "holds a NoneType"),
        (b"\xef\xbb\xbf{}", "BOM"),
        (b"\xff\xfe{\x00}\x00", "utf-8"),
        (b'{"a": "\xff"}', "utf-8"),
        (b'{"hidden_size": 64, "hidden_size": 65}', "the key 'hidden_size' is there twice"),
        (b'{"a": ' + b"[" * 100_000 + b"]" * 100_000 + b"}", "nested too deeply"),
        (b'{"a": ' + b'{"a": ' * 100_000, "nested too deeply"),
        (b'{"a": ' + b"1" * 5_000 + b"}", "4300 digits"),
        (b" " * (16 * 2**20 + 1), "16,777,217 bytes, expected at most 16,777,216"),
        (b'{"model_type": "acestep"}', "config.json: hidden_size = 2048 asks"),
    ],
)
def test_a_file_that_is_no_configuration(root: Path, content: bytes, said: str) -> None:
    (root / MODEL / "config.json").write_bytes(content)
    with pytest.raises(CheckpointError) as refused:
        load(root, MODEL)
    assert str(root / MODEL / "config.json") in str(refused.value)
    if b"model_type" not in content:
        assert said in str(refused.value)


@pytest.mark.parametrize("make", ["mkdir", "fifo"])
def test_what_is_no_file_is_not_read(tmp_path: Path, make: str) -> None:
    path = tmp_path / "config.json"
    path.mkdir() if make == "mkdir" else os.mkfifo(path)
    with pytest.raises(CheckpointError, match=r"config\.json is missing"):
        read_json(path)


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**13), 10**13) | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=6) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


@pytest.mark.parametrize("part", [MODEL, VAE, TEXT, PLANNER])
def test_any_value_loads_or_is_refused(tiny_root: Path, tmp_path: Path, part: str) -> None:
    copy = tmp_path / part
    copy.mkdir()
    for file in (tiny_root / part).iterdir():
        (copy / file.name).symlink_to(file)
    config = read_config(copy)
    (copy / "config.json").unlink()

    @settings(max_examples=15, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck))
    @given(key=st.sampled_from(sorted(config)), value=VALUES)
    def check(key: str, value: Any) -> None:
        (copy / "config.json").write_text(json.dumps(config | {key: value}))
        with contextlib.suppress(CheckpointError):
            load(tmp_path, part)

    check()


UNREAD = {"num_labels": BILLION, "id2label": None, "pruned_heads": {"0": [1]}, "max_length": "x"}
"""What transformers would act on, and no model of ours needs."""


def test_the_public_functions_return(root: Path) -> None:
    """In a process with little memory, which is ended if it hangs."""
    engines = ["pt", *(name for name in ("mlx", "vllm") if find_spec(name))]
    cases = [
        ("synthesizer", MODEL, {"num_hidden_layers": BILLION}),
        ("synthesizer", MODEL, {"hidden_size": 10**12, "num_lyric_encoder_hidden_layers": BILLION}),
        ("synthesizer", VAE, {"downsampling_ratios": [BILLION] * 5}),
        ("synthesizer", TEXT, {"num_hidden_layers": BILLION}),
        *((name, PLANNER, {"num_hidden_layers": BILLION}) for name in engines),
        *((name, PLANNER, {"vocab_size": BILLION}) for name in engines),
        ("synthesizer", TEXT, UNREAD),
        ("pt", PLANNER, UNREAD),
    ]
    command = [sys.executable, "-m", "tests.acestep.hostile.load", str(root), json.dumps(cases)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=WATCHDOG_S, check=False)
    assert done.returncode == 0, done.stderr
    outcomes = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("[")]
    for (_, part, changes), (said, loaded, ready) in zip(cases, outcomes, strict=True):
        assert loaded == ready == (changes is UNREAD), said
        if changes is not UNREAD:
            assert f"{root / part}/config.json: " in said
            assert any(key in said for key in changes)
