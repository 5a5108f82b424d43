from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from acestep.planner import PlannerError
from acestep.planner.sampling import Sampling, TokenSampler, _nucleus, _winner_in_nucleus, apply_cfg, make_generators

LOGITS = torch.tensor([[2.0, 1.0, 0.0, -1.0, -math.inf]])


def frequencies(sampling: Sampling, logits: Tensor = LOGITS, draws: int = 4000) -> Tensor:
    """How often each token is drawn."""
    sampler = TokenSampler(sampling, make_generators(range(draws), 2, "cpu"), logits.shape[1], "cpu")
    return torch.bincount(sampler.sample(logits.expand(draws, -1)), minlength=logits.shape[1]) / draws


def test_guidance_moves_away_from_the_unconditional_in_float32() -> None:
    conditional, unconditional = torch.randn(2, 3, 7).bfloat16()
    mixed = apply_cfg(conditional, unconditional, 2.5)
    expected = unconditional.float() + 2.5 * (conditional.float() - unconditional.float())
    torch.testing.assert_close(mixed, expected)
    assert mixed.dtype == torch.float32
    torch.testing.assert_close(apply_cfg(conditional, unconditional, 1.0), conditional.float())


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.0])
def test_tokens_are_drawn_by_their_probability(temperature: float) -> None:
    expected = (LOGITS[0] / temperature).softmax(0)
    torch.testing.assert_close(frequencies(Sampling(temperature)), expected, atol=0.025, rtol=0)


def test_zero_temperature_takes_the_likeliest() -> None:
    assert frequencies(Sampling(0.0, top_k=3, top_p=0.5), draws=5).tolist() == [1, 0, 0, 0, 0]


def test_top_k_keeps_the_k_likeliest() -> None:
    expected = torch.tensor([2.0, 1.0, -math.inf, -math.inf, -math.inf]).softmax(0)
    torch.testing.assert_close(frequencies(Sampling(1.0, top_k=2)), expected, atol=0.025, rtol=0)


def test_top_p_keeps_the_smallest_set_that_reaches_it_after_the_temperature() -> None:
    at_1, at_3 = LOGITS[0].softmax(0), (LOGITS[0] / 3).softmax(0)
    assert at_1[0] + at_1[1] > 0.85 > at_3[0] + at_3[1]
    assert (frequencies(Sampling(1.0, top_p=0.85)) > 0).tolist() == [True, True, False, False, False]
    assert (frequencies(Sampling(3.0, top_p=0.85)) > 0).tolist() == [True, True, True, False, False]
    assert (frequencies(Sampling(1.0, top_p=1e-9)) > 0).tolist() == [True, False, False, False, False]


@pytest.mark.parametrize("total", [1e-9, 0.3, 0.9, 0.999999])
@pytest.mark.parametrize("spread", [0.0, 0.1, 1.0, 6.0])
def test_the_race_among_the_nucleus_has_the_same_winner_without_sorting(total: float, spread: float) -> None:
    random = torch.Generator().manual_seed(3)
    logits = (spread * torch.randn(200, 500, generator=random)).round(decimals=1)  # with ties
    probabilities, arrivals = logits.softmax(-1), torch.empty(200, 500).exponential_(generator=random)
    expected = (_nucleus(probabilities, total) / arrivals).argmax(-1)
    assert torch.equal(_winner_in_nucleus(probabilities, arrivals, total), expected)


def test_top_p_counts_among_what_top_k_left() -> None:
    kept = frequencies(Sampling(1.0, top_k=2, top_p=0.7))
    assert (kept > 0).tolist() == [True, False, False, False, False]


def test_a_masked_token_is_never_drawn() -> None:
    logits = torch.full((1, 1000), -math.inf)
    logits[0, 3], logits[0, 700] = 0.0, -30.0
    for sampling in (Sampling(1.0), Sampling(1.0, top_p=0.99), Sampling(1.0, top_k=5)):
        drawn = frequencies(sampling, logits, draws=200)
        assert drawn[3] + drawn[700] == 1


def test_rounding_of_the_logits_does_not_change_the_draw() -> None:
    logits = torch.zeros(1, 1000)  # a thousand ties, which rounding orders anew
    noise = 1e-6 * torch.randn(1, 1000, generator=torch.Generator().manual_seed(0))
    for sampling in (Sampling(1.0), Sampling(1.0, top_k=1000), Sampling(1.0, top_p=0.999)):
        exact, rounded = (TokenSampler(sampling, make_generators([1], 2, "cpu"), 1000, "cpu") for _ in range(2))
        same = [exact.sample(logits).item() == rounded.sample(logits + noise).item() for _ in range(50)]
        assert sum(same) >= 49


def test_a_repeated_token_is_penalised_by_sign() -> None:
    logits = torch.tensor([[1.0, 0.9, -1.0, -1.1]])
    sampler = TokenSampler(Sampling(0.0, repetition_penalty=1.5), make_generators([0], 2, "cpu"), 4, "cpu")
    assert [sampler.sample(logits).item() for _ in range(2)] == [0, 1]
    sampler.update_seen(torch.tensor([[2]]))
    assert sampler.sample(torch.tensor([[-9.0, -9.0, -1.0, -1.1]])).item() == 3


def test_a_stream_depends_on_its_seed_and_phase_alone() -> None:
    def numbers(seeds: list[int], phase: int) -> list[list[float]]:
        return [torch.rand(4, generator=stream).tolist() for stream in make_generators(seeds, phase, "cpu")]

    together = numbers([5, 6], 2)
    assert together[1:] == numbers([6], 2)
    assert together[0] != together[1]
    assert numbers([6], 1) != numbers([6], 2)


@pytest.mark.parametrize(
    "wrong", [{"temperature": math.nan}, {"top_k": 0}, {"top_p": 0.0}, {"top_p": 1.5}, {"repetition_penalty": 0.0}]
)
def test_impossible_settings_are_named(wrong: dict[str, float]) -> None:
    name, value = next(iter(wrong.items()))
    with pytest.raises(PlannerError, match=f"{name} {value}"):
        Sampling(**wrong)  # type: ignore[arg-type]
