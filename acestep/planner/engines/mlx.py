"""mlx-lm as an engine: its models, caches and sampling functions, on Apple's GPUs (and, for tests, on any CPU)."""

from __future__ import annotations

import importlib
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any, Final

import mlx.core as mx
import torch
from mlx_lm.models.cache import BatchKVCache, make_prompt_cache

from acestep.planner.engines.base import MAX_POSITIONS, CodesRequest, CodesRun, TextRequest, TextRun, check_length
from acestep.planner.engines.mlx_sampling import MlxSampler, keys
from acestep.planner.engines.numbers import check_best
from acestep.planner.engines.weights import check_vocabulary, read_architecture, read_weights
from acestep.planner.gpu_timer import Laps
from acestep.planner.vocabulary import Vocabulary

END_CHECK_INTERVAL: Final = 16
"""Steps between two looks at whether all samples have ended, where their length is free."""
READ_TOKENS: Final = 2048
"""Prompt tokens in one call of the model."""


class MlxEngine:
    """A planner checkpoint in MLX's memory.

    A guided sample is two rows of one batch, not two calls with a cache each: every step reads all weights, and so they
    are read once for both.

    Attributes:
        model: mlx-lm's module.
    """

    name = "mlx"

    def __init__(self, folder: Path, vocabulary: Vocabulary, *, device: str, dtype: torch.dtype) -> None:
        """Load the weights of *folder*.

        Raises:
            CheckpointError: the folder is incomplete or damaged, or holds another model.
        """
        self._place = mx.Device(mx.cpu if device == "cpu" else mx.gpu)
        self._vocabulary = vocabulary
        with mx.stream(self._place):
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
        """Continue a prompt, see `Engine.write_text`."""
        check_length(len(request.prompt), request.limit, self.max_positions)
        with mx.stream(self._place):
            return self._write_text(request)

    def _write_text(self, request: TextRequest) -> TextRun:
        constraint, limit = request.constraint, request.limit
        cache = make_prompt_cache(self.model)
        sampler = MlxSampler(request.sampling, keys([request.seed], 1), self._vocabulary.size)
        sampler.saw(mx.minimum(mx.array([request.prompt]), self._vocabulary.size - 1))
        tokens: list[int] = []
        unread, forwards = list(request.prompt), 0
        while True:
            forced = constraint.forced() if constraint else []
            if forced:
                sampler.saw(mx.array([forced]))
            tokens += forced
            unread += forced
            if (tokens and tokens[-1] in request.stops) or len(tokens) >= limit:
                break
            hidden, calls = self._read(unread, cache)
            forwards += calls
            logits = (hidden @ self._text_head.T).astype(mx.float32)
            if forwards == calls:
                _check_best(logits)
            allowed = mx.where(mx.array(constraint.allowed()), logits, -mx.inf) if constraint else logits
            token = int(sampler.draw(allowed).item())
            if constraint:
                constraint.accept(token)
            tokens.append(token)
            unread = [token]
        if forwards:
            _check_best(logits)
        finish = "stop" if tokens[-1] in request.stops else "length"
        return TextRun(tokens, finish, forwards, constraint.seconds if constraint else 0.0)

    def write_codes(self, request: CodesRequest) -> CodesRun:
        """Write codes, see `Engine.write_codes`: every step runs all samples, guided or not, as one batch.

        Guidance costs the calls that read the unconditional prompt and half of every later call (half its rows, and the
        mixing, which MLX computes together with the rest); that is ``guidance_s``.
        """
        steps = request.limit if request.count is None else request.count
        prompts = [request.prompt] if request.unconditional is None else [request.prompt, request.unconditional]
        check_length(max(map(len, prompts)), steps, self.max_positions)
        with mx.stream(self._place):
            return self._write_codes(request, prompts, steps)

    def _write_codes(self, request: CodesRequest, prompts: list[list[int]], steps: int) -> CodesRun:
        samples, free = len(request.seeds), request.count is None
        end = len(self._codes_head)
        laps = Laps("cpu")
        hidden, cache, forwards = self._read_prompts(prompts, samples, laps)
        sampler = MlxSampler(request.sampling, keys(request.seeds, 2), end + free)
        drawn: list[mx.array] = []
        while True:
            logits = self._code_logits(hidden, free=free)
            if len(prompts) == 2:
                logits = logits[samples:] + request.scale * (logits[:samples] - logits[samples:])
            if free and not drawn:
                logits[:, end] = -mx.inf
            drawn.append(sampler.draw(logits))
            mx.async_eval(drawn[-1])
            if len(drawn) == steps or (free and _all_ended(drawn, end)):
                break
            tokens = drawn[-1] + self._vocabulary.codes.first_id
            if free:
                tokens = mx.where(drawn[-1] < end, tokens, self._vocabulary.end)
            hidden = self.model.model(mx.concatenate([tokens] * len(prompts))[:, None], cache)[:, -1]
        _check_best(logits)
        rows = mx.stack(drawn, axis=1).tolist()
        laps.mark("steps")
        seconds = laps.seconds()
        guidance_s = seconds["read unconditional"] + seconds["steps"] / 2 if len(prompts) == 2 else 0.0
        codes = [row[: row.index(end)] if end in row else row for row in rows]
        return CodesRun(codes, forwards + len(drawn) - 1, guidance_s)

    def on_device(self) -> AbstractContextManager[None]:
        """One job, see `Engine.on_device`; the weights are always there."""
        return nullcontext()

    def close(self) -> None:
        """Free the weights, unless somebody else still holds `model`."""
        del self.model, self._text_head, self._codes_head, self._end_head
        mx.clear_cache()

    def _read(self, tokens: list[int], cache: list[Any]) -> tuple[mx.array, int]:
        """The last token's hidden state ``[1, hidden]`` behind *tokens*, and how many calls that took."""
        for start in range(0, len(tokens), READ_TOKENS):
            hidden = self.model.model(mx.array([tokens[start : start + READ_TOKENS]]), cache)[:, -1]
            mx.eval(hidden)
        return hidden, -(-len(tokens) // READ_TOKENS)

    def _read_prompts(self, prompts: list[list[int]], samples: int, laps: Laps) -> tuple[mx.array, list[Any], int]:
        """Hidden states ``[prompts · samples, hidden]`` behind *prompts*, each of which is read once, a cache with as
        many rows, and how many calls that took.
        """
        hidden, caches, forwards = [], [], 0
        for prompt, lap in zip(prompts, ("read", "read unconditional"), strict=False):
            cache = make_prompt_cache(self.model)
            state, calls = self._read(prompt, cache)
            hidden += [state] * samples
            caches += [cache] * samples
            forwards += calls
            laps.mark(lap)
        if len(caches) == 1:
            return hidden[0], caches[0], forwards
        return mx.concatenate(hidden), [BatchKVCache.merge(layer) for layer in zip(*caches, strict=True)], forwards

    def _code_logits(self, hidden: mx.array, *, free: bool) -> mx.array:
        """Float32 logits of all valid codes; with *free* length the end's in one more column."""
        logits = hidden @ self._codes_head.T
        if free:
            logits = mx.concatenate((logits, hidden @ self._end_head.T), axis=-1)
        return logits.astype(mx.float32)


def _check_best(logits: mx.array) -> None:
    """See that the likeliest token of each row of *logits* has a finite number; see `check_best`."""
    check_best(torch.tensor(logits.max(-1).tolist()))


def _all_ended(drawn: list[mx.array], end: int) -> bool:
    """Whether every sample has drawn the end; looked at every `END_CHECK_INTERVAL` steps."""
    if len(drawn) % END_CHECK_INTERVAL:
        return False
    return bool((mx.stack(drawn, axis=1) == end).any(axis=1).all().item())


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
    """The same numbers; bfloat16 goes by its bits, for numpy has no such type."""
    if tensor.dtype == torch.bfloat16:
        return mx.array(tensor.view(torch.uint16).numpy()).view(mx.bfloat16)
    return mx.array(tensor.numpy())
