from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from acestep.planner.engines.head_padding import pad_heads, padded_head_dim
from acestep.planner.engines.pt import load_model
from acestep.planner.engines.weights import read_architecture, read_weights


@pytest.mark.parametrize(("narrow", "wide"), [(8, 32), (16, 32), (32, 32), (128, 128)])
def test_heads_that_vllm_runs_stay(narrow: int, wide: int) -> None:
    assert padded_head_dim(narrow) == wide


@torch.inference_mode()
def test_wider_heads_compute_the_same(folder: Path, tmp_path: Path) -> None:
    wide = shutil.copytree(folder, tmp_path / "wide")
    config = json.loads((folder / "config.json").read_text())
    assert config["head_dim"] == 16
    (wide / "config.json").write_text(json.dumps(config | {"head_dim": 32}))
    widened = pad_heads(read_weights(folder, read_architecture(folder)), 16)
    save_file({key: tensor.contiguous() for key, tensor in widened.items()}, wide / "model.safetensors")
    narrow_model, wide_model = (load_model(path, device="cpu", dtype=torch.float32) for path in (folder, wide))
    ids = torch.arange(40)[None] * 7 + 5
    torch.testing.assert_close(wide_model(ids).logits, narrow_model(ids).logits, atol=1e-5, rtol=1e-5)
