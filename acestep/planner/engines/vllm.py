"""The vLLM engine: vLLM's scheduler, paged cache and kernels, with the planner's own sampling.

A guided sample is a pair of requests that get the same token. Prompts are prefilled by requests of their own first, in
as many steps as that takes; the sampling requests then find them in the prefix cache and start together. Tokens that a
constraint forces become part of the prompt of a new request, which finds the rest in the prefix cache, so they cost no
call of the model.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from acestep.planner import PlannerError
from acestep.planner.engines import vllm_memory
from acestep.planner.engines.base import (
    MAX_POSITIONS,
    CodesRequest,
    CodesRun,
    TextRequest,
    TextRun,
    check_length,
    run_text_loop,
)
from acestep.planner.engines.head_padding import padded_head_dim
from acestep.planner.engines.numbers import check_largest_logits
from acestep.planner.engines.vllm_env import contained
from acestep.planner.engines.vllm_sampling import BatchSampler, CodesBatchSampler, SamplerBridge, TextBatchSampler
from acestep.planner.engines.weights import check_vocabulary, read_architecture, read_weights
from acestep.planner.gpu_timer import StepTimer
from acestep.planner.sampling import TokenSampler, make_generators
from acestep.planner.vocabulary import Vocabulary

if TYPE_CHECKING:
    from acestep.planner.engines.vllm_runtime import VllmRuntime


class VllmEngine:
    """A planner checkpoint in vLLM, inside this process.

    Attributes:
        model: vLLM's module; its weights have vLLM's layout.
    """

    name = "vllm"

    def __init__(
        self, folder: Path, vocabulary: Vocabulary, *, device: str, dtype: torch.dtype, offload: bool = False
    ) -> None:
        """Load the weights of *folder*; with *offload* a CUDA device holds them only during a job.

        Raises:
            CheckpointError: the folder is incomplete or damaged, or holds another model.
            PlannerError: there is not enough free memory.
        """
        config = read_architecture(folder)
        check_vocabulary(config.vocab_size, vocabulary, folder)
        self.max_positions: int = min(config.max_position_embeddings, MAX_POSITIONS)
        self._device, self._vocabulary = device, vocabulary
        self._bridge = SamplerBridge()
        cuda = device.startswith("cuda")
        self._sleeps, self._open_jobs = offload and cuda, 0
        weights_bytes = sum(tensor.numel() for tensor in read_weights(folder, config).values()) * dtype.itemsize
        token_bytes = vllm_memory.token_bytes(config, padded_head_dim(config.head_dim), dtype)
        cache_bytes, share = vllm_memory.cache_bytes(weights_bytes, token_bytes, self.max_positions, device)
        with contained():
            from acestep.planner.engines.vllm_runtime import Limits, VllmRuntime

            limits = Limits(vllm_memory.ROWS, self.max_positions, vllm_memory.STEP_TOKENS, cache_bytes, share)
            self._runtime = VllmRuntime(folder, self._bridge, limits, dtype=dtype, eager=not cuda, sleeps=self._sleeps)
        self.model: Any = self._runtime.model
        if self._sleeps:
            self._runtime.sleep()

    @torch.inference_mode()
    def write_text(self, request: TextRequest) -> TextRun:
        """Generate text, see `Engine.write_text`."""
        check_length(len(request.prompt), request.limit, self.max_positions)
        text = _TextDecoder(self._runtime, self._bridge, request, self._vocabulary, self._device)
        with self._sampling(text.batch_sampler):
            return run_text_loop(request, text)

    @torch.inference_mode()
    def write_codes(self, request: CodesRequest) -> CodesRun:
        """Generate codes, see `Engine.write_codes`: all samples, guided or not, are one batch if they fit.

        The cost of guidance, ``guidance_s``, is the prefill of the unconditional prompt, half of every later call
        (half of its rows) and the mixing.
        """
        check_length(max(map(len, request.prompts)), request.max_steps, self.max_positions)
        together = self._samples_at_once(request.prompts, request.max_steps)
        codes: list[list[int]] = []
        guidance_s = 0.0
        with self._sampling(None):
            before = self._bridge.forwards
            for start in range(0, len(request.seeds), together):
                written, seconds = self._write_samples(request, request.seeds[start : start + together])
                codes += written
                guidance_s += seconds
            forwards = self._bridge.forwards - before
        return CodesRun(codes, forwards, guidance_s)

    @contextmanager
    def on_device(self) -> Iterator[None]:
        """One job, see `Engine.on_device`; if the weights leave the device, the prefix cache ends with the job."""
        if self._sleeps and not self._open_jobs:
            self._runtime.wake()
        self._open_jobs += 1
        try:
            yield
        finally:
            self._open_jobs -= 1
            if self._sleeps and not self._open_jobs:
                self._runtime.sleep()

    def close(self) -> None:
        """End vLLM's engine and free its memory.

        The garbage is collected now, because vLLM's finalizers run torch operators, which fails inside the tracing of
        torch.compile.
        """
        self._runtime.shutdown()
        del self._runtime, self.model
        gc.collect()

    def _write_samples(self, request: CodesRequest, seeds: Sequence[int]) -> tuple[list[list[int]], float]:
        """The codes of the samples of *seeds*, and the seconds that guidance took."""
        codes, samples, prompts = self._vocabulary.codes, len(seeds), request.prompts
        end = self._vocabulary.end if request.free_length else None
        timer = StepTimer(self._device)
        generators = make_generators(seeds, 2, self._device)
        sampler = TokenSampler(request.sampling, generators, codes.count + request.free_length, self._device)
        for prompt, lap in zip(prompts, ("prefill", "prefill unconditional"), strict=False):
            _prefill(self._runtime, prompt)
            timer.lap(lap)
        scale = request.scale if len(prompts) == 2 else None
        self._bridge.sampler = batch_sampler = CodesBatchSampler(sampler, samples, scale, codes, end, timer)
        indices: dict[str, int] = {}
        for position, prompt in enumerate(prompts):
            for index in range(position * samples, (position + 1) * samples):
                indices[self._runtime.add(prompt, request.max_steps, index=index, end=end)] = index
        written: list[list[int]] = [[] for _ in range(len(prompts) * samples)]
        pending = set(indices)
        while pending:
            for name, tokens in self._runtime.step().items():
                written[indices[name]] = [token - codes.first_id for token in tokens if token != end]
                pending.remove(name)
        check_largest_logits(batch_sampler.largest_logits)
        seconds = timer.seconds()
        if scale is None:
            return written[:samples], 0.0
        return written[:samples], seconds["prefill unconditional"] + seconds["model"] / 2 + seconds["mix"]

    @contextmanager
    def _sampling(self, sampler: BatchSampler | None) -> Iterator[None]:
        """Let *sampler* choose the tokens of the requests of the ``with`` block; at its end no request is left."""
        with self.on_device():
            self._bridge.sampler = sampler
            try:
                yield
            finally:
                self._runtime.drop_all()
                self._bridge.sampler = self._bridge.error = None

    def _samples_at_once(self, prompts: list[list[int]], steps: int) -> int:
        """Number of samples of *steps* codes that the cache holds at once, so that vLLM delays none of them.

        Raises:
            PlannerError: the cache holds none.
        """
        blocks = sum(-(-(len(prompt) + steps) // self._runtime.block_size) for prompt in prompts)
        fitting: int = min((self._runtime.blocks - 1) // blocks, vllm_memory.ROWS // len(prompts))
        if not fitting:
            raise PlannerError(
                f"{steps} codes behind this prompt do not fit into vLLM's cache: shorten caption or lyrics."
            )
        return fitting


class _TextDecoder:
    """The state of one text, see `TextDecoder`: one request, which is replaced when tokens are forced."""

    def __init__(
        self, runtime: VllmRuntime, bridge: SamplerBridge, request: TextRequest, vocabulary: Vocabulary, device: str
    ) -> None:
        self._runtime, self._bridge, self._device = runtime, bridge, device
        generators = make_generators([request.seed], 1, device)
        self._sampler = TokenSampler(request.sampling, generators, vocabulary.size, device)
        self._sampler.update_seen(torch.tensor([request.prompt], device=device).clamp(max=vocabulary.size - 1))
        self.batch_sampler = TextBatchSampler(self._sampler, request.constraint, vocabulary.size)
        self._last_position = len(request.prompt) + request.limit
        self._sequence: list[int] = []
        self._cached = 0
        self._forwards_before = bridge.forwards

    @property
    def forwards(self) -> int:
        """Calls of the model so far."""
        return self._bridge.forwards - self._forwards_before

    def update_seen(self, tokens: list[int]) -> None:
        self._sampler.update_seen(torch.tensor([tokens], device=self._device))

    def next_token(self, pending: list[int]) -> int:
        request_continues = bool(self._sequence) and len(pending) == 1  # vLLM has appended this token itself
        self._sequence += pending
        if not request_continues:
            self._replace_request()
        self._runtime.step()
        return self.batch_sampler.token

    def check_finite(self) -> None:
        check_largest_logits(self.batch_sampler.largest_logit)

    def _replace_request(self) -> None:
        """Queue a request that continues the sequence, in place of the current one."""
        self._runtime.drop_all()
        if len(self._sequence) - self._cached + self._runtime.block_size > vllm_memory.STEP_TOKENS:
            _prefill(self._runtime, self._sequence)
        self._runtime.add(self._sequence.copy(), self._last_position - len(self._sequence), index=0)
        self._cached = len(self._sequence)


def _prefill(runtime: VllmRuntime, tokens: list[int]) -> None:
    """Run *tokens*, in as many steps as that takes; they are in the prefix cache afterwards."""
    runtime.add(tokens, 1)
    while not runtime.step():
        pass
