"""The options that a synthesizer is loaded with: device, dtype, attention, compilation, quantization, offloading."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from acestep.runtime.devices import default_attention, default_dtype, resolve_device
from acestep.validation import one_of

if TYPE_CHECKING:
    import torch

ATTENTION_BACKENDS: Final = ("sdpa", "flash", "eager")
"""``sdpa`` lets torch choose the kernel; ``flash`` and ``eager`` allow only that kind of kernel."""
DTYPES: Final = ("float32", "bfloat16", "float16")


@dataclass(frozen=True)
class LoadOptions:
    """Checked options. Loading fails if one of them cannot take effect.

    Attributes:
        device: ``cuda``, ``cuda:N``, ``mps`` or ``cpu``.
        dtype: the dtype of all models.
        attention: one of `ATTENTION_BACKENDS`.
        compile: whether the transformer's layers and the VAE's activation are compiled.
        quantization: the method for the transformer's linear layers, see `acestep.runtime.quantization`, or None.
        offload: whether text encoder and VAE lie on the host between uses.
        offload_dit: whether the diffusion model lies on the host between uses.
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
        """Check the options of a caller, and fill in what suits the machine for ``auto`` and None.

        Raises:
            ValueError: a name is unknown, or the machine does not have the device, or the device cannot do it.
        """
        import torch

        resolved = resolve_device(device)
        if dtype is not None:
            one_of("dtype", dtype, DTYPES)
        if use_flash_attention and attention not in (None, "flash"):
            raise ValueError(f"use_flash_attention is on, but attention_backend is {attention!r}; give one of them.")
        attention = "flash" if use_flash_attention else attention or default_attention(resolved)
        one_of("attention_backend", attention, ATTENTION_BACKENDS)
        chosen = default_dtype(resolved) if dtype is None else getattr(torch, dtype)
        if attention == "flash" and resolved.startswith("mps"):
            raise ValueError("attention_backend='flash' does not run on mps; choose 'sdpa'.")
        if attention == "flash" and resolved.startswith("cuda") and chosen == torch.float32:
            raise ValueError(
                "attention_backend='flash' does not run on cuda in float32; choose 'sdpa' or another dtype."
            )
        return cls(resolved, chosen, attention, compile_model, quantization or None, offload, offload_dit)

    @property
    def offloaded(self) -> tuple[str, ...]:
        """Names of the parts that lie on the host between uses, see `Synthesizer.parts`."""
        parts = ("text_encoder", "vae_encoder", "vae_decoder") if self.offload else ()
        return (*parts, "condition", "decoder") if self.offload_dit else parts

    def load_device(self, part: str) -> str:
        """The device that the weights of *part* are loaded to."""
        return "cpu" if part in self.offloaded else self.device
