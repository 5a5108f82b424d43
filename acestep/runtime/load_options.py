"""How a synthesizer runs: device, number format, attention, compiling, quantization, and where its models rest."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from acestep.runtime.devices import default_attention, default_dtype, resolve_device
from acestep.validation import one_of

if TYPE_CHECKING:
    import torch

ATTENTION_BACKENDS: Final = ("sdpa", "flash", "eager")
DTYPES: Final = ("float32", "bfloat16", "float16")


@dataclass(frozen=True)
class LoadOptions:
    """Checked options; what is asked for here happens, or loading fails.

    Attributes:
        device: ``cuda``, ``cuda:N``, ``mps`` or ``cpu``.
        dtype: the number format of all models.
        attention: ``sdpa`` leaves the kernel to torch, ``flash`` and ``eager`` allow one kind alone.
        compile: compile the transformer's layers and the autoencoder's activation.
        quantization: a method of `acestep.runtime.quantization`, for the transformer's linear layers, or None.
        offload: text encoder and autoencoder rest on the host.
        offload_dit: so does the diffusion model.
    """

    device: str
    dtype: torch.dtype
    attention: str = "sdpa"
    compile: bool = False
    quantization: str | None = None
    offload: bool = False
    offload_dit: bool = False

    @classmethod
    def resolve(
        cls,
        device: str,
        dtype: str | None = None,
        attention: str | None = None,
        *,
        use_flash_attention: bool = False,
        compile_model: bool = False,
        quantization: str | None = None,
        offload: bool = False,
        offload_dit: bool = False,
    ) -> LoadOptions:
        """Check what a caller asks for; ``auto`` and None are what suits the machine.

        Raises:
            ValueError: a name is unknown, or the device is not there or cannot do it.
        """
        import torch

        where = resolve_device(device)
        if dtype is not None:
            one_of("dtype", dtype, DTYPES)
        if use_flash_attention and attention not in (None, "flash"):
            raise ValueError(f"use_flash_attention is on, but attention_backend is {attention!r}; give one of them.")
        attention = "flash" if use_flash_attention else attention or default_attention(where)
        one_of("attention_backend", attention, ATTENTION_BACKENDS)
        chosen = default_dtype(where) if dtype is None else getattr(torch, dtype)
        if attention == "flash" and where.startswith("mps"):
            raise ValueError("attention_backend='flash' does not run on mps; choose 'sdpa'.")
        if attention == "flash" and where.startswith("cuda") and chosen == torch.float32:
            raise ValueError(
                "attention_backend='flash' does not run on cuda in float32; choose 'sdpa' or another dtype."
            )
        return cls(where, chosen, attention, compile_model, quantization or None, offload, offload_dit)

    @property
    def offloaded(self) -> tuple[str, ...]:
        """The parts that rest on the host."""
        parts = ("text_encoder", "vae_encoder", "vae_decoder") if self.offload else ()
        return (*parts, "condition", "decoder") if self.offload_dit else parts

    def load_device(self, part: str) -> str:
        """The device that *part* is loaded to."""
        return "cpu" if part in self.offloaded else self.device
