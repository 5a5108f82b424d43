from __future__ import annotations

import gc
import weakref
from pathlib import Path

import pytest
import torch

from acestep.planner.engines import open_engine
from acestep.planner.vocabulary import Vocabulary
from tests.acestep.planner.engines.conftest import opened
from tests.acestep.planner.requests import text_request


def test_closing_frees_the_weights(folder: Path) -> None:
    engine = opened("mlx", folder)
    weights = weakref.ref(engine.model)
    engine.close()
    gc.collect()
    assert weights() is None


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_keeps_the_checkpoints_numbers(folder: Path, vocabulary: Vocabulary, dtype: torch.dtype) -> None:
    exact = opened("mlx", folder)
    engine = open_engine("mlx", folder, vocabulary, device="cpu", dtype=dtype)
    import mlx.core as mx

    rounded, whole = (each.model.model.embed_tokens.weight for each in (engine, exact))
    assert str(rounded.dtype).rpartition(".")[2] == str(dtype).rpartition(".")[2]
    assert mx.allclose(rounded.astype(mx.float32), whole, rtol=2**-8, atol=1e-6).item()
    run = engine.write_text(text_request(vocabulary, vocabulary.encode(("<|im_start|>user\n",)), limit=3))
    assert len(run.tokens) <= 3
