"""The tiny models with deterministic weights, one of each variant, loaded as any checkpoint is."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import nn

from acestep.checkpoints.variants import variant_named
from acestep.dit.model import load_model
from acestep.loaded_models import LoadedModels
from acestep.runtime.load_options import LoadOptions
from acestep.synthesizer import Synthesizer
from tests.acestep.variants.deterministic import write_model

Open = Callable[[str], Synthesizer]


@pytest.fixture(scope="session")
def open_variant(tmp_path_factory: pytest.TempPathFactory) -> Open:
    """Gives a synthesizer with the model of the variant of that name, without text encoder and VAE."""
    root = tmp_path_factory.mktemp("variants")

    @cache
    def load(name: str) -> Synthesizer:
        variant = variant_named(name)
        write_model(root / variant.folder, variant)
        model = load_model(root / variant.folder, device="cpu", dtype=torch.float32)
        vae: Any = SimpleNamespace(encoder=nn.Identity(), decoder=nn.Identity())
        nothing: Any = None
        return Synthesizer(LoadedModels(model, vae, nothing, nothing, LoadOptions("cpu", torch.float32)))

    return load
