"""The key map: names of tensors in original checkpoints, and in `acestep.dit.model.AceStepModel`."""

from __future__ import annotations

from typing import Final

_RENAMES: Final = (
    (".proj_in.1.", ".proj_in_conv."),
    (".proj_out.1.", ".proj_out_conv."),
    (".q_proj.", ".to_q."),
    (".k_proj.", ".to_k."),
    (".v_proj.", ".to_v."),
    (".o_proj.", ".to_out.0."),
    (".q_norm.", ".norm_q."),
    (".k_norm.", ".norm_k."),
)


def module_key(key: str) -> str:
    """The name in `AceStepModel` of the tensor that the original checkpoint calls *key*."""
    if key == "null_condition_emb":
        return "encoder.null_condition_emb"
    for original, ours in _RENAMES:
        key = key.replace(original, ours)
    return key


def original_key(key: str) -> str:
    """The inverse of `module_key`: what the original checkpoint calls the tensor *key* of `AceStepModel`."""
    if key == "encoder.null_condition_emb":
        return "null_condition_emb"
    for original, ours in _RENAMES:
        key = key.replace(ours, original)
    return key
