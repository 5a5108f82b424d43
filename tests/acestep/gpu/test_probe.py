"""A GPU's free memory, and a smaller one enforced on it: CUDA's answers stand in for a card that is not here."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch

from acestep.gpu import probe
from acestep.gpu.probe import cap_fraction, enforce_cap, get_effective_free_vram_gb
from acestep.gpu.simulation import simulated_vram
from acestep.memory.device import free_bytes
from acestep.memory.units import GIB


class Card:
    """A CUDA device of so many GiB, which remembers the fractions that were set."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, free: float, total: float, reserved: float, allocated: float):
        self.fractions: list[float] = []
        answers = {
            "is_available": lambda: True,
            "mem_get_info": lambda *_: (free * GIB, total * GIB),
            "memory_reserved": lambda *_: reserved * GIB,
            "memory_allocated": lambda *_: allocated * GIB,
            "get_device_properties": lambda _: SimpleNamespace(total_memory=total * GIB),
            "get_device_capability": lambda *_: (9, 0),
            "set_per_process_memory_fraction": self.fractions.append,
        }
        for name, answer in answers.items():
            monkeypatch.setattr(torch.cuda, name, answer)


@pytest.mark.parametrize(
    ("free", "total", "reserved", "allocated", "simulated", "expected"),
    [
        (0, 24, 24, 20, None, 4),
        (2, 24, 18, 16, None, 4),
        (0, 8, 8, 8, None, 0),
        (0, 80, 7, 5, "8", 2),
        (60, 80, 7, 5, "8", 2.5),
    ],
)
def test_free_memory_counts_what_torch_holds_and_a_simulated_size(
    monkeypatch: pytest.MonkeyPatch,
    free: float,
    total: float,
    reserved: float,
    allocated: float,
    simulated: str | None,
    expected: float,
) -> None:
    Card(monkeypatch, free, total, reserved, allocated)
    monkeypatch.delenv("MAX_CUDA_VRAM", raising=False)
    if simulated:
        monkeypatch.setenv("MAX_CUDA_VRAM", simulated)
    assert get_effective_free_vram_gb() == pytest.approx(expected)


def test_decoding_sees_a_simulated_size_as_well(monkeypatch: pytest.MonkeyPatch) -> None:
    Card(monkeypatch, 60, 80, 7, 5)
    monkeypatch.delenv("MAX_CUDA_VRAM", raising=False)
    assert free_bytes("cuda") == 62 * GIB
    monkeypatch.setenv("MAX_CUDA_VRAM", "8")
    assert free_bytes("cuda") == int(2.5 * GIB)


def test_without_cuda_nothing_is_known_to_be_free(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert get_effective_free_vram_gb() == 0
    monkeypatch.setenv("MAX_CUDA_VRAM", "8")
    assert enforce_cap() == "none"


@pytest.mark.parametrize(
    ("simulated", "total", "fraction"),
    [(8, 80, 7.5 / 80), (1, 80, 0.01), (0.2, 80, 0.01), (80, 80, 1.0), (96, 80, 1.0)],
)
def test_the_share_that_stands_for_a_smaller_card(simulated: float, total: float, fraction: float) -> None:
    assert cap_fraction(simulated, total) == pytest.approx(fraction)


def test_a_simulated_card_is_enforced_and_taken_back(monkeypatch: pytest.MonkeyPatch) -> None:
    card = Card(monkeypatch, 70, 80, 0, 0)
    monkeypatch.delenv("MAX_CUDA_VRAM", raising=False)
    with simulated_vram(16) as enforcement:
        assert enforcement == "cuda-cap"
        with simulated_vram(96):
            assert card.fractions[-1] == 1.0
        assert card.fractions[-1] == pytest.approx(15.5 / 80)
    assert card.fractions[-1] == 1.0
    assert probe.get_gpu_memory_gb() == 80


def test_a_planners_share_leaves_the_synthesizer_its_part(monkeypatch: pytest.MonkeyPatch) -> None:
    from acestep.gpu_config import get_lm_gpu_memory_ratio

    Card(monkeypatch, 70, 80, 2, 1)
    monkeypatch.delenv("MAX_CUDA_VRAM", raising=False)
    assert get_lm_gpu_memory_ratio("acestep-5Hz-lm-1.7B", 80)[0] == pytest.approx((10 + 4.7) / 80)
    monkeypatch.setenv("MAX_CUDA_VRAM", "8")
    assert get_lm_gpu_memory_ratio("acestep-5Hz-lm-1.7B", 80)[0] == pytest.approx((8 - 5.5 + 3.5) / 8)
