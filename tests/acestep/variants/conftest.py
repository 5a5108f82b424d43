"""The tiny models with deterministic weights, one of each family, loaded as any checkpoint is."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import pytest
import torch

from acestep.checkpoints.variants import family_named
from acestep.dit.model import load_model
from acestep.synthesizer import Synthesizer
from tests.acestep.variants.deterministic import write_model

Open = Callable[[str], Synthesizer]


@pytest.fixture(scope="session")
def open_family(tmp_path_factory: pytest.TempPathFactory) -> Open:
    """Gives a synthesizer with the model of the family of that name, and nothing else."""
    root = tmp_path_factory.mktemp("families")

    @cache
    def load(name: str) -> Synthesizer:
        family = family_named(name)
        write_model(root / family.folder, family)
        synthesizer = Synthesizer()
        synthesizer.model = load_model(root / family.folder, device="cpu", dtype=torch.float32)
        synthesizer.config, synthesizer.family = synthesizer.model.config, synthesizer.model.family
        synthesizer.silence_latent = synthesizer.model.silence_latent
        return synthesizer

    return load
