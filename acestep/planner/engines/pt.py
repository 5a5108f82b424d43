"""The PyTorch engine: a transformers checkpoint, decoded by `Decoder` on any device of torch."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from itertools import takewhile
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from transformers import PreTrainedModel

from acestep.checkpoints.load import build_on_meta, load_tensors
from acestep.memory.device import release
from acestep.planner.constraint import Constraint
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
from acestep.planner.engines.cache import Cache
from acestep.planner.engines.cuda_graph import MIN_STEPS, GraphedStep
from acestep.planner.engines.decoder import Decoder
from acestep.planner.engines.numbers import check_largest_logits
from acestep.planner.engines.weights import ARCHITECTURES, check_vocabulary, read_architecture, read_weights
from acestep.planner.gpu_timer import StepTimer
from acestep.planner.sampling import TokenSampler, apply_cfg, make_generators
from acestep.planner.vocabulary import Vocabulary
from acestep.runtime.offload import OffloadManager

Step = Callable[[Tensor], Tensor]
"""Runs one token of every row; returns the hidden states."""


class PtEngine:
    """A planner checkpoint in PyTorch.

    Attributes:
        model: the transformers model; its weights may be read, not replaced.
        transfers: statistics of moving offloaded weights to the device.
    """

    name = "pt"

    def __init__(
        self, folder: Path, vocabulary: Vocabulary, *, device: str, dtype: torch.dtype, offload: bool = False
    ) -> None:
        """Load the weights of *folder*; with *offload* a device other than the CPU holds them only during a job.

        Raises:
            CheckpointError: the folder is incomplete or damaged, or holds another model.
        """
        offload = offload and device != "cpu"
        self.model: Any = load_model(folder, device="cpu" if offload else device, dtype=dtype)
        check_vocabulary(len(self.model.lm_head.weight), vocabulary, folder)
        self.max_positions: int = min(self.model.config.max_position_embeddings, MAX_POSITIONS)
        self._device = device
        self._vocabulary = vocabulary
        self._decoder: Decoder | None = Decoder(self.model)
        self._offload = OffloadManager({"decoder": [self._decoder]}, device, ["decoder"] if offload else [])
        self.transfers = self._offload.transfers
        self._open_jobs = 0
        self._prefilled: tuple[list[int], Cache] | None = None

    @contextmanager
    def on_device(self) -> Iterator[None]:
        """One job, see `Engine.on_device`. Phase 2 reuses the key/value cache of phase 1 for the common prefix."""
        self._open_jobs += 1
        try:
            with self._offload.hold("decoder"):
                yield
        finally:
            self._open_jobs -= 1
            if not self._open_jobs:
                self._prefilled = None

    @torch.inference_mode()
    def write_text(self, request: TextRequest) -> TextRun:
        """Generate text, see `Engine.write_text`."""
        check_length(len(request.prompt), request.limit, self.max_positions)
        with self._weights_on_device() as decoder:
            cache = decoder.new_cache([len(request.prompt)], 1, request.limit)
            text = _TextDecoder(decoder, cache, request, self._vocabulary, self._device)
            run = run_text_loop(request, text)
            sequence = request.prompt + run.tokens
            self._prefilled = sequence[: cache.used[0]], cache
        return run

    @torch.inference_mode()
    def write_codes(self, request: CodesRequest) -> CodesRun:
        """Generate codes, see `Engine.write_codes`: every step runs all samples, guided or not, as one batch.

        The cost of guidance, ``guidance_s``, is the prefill of the unconditional prompt, half of every later call
        (half of its rows) and the mixing.
        """
        check_length(max(map(len, request.prompts)), request.max_steps, self.max_positions)
        with self._weights_on_device() as decoder:
            return self._write_codes(request, decoder)

    def close(self) -> None:
        """Free the weights, unless somebody else still holds `model`."""
        self._decoder = self._prefilled = None
        del self.model, self._offload
        release(self._device)

    @contextmanager
    def _weights_on_device(self) -> Iterator[Decoder]:
        if self._decoder is None:
            raise RuntimeError("the planner's engine is closed.")
        with self.on_device(), self._offload.on_device("decoder"):
            yield self._decoder

    def _write_codes(self, request: CodesRequest, decoder: Decoder) -> CodesRun:
        prompts, steps, samples = request.prompts, request.max_steps, len(request.seeds)
        guided, end = len(prompts) == 2, self._vocabulary.codes.count
        timer = StepTimer(self._device)
        cache = decoder.new_cache([len(prompt) for prompt in prompts], samples, steps)
        generators = make_generators(request.seeds, 2, self._device)
        sampler = TokenSampler(request.sampling, generators, end + request.free_length, self._device)
        graphed = torch.device(self._device).type == "cuda" and steps >= MIN_STEPS
        step: Step = GraphedStep(decoder, cache) if graphed else partial(decoder.step, cache=cache)
        written: list[Tensor] = []
        timer.lap("setup")
        hidden = self._prefill(decoder, prompts, cache, timer)
        while True:
            logits = self._code_logits(decoder, hidden, free_length=request.free_length)
            timer.lap("forward")
            if guided:
                logits = apply_cfg(logits[:samples], logits[samples:], request.scale)
                timer.lap("mix")
            if request.free_length and not written:
                logits[:, end] = -torch.inf  # no sample is empty
            written.append(sampler.sample(logits))
            timer.lap("sample")
            if codes_complete(len(written), request, lambda: bool((torch.stack(written, 1) == end).any(1).all())):
                check_largest_logits(logits.amax(-1))
                break
            hidden = step(torch.cat([self._token_ids(written[-1], request)] * len(prompts)))
        seconds = timer.seconds()
        guidance_s = seconds["prefill unconditional"] + seconds["forward"] / 2 + seconds["mix"] if guided else 0.0
        codes = [cut_at_end(row, end) for row in torch.stack(written, 1).tolist()]
        return CodesRun(codes, len(prompts) + len(written) - 1, guidance_s)

    def _prefill(self, decoder: Decoder, prompts: list[list[int]], cache: Cache, timer: StepTimer) -> Tensor:
        """Run each of *prompts* once; returns their last hidden states ``(prompts · samples, hidden)``."""
        known = self._copy_common_prefix(prompts[0], cache)
        hidden = [decoder.prefill(prompts[0][known:], cache)]
        timer.lap("prefill")
        for index, prompt in enumerate(prompts[1:], 1):
            hidden.append(decoder.prefill(prompt, cache, index))
            timer.lap("prefill unconditional")
        return torch.cat(hidden).repeat_interleave(cache.samples, 0)

    def _copy_common_prefix(self, prompt: list[int], cache: Cache) -> int:
        """Copy what the job's text has prefilled of *prompt* into *cache*; returns the number of these tokens."""
        if self._prefilled is None:
            return 0
        (tokens, prefilled), self._prefilled = self._prefilled, None
        pairs = zip(tokens, prompt[:-1], strict=False)
        known = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], pairs))
        cache.copy_prefix(prefilled, known)
        return known

    def _code_logits(self, decoder: Decoder, hidden: Tensor, *, free_length: bool) -> Tensor:
        """Float32 logits of all valid codes; with *free_length* the end token has one more column."""
        codes, end = self._vocabulary.codes, self._vocabulary.end
        logits = decoder.logits(hidden, slice(codes.first_id, codes.first_id + codes.count))
        return torch.cat((logits, decoder.logits(hidden, slice(end, end + 1))), -1) if free_length else logits

    def _token_ids(self, codes: Tensor, request: CodesRequest) -> Tensor:
        tokens = codes + self._vocabulary.codes.first_id
        if request.free_length:
            tokens = tokens.where(codes < self._vocabulary.codes.count, self._vocabulary.end)
        return tokens


class _TextDecoder:
    """The state of one text, see `TextDecoder`."""

    def __init__(
        self, decoder: Decoder, cache: Cache, request: TextRequest, vocabulary: Vocabulary, device: str
    ) -> None:
        self.forwards = 0
        self._decoder, self._cache, self._device = decoder, cache, device
        self._constraint = request.constraint
        self._ids = slice(vocabulary.size)
        generators = make_generators([request.seed], 1, device)
        self._sampler = TokenSampler(request.sampling, generators, vocabulary.size, device)
        self._sampler.update_seen(torch.tensor([request.prompt], device=device).clamp(max=vocabulary.size - 1))
        self._logits: Tensor

    def update_seen(self, tokens: list[int]) -> None:
        self._sampler.update_seen(torch.tensor([tokens], device=self._device))

    def next_token(self, pending: list[int]) -> int:
        if len(pending) == 1:
            hidden = self._decoder.step(torch.tensor(pending, device=self._device), self._cache)
        else:
            hidden = self._decoder.prefill(pending, self._cache)
        self.forwards += 1
        self._logits = self._decoder.logits(hidden, self._ids)
        return int(self._sampler.sample(_masked(self._logits, self._constraint)).item())

    def check_finite(self) -> None:
        check_largest_logits(self._logits.amax(-1))


def _masked(logits: Tensor, constraint: Constraint | None) -> Tensor:
    if constraint is None:
        return logits
    allowed = torch.from_numpy(constraint.allowed()).to(logits.device)
    return logits.masked_fill(~allowed, -torch.inf)


def load_model(folder: Path, *, device: str, dtype: torch.dtype) -> PreTrainedModel:
    """The causal language model of *folder*.

    Raises:
        CheckpointError: the folder is incomplete or damaged, or holds another model.
    """
    config = read_architecture(folder)
    tensors = read_weights(folder, config)
    head = tensors.pop("lm_head.weight", None)
    model: Any = build_on_meta(lambda: ARCHITECTURES[config.model_type](config))
    layers = {key.removeprefix("model."): tensor for key, tensor in tensors.items()}
    load_tensors(model.model, layers, folder, device=device, dtype=dtype)
    if head is None:
        model.lm_head.weight = model.model.embed_tokens.weight
    else:
        load_tensors(model.lm_head, {"weight": head}, folder, device=device, dtype=dtype)
    found: PreTrainedModel = model.eval().requires_grad_(False)
    return found
