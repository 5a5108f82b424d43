"""Quantization of the diffusion transformer's linear layers through torchao, and a report of what it did."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any, Final

import torch
from torch import nn

from acestep.runtime.offload import stored_bytes

METHODS: Final = ("int8_weight_only", "fp8_weight_only", "w8a8_dynamic")
"""Names of the quantization methods."""


@dataclass(frozen=True)
class QuantizationReport:
    """What quantization did: method, number of linear layers, and bytes of their weights before and after."""

    method: str
    layers: int
    before_bytes: int
    after_bytes: int

    @property
    def saved_bytes(self) -> int:
        """Bytes that quantization saved."""
        return self.before_bytes - self.after_bytes


def quantize(model: nn.Module, method: str, device: str) -> QuantizationReport:
    """Quantize the weight of every linear layer of *model*, in place.

    Args:
        model: a model whose weights are not quantized.
        method: one of `METHODS`.
        device: the device that the model will run on.

    Raises:
        ValueError: the method is unknown, torchao is missing, or *device* cannot run the method.
    """
    if method not in METHODS:
        raise ValueError(f"quantization is {method!r}, expected one of {', '.join(METHODS)}, or None.")
    if device.startswith("mps"):
        raise ValueError(f"quantization={method!r} does not run on mps; leave it out, or choose another device.")
    convert, config = _torchao(method)
    layers = linear_layers(model)
    _check(convert, config, method, layers[0].weight.dtype, device)
    before = sum(layer.weight.nbytes for layer in layers)
    convert(model, config)
    skipped = [layer for layer in layers if not is_quantized(layer)]
    if skipped:
        raise ValueError(f"quantization={method!r} left {len(skipped)} of {len(layers)} linear layers as they were.")
    return QuantizationReport(method, len(layers), before, sum(stored_bytes(layer.weight) for layer in layers))


def linear_layers(model: nn.Module) -> list[nn.Linear]:
    """All linear layers of *model*."""
    return [module for module in model.modules() if isinstance(module, nn.Linear)]


def is_quantized(layer: nn.Linear) -> bool:
    """Whether the weight of *layer* is a quantized tensor of torchao."""
    return hasattr(layer.weight, "__tensor_flatten__")


def _torchao(method: str) -> tuple[Any, Any]:
    """torchao's quantization function, and its configuration for *method*."""
    try:
        from torchao import quantization
    except ImportError as error:
        raise ValueError(
            f"quantization={method!r} needs torchao ({error}): pip install 'acestep[quantization]', or leave it out."
        ) from None
    from torchao.quantization.quant_primitives import MappingType

    options: dict[str, Any] = {"set_inductor_config": False}
    if method == "int8_weight_only":
        return quantization.quantize_, quantization.Int8WeightOnlyConfig(**options)
    if method == "fp8_weight_only":
        return quantization.quantize_, quantization.Float8WeightOnlyConfig(**options)
    options["act_mapping_type"] = MappingType.ASYMMETRIC
    return quantization.quantize_, quantization.Int8DynamicActivationInt8WeightConfig(**options)


def _check(convert: Any, config: Any, method: str, dtype: torch.dtype, device: str) -> None:
    """Quantize and run one small layer on *device*, to find out whether the device can run *method*.

    Raises:
        ValueError: it cannot.
    """
    layer = nn.Linear(64, 64, bias=False, device=device, dtype=dtype).requires_grad_(False)
    try:
        with warnings.catch_warnings(), torch.no_grad():
            warnings.simplefilter("ignore")
            convert(layer, config)
            layer(torch.ones(32, 64, device=device, dtype=dtype))
    except Exception as error:
        reason = str(error).strip().splitlines()[0]
        raise ValueError(
            f"quantization={method!r} does not run on {device} in {dtype}: {reason} "
            "Choose another method, or leave it out."
        ) from error
