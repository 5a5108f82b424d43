"""Planner checkpoints that the tests of this folder share."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from acestep.llm_inference import LLMHandler
from acestep.planner.engines.pt import PtEngine
from acestep.planner.vocabulary import Vocabulary
from acestep.synthetic.planner import write_planner

GOLDEN = Path(__file__).parents[2] / "data" / "golden"


@pytest.fixture(scope="session")
def planners(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoints folder with a tiny planner of each size."""
    root = tmp_path_factory.mktemp("planners")
    for size in ("0.6B", "1.7B", "4B"):
        write_planner(root / f"acestep-5Hz-lm-{size}", size, "tiny")
    return root


@pytest.fixture(scope="session")
def folder(planners: Path) -> Path:
    return planners / "acestep-5Hz-lm-0.6B"


@pytest.fixture(scope="session")
def vocabulary(folder: Path) -> Vocabulary:
    return Vocabulary(folder)


@pytest.fixture(scope="session")
def engine(folder: Path, vocabulary: Vocabulary) -> PtEngine:
    return PtEngine(folder, vocabulary, device="cpu", dtype=torch.float32)


@pytest.fixture(scope="session")
def handler(planners: Path) -> LLMHandler:
    handler = LLMHandler()
    status, loaded = handler.initialize(planners, "acestep-5Hz-lm-0.6B", device="cpu")
    assert loaded, status
    return handler


@pytest.fixture(scope="session")
def golden_vocabulary() -> Vocabulary:
    return Vocabulary(GOLDEN / "lm" / "model")


@pytest.fixture(scope="session")
def golden_engine(golden_vocabulary: Vocabulary) -> PtEngine:
    return PtEngine(GOLDEN / "lm" / "model", golden_vocabulary, device="cpu", dtype=torch.float32)


@pytest.fixture(scope="session")
def greedy() -> dict[str, Any]:
    """What the reference wrote under greedy decoding, by case."""
    cases: dict[str, Any] = json.loads((GOLDEN / "lm" / "greedy.json").read_text())["cases"]
    return cases


@pytest.fixture(scope="session")
def rendered() -> list[dict[str, Any]]:
    """Inputs and the prompts that the reference makes of them."""
    cases: list[dict[str, Any]] = json.loads((GOLDEN / "prompts" / "prompts.json").read_text())["cases"]
    return cases
