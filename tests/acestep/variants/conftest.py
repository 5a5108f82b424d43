"""The tiny models with deterministic weights, one of each variant, loaded as any checkpoint is."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import pytest
import torch

from acestep.checkpoints.variants import variant_named
from acestep.dit.model import load_model
from acestep.synthesizer import Synthesizer
from tests.acestep.variants.deterministic import write_model

Open = Callable[[str], Synthesizer]


@pytest.fixture(scope="session")
def open_variant(tmp_path_factory: pytest.TempPathFactory) -> Open:
    """Gives a synthesizer with the model of the variant of that name, and nothing else."""
    root = tmp_path_factory.mktemp("variants")

    @cache
    def load(name: str) -> Synthesizer:
        variant = variant_named(name)
        write_model(root / variant.folder, variant)
        synthesizer = Synthesizer()
        synthesizer.model = load_model(root / variant.folder, device="cpu", dtype=torch.float32)
        synthesizer.config, synthesizer.variant = synthesizer.model.config, synthesizer.model.variant
        synthesizer.silence_latent = synthesizer.model.silence_latent
        return synthesizer

    return load
