"""vLLM as an engine: its scheduler, paged cache and kernels, with our own draws between its logits and its sampler.

A guided sample is a pair of requests that get the same token. Prompts are read by requests of their own first, as many
steps as that takes; those that draw then find them in the prefix cache and start together. Tokens that a constraint
forces are appended to the prompt of a new request, which finds the rest in the cache too, so they cost no call.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from acestep.planner import PlannerError
from acestep.planner.engines import vllm_memory
from acestep.planner.engines.base import MAX_POSITIONS, CodesRequest, CodesRun, TextRequest, TextRun, check_length
from acestep.planner.engines.head_padding import wider_head
from acestep.planner.engines.numbers import check_best
from acestep.planner.engines.vllm_env import contained
from acestep.planner.engines.vllm_sampling import CodesDraw, Desk, Draw, TextDraw
from acestep.planner.engines.weights import check_vocabulary, read_architecture, read_weights
from acestep.planner.gpu_timer import Laps
from acestep.planner.sampling import Sampler, streams
from acestep.planner.vocabulary import Vocabulary


class VllmEngine:
    """A planner checkpoint in vLLM, inside this process.

    Attributes:
        model: vLLM's module; its weights are laid out for vLLM.
    """

    name = "vllm"

    def __init__(
        self, folder: Path, vocabulary: Vocabulary, *, device: str, dtype: torch.dtype, offload: bool = False
    ) -> None:
        """Load the weights of *folder*.

        With *offload* the weights are the host's between jobs, on CUDA.

        Raises:
            CheckpointError: the folder is incomplete or damaged, or holds another model.
            PlannerError: there is not enough free memory.
        """
        config = read_architecture(folder)
        check_vocabulary(config.vocab_size, vocabulary, folder)
        self.max_positions: int = min(config.max_position_embeddings, MAX_POSITIONS)
        self._device, self._vocabulary = device, vocabulary
        self._desk = Desk()
        cuda = device.startswith("cuda")
        self._sleeps, self._jobs = offload and cuda, 0
        weights = sum(tensor.numel() for tensor in read_weights(folder, config).values()) * dtype.itemsize
        token = vllm_memory.token_bytes(config, wider_head(config.head_dim), dtype)
        size, share = vllm_memory.cache_bytes(weights, token, self.max_positions, device)
        with contained():
            from acestep.planner.engines.vllm_runtime import Core, Room

            room = Room(vllm_memory.ROWS, self.max_positions, vllm_memory.STEP_TOKENS, size, share)
            self._core = Core(folder, self._desk, room, dtype=dtype, eager=not cuda, sleeps=self._sleeps)
        self.model: Any = self._core.model
        if self._sleeps:
            self._core.sleep()

    @torch.inference_mode()
    def write_text(self, request: TextRequest) -> TextRun:
        """Continue a prompt, see `Engine.write_text`."""
        constraint, limit, prompt = request.constraint, request.limit, request.prompt
        check_length(len(prompt), limit, self.max_positions)
        sampler = Sampler(
            request.sampling, streams([request.seed], 1, self._device), self._vocabulary.size, self._device
        )
        sampler.saw(torch.tensor([prompt], device=self._device).clamp(max=self._vocabulary.size - 1))
        draw = TextDraw(sampler, constraint, self._vocabulary.size)
        tokens: list[int] = []
        read = 0
        with self._drawing(draw) as before:
            while True:
                forced = constraint.forced() if constraint else []
                tokens += forced
                if (tokens and tokens[-1] in request.stops) or len(tokens) >= limit:
                    break
                if forced:
                    sampler.saw(torch.tensor([forced], device=self._device))
                if forced or not tokens:
                    self._go_on(prompt + tokens, read, limit - len(tokens))
                    read = len(prompt) + len(tokens)
                self._core.step()
                if constraint:
                    constraint.accept(draw.token)
                tokens.append(draw.token)
            forwards = self._desk.forwards - before
        check_best(draw.best)
        finish = "stop" if tokens[-1] in request.stops else "length"
        return TextRun(tokens, finish, forwards, constraint.seconds if constraint else 0.0)

    @torch.inference_mode()
    def write_codes(self, request: CodesRequest) -> CodesRun:
        """Write codes, see `Engine.write_codes`: all samples, guided or not, are one batch where they fit.

        Guidance costs the call that reads the unconditional prompt, half of every later call (half its rows) and the
        mixing; that is ``guidance_s``.
        """
        steps = request.limit if request.count is None else request.count
        prompts = [request.prompt] if request.unconditional is None else [request.prompt, request.unconditional]
        check_length(max(map(len, prompts)), steps, self.max_positions)
        together = self._samples_at_once(prompts, steps)
        codes: list[list[int]] = []
        guidance_s = 0.0
        with self._drawing() as before:
            for start in range(0, len(request.seeds), together):
                seeds = request.seeds[start : start + together]
                written, seconds = self._write_samples(request, prompts, steps, seeds)
                codes += written
                guidance_s += seconds
            forwards = self._desk.forwards - before
        return CodesRun(codes, forwards, guidance_s)

    def _write_samples(
        self, request: CodesRequest, prompts: list[list[int]], steps: int, seeds: Sequence[int]
    ) -> tuple[list[list[int]], float]:
        """Codes of the samples of *seeds*, and the seconds that guidance took."""
        codes, samples = self._vocabulary.codes, len(seeds)
        end = self._vocabulary.end if request.count is None else None
        columns = codes.count + (end is not None)
        laps = Laps(self._device)
        sampler = Sampler(request.sampling, streams(seeds, 2, self._device), columns, self._device)
        for prompt, lap in zip(prompts, ("read", "read unconditional"), strict=False):
            self._read(prompt)
            laps.mark(lap)
        scale = request.scale if len(prompts) == 2 else None
        self._desk.draw = draw = CodesDraw(sampler, samples, scale, codes, end, laps)
        names: dict[str, int] = {}
        for index, prompt in enumerate(prompts):
            for sample in range(samples):
                names[self._core.add(prompt, steps, seat=index * samples + sample, end=end)] = index * samples + sample
        written: list[list[int]] = [[] for _ in range(len(prompts) * samples)]
        pending = set(names)
        while pending:
            for name, tokens in self._core.step().items():
                written[names[name]] = [token - codes.first_id for token in tokens if token != end]
                pending.remove(name)
        check_best(draw.best)
        seconds = laps.seconds()
        guided_s = seconds["read unconditional"] + seconds["model"] / 2 + seconds["mix"] if scale is not None else 0.0
        return written[:samples], guided_s

    @contextmanager
    def on_device(self) -> Iterator[None]:
        """One job, see `Engine.on_device`; the prefix cache ends with it where the weights leave the device."""
        if self._sleeps and not self._jobs:
            self._core.wake()
        self._jobs += 1
        try:
            yield
        finally:
            self._jobs -= 1
            if self._sleeps and not self._jobs:
                self._core.sleep()

    def close(self) -> None:
        """End vLLM's engine and free what it holds, now: its finalizers compute, which fails while torch traces."""
        self._core.shutdown()
        del self._core, self.model
        gc.collect()

    @contextmanager
    def _drawing(self, draw: Draw | None = None) -> Iterator[int]:
        """Where requests run; gives the number of the model's calls before. No request is left at the end."""
        with self.on_device():
            self._desk.draw = draw
            try:
                yield self._desk.forwards
            finally:
                self._core.drop_all()
                self._desk.draw = self._desk.error = None

    def _go_on(self, tokens: list[int], read: int, new: int) -> None:
        """Queue a request that draws behind *tokens*, of which *read* have been read, in place of the one before."""
        self._core.drop_all()
        if len(tokens) - read + self._core.block > vllm_memory.STEP_TOKENS:
            self._read(tokens)
        self._core.add(tokens, new, seat=0)

    def _read(self, tokens: list[int]) -> None:
        """Have the model read *tokens*, in as many steps as that takes; they are in the prefix cache then."""
        self._core.add(tokens, 1)
        while not self._core.step():
            pass

    def _samples_at_once(self, prompts: list[list[int]], steps: int) -> int:
        """How many samples of *steps* codes run together without any being put off."""
        blocks = sum(-(-(len(prompt) + steps) // self._core.block) for prompt in prompts)
        fitting: int = min((self._core.blocks - 1) // blocks, vllm_memory.ROWS // len(prompts))
        if not fitting:
            raise PlannerError(
                f"{steps} codes behind this prompt do not fit into vLLM's cache: shorten caption or lyrics."
            )
        return fitting
