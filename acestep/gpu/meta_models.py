"""Models on the device ``meta``: tensors have shapes but no storage, so released sizes run on any machine.

A `Synthesizer` of such models runs the same code as on a GPU and computes nothing. Inside a
`acestep.memory.limit.MemoryLimit` of kind ``meta`` it runs out of memory as a GPU would.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Final

import torch
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention
from torch.nn.utils import remove_weight_norm
from torch.overrides import TorchFunctionMode

from acestep.checkpoints.load import build_on_meta
from acestep.checkpoints.variants import ModelVariant
from acestep.constants import LATENT_CHANNELS
from acestep.dit.model import AceStepModel
from acestep.loaded_models import LoadedModels
from acestep.runtime.load_options import LoadOptions
from acestep.runtime.quantization import quantize
from acestep.synthesizer import Synthesizer
from acestep.synthetic.synthesizer import SILENCE_FRAMES, TEXT_CONFIGS, build_vae, dit_config_sizes
from acestep.synthetic.tokenizer import Scale
from acestep.text.encoder import TextStates

DEVICE: Final = "meta"
TEXT_VOCABULARY: Final = 151_669
"""Number of tokens in the released text encoder's vocabulary."""


def build_meta_models(variant: ModelVariant, options: LoadOptions, scale: Scale = "full") -> Synthesizer:
    """Build the models of *variant* on ``meta``, as *options* would load them; the options' device is ignored.

    Raises:
        ValueError: the quantization is unknown, or torchao is missing.
    """
    options, dtype = replace(options, device=DEVICE), options.dtype
    model = _plain(build_on_meta(lambda: AceStepModel(dit_config_sizes(scale, variant), variant)), dtype)
    model.encoder.timbre_encoder.unpack_timbre_embeddings = _one_reference_each
    model.silence_latent = torch.empty(1, SILENCE_FRAMES[scale], LATENT_CHANNELS, device=DEVICE, dtype=dtype)
    quantized = quantize(model.decoder, options.quantization, DEVICE) if options.quantization else None
    vae = _plain(build_on_meta(lambda: build_vae(scale)), dtype)
    for module in vae.modules():
        if hasattr(module, "weight_g"):
            remove_weight_norm(module)
    text_encoder = _plain(build_on_meta(lambda: _text_encoder(scale)), dtype)
    tokenizer: Any = None  # prompts are not tokenized: `meta_text_states` takes their lengths
    return Synthesizer(LoadedModels(model, vae, text_encoder, tokenizer, options, quantized))


def meta_text_states(models: Synthesizer, caption_tokens: int, lyric_tokens: int) -> TextStates:
    """Run the text encoder on one caption and one lyric prompt of these lengths, in tokens."""
    with models.offload_manager.on_device("text_encoder"):
        caption, lyrics = (
            torch.empty(1, count, device=DEVICE, dtype=torch.int64) for count in (caption_tokens, lyric_tokens)
        )
        causal = {"full_attention": None}  # transformers reads the values of a mask, and tensors on meta have none
        encoder = models.text_encoder
        return TextStates(
            text=encoder(input_ids=caption, attention_mask=causal, use_cache=False).last_hidden_state,
            text_mask=torch.ones_like(caption, dtype=torch.bool),
            lyrics=encoder.embed_tokens(lyrics),
            lyrics_mask=torch.ones_like(lyrics, dtype=torch.bool),
            lyric_ids=lyrics,
        )


class FusedAttention(TorchFunctionMode):
    """Makes attention allocate its output alone, as a fused kernel does; on ``meta`` torch would allocate all scores.

    Attributes:
        flops: floating-point operations of the attention calls that were replaced, two for each multiply-add.
    """

    flops = 0

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Replace attention by an empty output, and run everything else."""
        kwargs = kwargs or {}
        if func is not scaled_dot_product_attention:
            return func(*args, **kwargs)
        query, key, value = (*args, *(kwargs[name] for name in ("query", "key", "value")[len(args) :]))[:3]
        self.flops += 2 * query[..., 0].numel() * key.shape[-2] * (query.shape[-1] + value.shape[-1])
        batch, heads, tokens, _ = query.shape
        out: Tensor = query.new_empty(batch, tokens, heads, value.shape[-1])
        return out.transpose(1, 2)


def _one_reference_each(packed: Tensor, owners: Tensor) -> tuple[Tensor, Tensor]:  # noqa: ARG001 - as the original
    """Unpack timbre embeddings ``(batch, hidden)`` into ``(batch, 1, hidden)`` and their mask, one for each item.

    It replaces the original method, which reads the values of *owners*; tensors on ``meta`` have none.
    """
    return packed.unsqueeze(1), torch.ones(len(packed), 1, device=DEVICE, dtype=torch.int64)


def _text_encoder(scale: Scale) -> nn.Module:
    from transformers import Qwen3Config, Qwen3Model

    return Qwen3Model(Qwen3Config(vocab_size=TEXT_VOCABULARY, **TEXT_CONFIGS[scale]))


def _plain(module: Any, dtype: torch.dtype) -> Any:
    return nn.Module.to(module, DEVICE, dtype).eval().requires_grad_(False)  # diffusers' own `to` warns
