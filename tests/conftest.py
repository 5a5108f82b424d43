"""Checkpoints and handlers that several tests share; every model runs on one thread."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from acestep.handler import AceStepHandler
from acestep.llm_inference import LLMHandler
from acestep.synthetic import cached
from scripts.tracker.git import drop_local_variables

drop_local_variables()  # tests that run in a git hook make commits, too

GOLDEN = Path(__file__).parent / "data" / "golden"


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def _whole_tracebacks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Undo what a benchmark that fails does to its process, of which asv prints no more than a sentence."""
    monkeypatch.setattr(sys, "tracebacklimit", 1000, raising=False)


@pytest.fixture(scope="session")
def tiny_root() -> Path:
    """The tiny synthetic checkpoints."""
    return cached("tiny")


@pytest.fixture(scope="session")
def golden_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The reference implementation's tiny checkpoints as a checkpoints folder."""
    root = tmp_path_factory.mktemp("golden")
    model = root / "acestep-v15-turbo"
    model.mkdir()
    for name in ("config.json", "model.safetensors"):
        shutil.copy(GOLDEN / "turbo" / name, model)
    silence = load_file(GOLDEN / "pipeline" / "silence_latent.safetensors")["silence_latent"]
    torch.save(silence, model / "silence_latent.pt")
    (root / "vae").mkdir()
    for name in ("config.json", "diffusion_pytorch_model.safetensors"):
        shutil.copy(GOLDEN / "vae" / name, root / "vae")
    shutil.copytree(GOLDEN / "pipeline" / "text_encoder", root / "Qwen3-Embedding-0.6B")
    return root


def load_handler(root: Path) -> AceStepHandler:
    """A synthesizer with the checkpoints of *root*, on the CPU."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ACESTEP_CHECKPOINTS_DIR", str(root))
        handler = AceStepHandler()
        status, ok = handler.initialize_service(None, "acestep-v15-turbo", device="cpu")
    assert ok, status
    return handler


@pytest.fixture(scope="session")
def golden_handler(golden_root: Path) -> AceStepHandler:
    """The synthesizer with the reference's weights."""
    return load_handler(golden_root)


@pytest.fixture(scope="session")
def handler(tiny_root: Path) -> AceStepHandler:
    """The synthesizer with the tiny synthetic weights."""
    return load_handler(tiny_root)


@pytest.fixture(scope="session")
def planner(tiny_root: Path) -> Iterator[LLMHandler]:
    """The planner with the tiny synthetic weights."""
    llm = LLMHandler()
    status, ok = llm.initialize(str(tiny_root), "acestep-5Hz-lm-0.6B", backend="pt", device="cpu")
    assert ok, status
    yield llm
    llm.unload()
