"""Operators and their floating-point operations, against sums done by hand."""

import pytest
import torch
from torch.nn.functional import linear, scaled_dot_product_attention

from benchmarks.harness.operators import counter


def counted(call):
    counting = counter()
    with torch.inference_mode(), counting:
        call()
    return counting.operators, counting.flops


def test_a_product_is_one_operator_of_two_operations_each():
    a, b = torch.ones(3, 5), torch.ones(5, 7)

    assert counted(lambda: a @ b) == (1, 2 * 3 * 5 * 7)


def test_what_is_made_of_others_counts_as_these():
    a, weight, bias = torch.ones(3, 5), torch.ones(7, 5), torch.ones(7)
    operators, flops = counted(lambda: linear(a, weight, bias))

    assert flops == 2 * 3 * 5 * 7
    assert operators == 2  # the weight is transposed, then multiplied


def test_fused_attention_of_a_cpu_counts_as_its_two_products():
    query, key = torch.ones(2, 4, 6, 8), torch.ones(2, 4, 10, 8)

    assert counted(lambda: scaled_dot_product_attention(query, key, key))[1] == 2 * 2 * (2 * 4 * 6 * 10 * 8)


@pytest.mark.parametrize("times", [1, 3])
def test_nothing_is_counted_before_or_after(times):
    a = torch.ones(3)
    a + a
    assert counted(lambda: [a + a for _ in range(times)]) == (times, 0)
