"""Reads a planner's architecture and weights for all engines."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

from torch import Tensor
from transformers import PretrainedConfig, PreTrainedModel, Qwen3ForCausalLM

from acestep.checkpoints.config_checks import abbreviated
from acestep.checkpoints.config_schemas import check_qwen3_config
from acestep.checkpoints.errors import CheckpointError
from acestep.checkpoints.files import read_config, read_shapes, read_tensors
from acestep.checkpoints.load import build_on_meta, check_keys_and_shapes
from acestep.planner.vocabulary import Vocabulary

ARCHITECTURES: Final[dict[str, type[PreTrainedModel]]] = {"qwen3": Qwen3ForCausalLM}
"""Classes of the supported models, by ``model_type``; vLLM's classes have the same names."""


def read_architecture(folder: Path) -> PretrainedConfig:
    """The checked configuration in ``config.json`` of *folder*.

    Raises:
        CheckpointError: the file is missing or damaged, or belongs to another model.
    """
    values: dict[str, Any] = read_config(folder)
    kind = values.get("model_type")
    if not isinstance(kind, str) or kind not in ARCHITECTURES:
        raise CheckpointError(f"{folder}/config.json: model_type is {abbreviated(kind)}, a planner's is 'qwen3'.")
    shapes = {key.removeprefix("model."): shape for key, shape in read_shapes(folder).items()}
    checked = check_qwen3_config(values, shapes, folder / "config.json")
    found: PretrainedConfig = ARCHITECTURES[kind].config_class.from_dict(checked)  # type: ignore[union-attr]
    return found


def read_weights(folder: Path, config: PretrainedConfig) -> dict[str, Tensor]:
    """All weights of *folder*, memory-mapped, by the keys that transformers' model has.

    Keys of the layers may be stored with or without the prefix ``model.``; a tied head is left out.

    Raises:
        CheckpointError: the folder is incomplete or damaged, or holds another model.
    """
    stored = read_tensors(folder)
    tensors = {key if key == "lm_head.weight" else f"model.{key.removeprefix('model.')}": stored[key] for key in stored}
    expected = build_on_meta(lambda: ARCHITECTURES[config.model_type](config)).state_dict()
    if config.tie_word_embeddings:
        for keys in (tensors, expected):
            keys.pop("lm_head.weight", None)
    check_keys_and_shapes(expected, tensors, folder)
    return tensors


def check_vocabulary(rows: int, vocabulary: Vocabulary, folder: Path) -> None:
    """Check that a head with *rows* rows covers all text tokens and codes of *vocabulary*.

    Raises:
        CheckpointError: it does not.
    """
    if rows < max(vocabulary.size, vocabulary.codes.first_id + vocabulary.codes.count):
        raise CheckpointError(
            f"{folder}: the model knows {rows} tokens, the tokenizer more: they are of different checkpoints."
        )
