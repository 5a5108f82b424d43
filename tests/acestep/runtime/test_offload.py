"""Offloaded weights are copied to the device while they are used, and the copies are dropped afterwards."""

from __future__ import annotations

import gc

import pytest
import torch
from torch import nn

from acestep.memory.limit import MemoryLimit
from acestep.runtime.offload import OffloadManager, copy_module, stored_bytes
from acestep.runtime.quantization import quantize

DEVICE = "meta"
"""A device other than the host that every machine has; its tensors can be counted, though not computed with."""


def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(64, 64), nn.BatchNorm1d(64)).eval().requires_grad_(False)


def bytes_of(module: nn.Module) -> int:
    return sum(tensor.nbytes for tensor in [*module.parameters(), *module.buffers()])


def bytes_on_device() -> int:
    gc.collect()
    found = [each for each in gc.get_objects() if type(each) in (torch.Tensor, nn.Parameter)]
    return sum(each.nbytes for each in found if each.device.type == DEVICE)


def test_a_part_is_on_the_device_only_while_it_is_used() -> None:
    first, second, resident = network(), network(), network()
    parts = {"first": [first], "second": [second], "resident": [resident]}
    manager = OffloadManager(parts, DEVICE, ("first", "second"))
    weights = dict(first.named_parameters())
    with manager.on_device("first", "resident"):
        assert {tensor.device.type for tensor in first.parameters()} == {DEVICE}
        assert {tensor.device.type for tensor in [*second.parameters(), *resident.parameters()]} == {"cpu"}
        assert bytes_on_device() == bytes_of(first)
    assert bytes_on_device() == 0
    assert all(tensor is weights[name] for name, tensor in first.named_parameters())
    assert manager.transfers.times == 1
    assert manager.transfers.moved_bytes == bytes_of(first)
    assert manager.transfers.seconds > 0


def test_a_held_part_is_moved_once_and_only_if_it_is_used() -> None:
    parts = {name: [network()] for name in "ab"}
    manager = OffloadManager(parts, DEVICE, "ab")
    with manager.hold("a", "b"):
        assert bytes_on_device() == 0
        for _ in range(3):
            with manager.on_device("a"), manager.on_device("a"):
                assert bytes_on_device() == bytes_of(parts["a"][0])
        assert bytes_on_device() == bytes_of(parts["a"][0])
    assert bytes_on_device() == 0
    assert manager.transfers.times == 1


def test_a_failure_leaves_nothing_on_the_device() -> None:
    module = network()
    manager = OffloadManager({"a": [module]}, DEVICE, "a")
    with pytest.raises(ZeroDivisionError), manager.on_device("a"):
        raise ZeroDivisionError
    assert bytes_on_device() == 0
    assert next(module.parameters()).device.type == "cpu"


def test_running_out_of_memory_during_a_move_leaves_nothing_on_the_device() -> None:
    module = network()
    manager = OffloadManager({"a": [module]}, "cpu", "a")
    weights = [id(tensor) for tensor in module.parameters()]
    with MemoryLimit(bytes_of(module) - 1) as limit:
        with pytest.raises(torch.OutOfMemoryError), manager.on_device("a"):
            pass
        assert limit.free_bytes == bytes_of(module) - 1
    assert [id(tensor) for tensor in module.parameters()] == weights


def test_quantized_weights_move_as_they_are_stored() -> None:
    module = network()
    plain = bytes_of(module)
    quantize(module, "int8_weight_only", "cpu")
    manager = OffloadManager({"a": [module]}, "cpu", "a")
    x = torch.randn(3, 64)
    with torch.inference_mode():
        before = module(x)
        with manager.on_device("a"):
            assert torch.equal(module(x), before)
    assert manager.transfers.moved_bytes == manager.moved_bytes("a") < 0.6 * plain


def test_a_copied_module_shares_no_memory() -> None:
    module = network()
    twin = copy_module(module, "cpu", torch.float64)
    assert {tensor.dtype for tensor in twin.parameters()} == {torch.float64}
    assert {tensor.data_ptr() for tensor in twin.parameters()}.isdisjoint(t.data_ptr() for t in module.parameters())
    assert torch.allclose(twin(torch.ones(2, 64).double()).float(), module(torch.ones(2, 64)), atol=1e-6)


def test_stored_bytes_of_a_quantized_tensor() -> None:
    layer = nn.Linear(64, 32, bias=False).requires_grad_(False)
    assert stored_bytes(layer.weight) == 64 * 32 * 4
    quantize(nn.Sequential(layer), "int8_weight_only", "cpu")
    assert 64 * 32 < stored_bytes(layer.weight) < 64 * 32 * 1.3
