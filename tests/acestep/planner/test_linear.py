"""Products with the weight first are the same products."""

from __future__ import annotations

import pytest
import torch

from acestep.planner.engines import linear as linear_module
from acestep.planner.engines.linear import add_linear, linear, linear_float32


@pytest.mark.parametrize("count", [1, 4, 8, 32, 33])
@pytest.mark.parametrize("outputs", [16, 1024])
def test_any_number_of_rows_gives_the_same(count: int, outputs: int) -> None:
    random = torch.Generator().manual_seed(0)
    rows, weight = (torch.randn(n, 512, generator=random) for n in (count, outputs))
    base = torch.randn(count, outputs, generator=random)
    expected = (rows.double() @ weight.double().t()).float()
    torch.testing.assert_close(linear(rows, weight), expected, atol=1e-4, rtol=1e-5)
    torch.testing.assert_close(add_linear(base, rows, weight), base + expected, atol=1e-4, rtol=1e-5)
    assert linear(rows, weight).is_contiguous()
    assert add_linear(base, rows, weight).is_contiguous()


def test_the_weight_goes_first_where_that_is_faster() -> None:
    large, small = torch.empty(1024, 512), torch.empty(16, 512)
    chosen = [(n, linear_module._weight_first(torch.empty(n, 512), large)) for n in (1, 2, 4, 32, 300)]
    assert chosen == [(1, False), (2, False), (4, True), (32, True), (300, False)]
    assert not linear_module._weight_first(torch.empty(8, 512), small)
    assert not linear_module._weight_first(torch.empty(8, 512).bfloat16(), large.bfloat16())


def test_logits_are_float32() -> None:
    assert linear_float32(torch.ones(2, 8).bfloat16(), torch.ones(16, 8).bfloat16()).dtype == torch.float32
