"""Every engine that is installed here, one at a time."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from acestep.planner.engines import BACKENDS, Engine, open_engine, select_backend
from acestep.planner.engines.pt import PtEngine
from acestep.planner.grammar import Grammar
from acestep.planner.vocabulary import Vocabulary

Open = Callable[[Path], Engine]


def opened(name: str, folder: Path) -> Engine:
    """The engine called *name* with the checkpoint in *folder*; the test is skipped if it is not installed."""
    try:
        select_backend(name, "cpu")
    except ValueError as missing:
        pytest.skip(str(missing))
    return open_engine(name, folder, Vocabulary(folder), device="cpu", dtype=torch.float32)


@pytest.fixture(scope="session")
def shards(planners: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A planner whose keys have no prefix, in two files, as released ones may be."""
    folder = shutil.copytree(planners / "acestep-5Hz-lm-1.7B", tmp_path_factory.mktemp("sharded") / "planner")
    tensors = load_file(folder / "model.safetensors")
    (folder / "model.safetensors").unlink()
    assert not any(key.startswith("model.") for key in tensors)
    names = sorted(tensors)
    parts = {"a.safetensors": names[::2], "b.safetensors": names[1::2]}
    for part, keys in parts.items():
        save_file({key: tensors[key] for key in keys}, folder / part)
    placed = {key: part for part, keys in parts.items() for key in keys}
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": placed}))
    return folder


@pytest.fixture(scope="session")
def vocabulary(shards: Path) -> Vocabulary:
    return Vocabulary(shards)


@pytest.fixture(scope="session")
def grammar(vocabulary: Vocabulary) -> Grammar:
    return Grammar(vocabulary)


@pytest.fixture(scope="session")
def pt(shards: Path) -> PtEngine:
    """The engine that the others are compared with."""
    return PtEngine(shards, Vocabulary(shards), device="cpu", dtype=torch.float32)


@pytest.fixture(scope="module", params=BACKENDS)
def engine(request: pytest.FixtureRequest, shards: Path) -> Iterator[Engine]:
    found = opened(request.param, shards)
    yield found
    found.close()


@pytest.fixture(scope="module", params=BACKENDS)
def golden(request: pytest.FixtureRequest, golden_folder: Path) -> Iterator[Engine]:
    """The reference's tiny planner, whose head is not tied."""
    found = opened(request.param, golden_folder)
    yield found
    found.close()


@pytest.fixture(scope="session")
def golden_folder() -> Path:
    return Path(__file__).parents[3] / "data" / "golden" / "lm" / "model"
