"""The MLX engine: mlx-lm's models, caches and sampling functions, on Apple's GPUs (and, for tests, on any CPU)."""

from __future__ import annotations

import importlib
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any, Final

import mlx.core as mx
import torch
from mlx_lm.models.cache import BatchKVCache, make_prompt_cache

from acestep.planner.engines.base import (
    MAX_POSITIONS,
    CodesRequest,
    CodesRun,
    TextRequest,
    TextRun,
    check_length,
    codes_complete,
    cut_at_end,
    run_text_loop,
)
from acestep.planner.engines.mlx_sampling import MlxTokenSampler, make_keys
from acestep.planner.engines.numbers import check_largest_logits
from acestep.planner.engines.weights import check_vocabulary, read_architecture, read_weights
from acestep.planner.gpu_timer import StepTimer
from acestep.planner.vocabulary import Vocabulary

PREFILL_TOKENS: Final = 2048
"""Largest number of prompt tokens in one call of the model."""


class MlxEngine:
    """A planner checkpoint in MLX.

    A guided sample is two rows of one batch rather than two calls: every call reads all weights, so they are read once
    for both rows.

    Attributes:
        model: mlx-lm's module.
    """

    name = "mlx"

    def __init__(self, folder: Path, vocabulary: Vocabulary, *, device: str, dtype: torch.dtype) -> None:
        """Load the weights of *folder*.

        Raises:
            CheckpointError: the folder is incomplete or damaged, or holds another model.
        """
        self._device = mx.Device(mx.cpu if device == "cpu" else mx.gpu)
        self._vocabulary = vocabulary
        with mx.stream(self._device):
            self.model = load_model(folder, dtype)
            tied = self.model.args.tie_word_embeddings
            head = (self.model.model.embed_tokens if tied else self.model.lm_head).weight
            check_vocabulary(len(head), vocabulary, folder)
            first = vocabulary.codes.first_id
            self._text_head = head[: vocabulary.size]
            self._codes_head = head[first : first + vocabulary.codes.count]
            self._end_head = head[vocabulary.end : vocabulary.end + 1]
        self.max_positions: int = min(self.model.args.max_position_embeddings, MAX_POSITIONS)

    def write_text(self, request: TextRequest) -> TextRun:
        """Generate text, see `Engine.write_text`."""
        check_length(len(request.prompt), request.limit, self.max_positions)
        with mx.stream(self._device):
            return run_text_loop(request, _TextDecoder(self.model, self._text_head, request))

    def write_codes(self, request: CodesRequest) -> CodesRun:
        """Generate codes, see `Engine.write_codes`: every step runs all samples, guided or not, as one batch.

        The cost of guidance, ``guidance_s``, is the prefill of the unconditional prompt and half of every later call
        (half of its rows, and the mixing, which MLX computes together with the rest).
        """
        check_length(max(map(len, request.prompts)), request.max_steps, self.max_positions)
        with mx.stream(self._device):
            return self._write_codes(request)

    def on_device(self) -> AbstractContextManager[None]:
        """One job, see `Engine.on_device`; the weights never leave the device."""
        return nullcontext()

    def close(self) -> None:
        """Free the weights, unless somebody else still holds `model`."""
        del self.model, self._text_head, self._codes_head, self._end_head
        mx.clear_cache()

    def _write_codes(self, request: CodesRequest) -> CodesRun:
        prompts, samples, end = request.prompts, len(request.seeds), len(self._codes_head)
        guided = len(prompts) == 2
        timer = StepTimer("cpu")
        hidden, cache, forwards = self._prefill_prompts(prompts, samples, timer)
        sampler = MlxTokenSampler(request.sampling, make_keys(request.seeds, 2), end + request.free_length)
        written: list[mx.array] = []
        while True:
            logits = self._code_logits(hidden, free_length=request.free_length)
            if guided:
                logits = logits[samples:] + request.scale * (logits[:samples] - logits[samples:])
            if request.free_length and not written:
                logits[:, end] = -mx.inf  # no sample is empty
            written.append(sampler.sample(logits))
            mx.async_eval(written[-1])
            if codes_complete(
                len(written), request, lambda: bool((mx.stack(written, axis=1) == end).any(axis=1).all().item())
            ):
                break
            tokens = written[-1] + self._vocabulary.codes.first_id
            if request.free_length:
                tokens = mx.where(written[-1] < end, tokens, self._vocabulary.end)
            hidden = self.model.model(mx.concatenate([tokens] * len(prompts))[:, None], cache)[:, -1]
        _check_largest_logits(logits)
        rows = mx.stack(written, axis=1).tolist()
        timer.lap("steps")
        seconds = timer.seconds()
        guidance_s = seconds["prefill unconditional"] + seconds["steps"] / 2 if guided else 0.0
        return CodesRun([cut_at_end(row, end) for row in rows], forwards + len(written) - 1, guidance_s)

    def _prefill_prompts(
        self, prompts: list[list[int]], samples: int, timer: StepTimer
    ) -> tuple[mx.array, list[Any], int]:
        """Run each of *prompts* once.

        Returns:
            Their last hidden states ``(prompts · samples, hidden)``, a cache with as many rows, and the number of
            calls.
        """
        hidden, caches, forwards = [], [], 0
        for prompt, lap in zip(prompts, ("prefill", "prefill unconditional"), strict=False):
            cache = make_prompt_cache(self.model)
            state, calls = _prefill(self.model, prompt, cache)
            hidden += [state] * samples
            caches += [cache] * samples
            forwards += calls
            timer.lap(lap)
        if len(caches) == 1:
            return hidden[0], caches[0], forwards
        return mx.concatenate(hidden), [BatchKVCache.merge(layer) for layer in zip(*caches, strict=True)], forwards

    def _code_logits(self, hidden: mx.array, *, free_length: bool) -> mx.array:
        """Float32 logits of all valid codes; with *free_length* the end token has one more column."""
        logits = hidden @ self._codes_head.T
        if free_length:
            logits = mx.concatenate((logits, hidden @ self._end_head.T), axis=-1)
        return logits.astype(mx.float32)


class _TextDecoder:
    """The state of one text, see `TextDecoder`."""

    def __init__(self, model: Any, head: mx.array, request: TextRequest) -> None:
        self.forwards = 0
        self._model, self._head, self._constraint = model, head, request.constraint
        self._cache = make_prompt_cache(model)
        self._sampler = MlxTokenSampler(request.sampling, make_keys([request.seed], 1), len(head))
        self._sampler.update_seen(mx.minimum(mx.array([request.prompt]), len(head) - 1))
        self._logits = mx.zeros((1, 1))

    def update_seen(self, tokens: list[int]) -> None:
        self._sampler.update_seen(mx.array([tokens]))

    def next_token(self, pending: list[int]) -> int:
        hidden, calls = _prefill(self._model, pending, self._cache)
        self.forwards += calls
        logits = self._logits = (hidden @ self._head.T).astype(mx.float32)
        if self._constraint:
            logits = mx.where(mx.array(self._constraint.allowed()), logits, -mx.inf)
        return int(self._sampler.sample(logits).item())

    def check_finite(self) -> None:
        _check_largest_logits(self._logits)


def _prefill(model: Any, tokens: list[int], cache: list[Any]) -> tuple[mx.array, int]:
    """Run *tokens*; returns the last one's hidden state ``(1, hidden)`` and the number of calls."""
    for start in range(0, len(tokens), PREFILL_TOKENS):
        hidden = model.model(mx.array([tokens[start : start + PREFILL_TOKENS]]), cache)[:, -1]
        mx.eval(hidden)
    return hidden, -(-len(tokens) // PREFILL_TOKENS)


def _check_largest_logits(logits: mx.array) -> None:
    check_largest_logits(torch.tensor(logits.max(-1).tolist()))


def load_model(folder: Path, dtype: torch.dtype) -> Any:
    """mlx-lm's model with the weights of *folder*.

    Raises:
        CheckpointError: the folder is incomplete or damaged, or holds another model.
    """
    config = read_architecture(folder)
    kind = importlib.import_module(f"mlx_lm.models.{config.model_type}")
    values = config.to_dict()
    model = kind.Model(kind.ModelArgs.from_dict(values | values["rope_parameters"]))  # Llama has them there
    weights = {key: _to_mlx(tensor.to(dtype)) for key, tensor in read_weights(folder, config).items()}
    model.load_weights(list(weights.items()), strict=True)
    model.eval()
    mx.eval(model.parameters())
    return model


def _to_mlx(tensor: torch.Tensor) -> mx.array:
    """The same numbers in MLX. Bfloat16 is converted by its bits, because numpy has no such type."""
    if tensor.dtype == torch.bfloat16:
        return mx.array(tensor.view(torch.uint16).numpy()).view(mx.bfloat16)
    return mx.array(tensor.numpy())
