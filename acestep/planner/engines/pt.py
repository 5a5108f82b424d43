"""The PyTorch engine: transformers' modules on any device torch knows."""

from __future__ import annotations

from collections.abc import Iterator
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
from acestep.planner.engines.base import MAX_POSITIONS, CodesRequest, CodesRun, TextRequest, TextRun, check_length
from acestep.planner.engines.cache import Cache
from acestep.planner.engines.cuda_graph import FEWEST_STEPS, FixedStep
from acestep.planner.engines.decoder import Decoder
from acestep.planner.engines.numbers import check_best
from acestep.planner.engines.offload import Residence
from acestep.planner.engines.weights import ARCHITECTURES, check_vocabulary, read_architecture, read_weights
from acestep.planner.gpu_timer import Laps
from acestep.planner.sampling import Sampler, guide, streams
from acestep.planner.vocabulary import Vocabulary

END_CHECK_INTERVAL = 16
"""Steps between two looks at whether all samples have ended, where their length is free."""


class PtEngine:
    """A planner checkpoint in memory.

    Attributes:
        model: transformers' model; its weights may be read, not replaced.
        transfers: what moving the weights has cost; nothing without offloading.
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
        codes = vocabulary.codes
        check_vocabulary(len(self.model.lm_head.weight), vocabulary, folder)
        self.max_positions: int = min(self.model.config.max_position_embeddings, MAX_POSITIONS)
        self._device = device
        self._vocabulary = vocabulary
        self._residence = Residence(Decoder(self.model), device, offload=offload)
        self.transfers = self._residence.transfers
        self._text_ids = slice(vocabulary.size)
        self._code_ids = slice(codes.first_id, codes.first_id + codes.count)
        self._end_id = slice(vocabulary.end, vocabulary.end + 1)
        self._read_before: tuple[list[int], Cache] | None = None

    @contextmanager
    def on_device(self) -> Iterator[None]:
        """One job, see `Engine.on_device`; codes go on from what its text has read, as far as their prompts agree."""
        try:
            with self._residence.scope():
                yield
        finally:
            if not self._residence.open:
                self._read_before = None

    @torch.inference_mode()
    def write_text(self, request: TextRequest) -> TextRun:
        """Continue a prompt, see `Engine.write_text`."""
        check_length(len(request.prompt), request.limit, self.max_positions)
        with self.on_device():
            return self._write_text(request, self._residence.decoder)

    @torch.inference_mode()
    def write_codes(self, request: CodesRequest) -> CodesRun:
        """Write codes, see `Engine.write_codes`: every step runs all samples, guided or not, as one batch.

        Guidance costs the call that reads the unconditional prompt, half of every later call (half its
        rows) and the mixing; that is ``guidance_s``.
        """
        with self.on_device():
            return self._write_codes(request, self._residence.decoder)

    def close(self) -> None:
        """Free the weights, unless somebody else still holds `model`."""
        self._residence.close()
        self._read_before = None
        del self.model
        release(self._device)

    def _write_text(self, request: TextRequest, decoder: Decoder) -> TextRun:
        constraint, limit = request.constraint, request.limit
        cache = Cache(decoder, [len(request.prompt)], 1, limit)
        draws = streams([request.seed], 1, self._device)
        sampler = Sampler(request.sampling, draws, self._vocabulary.size, self._device)
        sampler.saw(torch.tensor([request.prompt], device=self._device).clamp(max=self._vocabulary.size - 1))
        tokens: list[int] = []
        unread, forwards = list(request.prompt), 0
        while True:
            forced = constraint.forced() if constraint else []
            if forced:
                sampler.saw(torch.tensor([forced], device=self._device))
            tokens += forced
            unread += forced
            if (tokens and tokens[-1] in request.stops) or len(tokens) >= limit:
                break
            one = len(unread) == 1
            hidden = (
                decoder.step(torch.tensor(unread, device=self._device), cache) if one else decoder.read(unread, cache)
            )
            forwards += 1
            logits = decoder.logits(hidden, self._text_ids)
            if forwards == 1:
                check_best(logits.amax(-1))
            token = int(sampler.draw(_masked(logits, constraint)).item())
            if constraint:
                constraint.accept(token)
            tokens.append(token)
            unread = [token]
        if forwards:
            check_best(logits.amax(-1))
        read = request.prompt + tokens
        self._read_before = read[: len(read) - len(unread)], cache
        finish = "stop" if tokens[-1] in request.stops else "length"
        return TextRun(tokens, finish, forwards, constraint.seconds if constraint else 0.0)

    def _write_codes(self, request: CodesRequest, decoder: Decoder) -> CodesRun:
        steps = request.limit if request.count is None else request.count
        prompts = [request.prompt] if request.unconditional is None else [request.prompt, request.unconditional]
        check_length(max(map(len, prompts)), steps, self.max_positions)
        guided, samples, first_id = len(prompts) == 2, len(request.seeds), self._vocabulary.codes.first_id
        columns = self._vocabulary.codes.count + (request.count is None)
        laps = Laps(self._device)
        cache = Cache(decoder, [len(prompt) for prompt in prompts], samples, steps)
        sampler = Sampler(request.sampling, streams(request.seeds, 2, self._device), columns, self._device)
        graphed = decoder.device.type == "cuda" and steps >= FEWEST_STEPS
        step = FixedStep(decoder, cache) if graphed else partial(decoder.step, cache=cache)
        drawn: list[Tensor] = []
        laps.mark("setup")
        hidden = self._read_prompts(decoder, prompts, cache, laps)
        while True:
            logits = self._code_logits(decoder, hidden, free=request.count is None)
            laps.mark("forward")
            if guided:
                logits = guide(logits[:samples], logits[samples:], request.scale)
                laps.mark("mix")
            if request.count is None and not drawn:
                logits[:, -1] = -torch.inf  # no sample is empty
            drawn.append(sampler.draw(logits))
            laps.mark("draw")
            if len(drawn) == steps or (request.count is None and self._all_ended(drawn)):
                check_best(logits.amax(-1))
                break
            tokens = drawn[-1] + first_id
            if request.count is None:
                tokens = tokens.where(drawn[-1] < columns - 1, self._vocabulary.end)
            hidden = step(torch.cat([tokens] * len(prompts)))
        seconds = laps.seconds()
        guidance_s = seconds["read unconditional"] + seconds["forward"] / 2 + seconds["mix"] if guided else 0.0
        codes = [self._until_end(row) for row in torch.stack(drawn, 1).tolist()]
        return CodesRun(codes, len(prompts) + len(drawn) - 1, guidance_s)

    def _read_prompts(self, decoder: Decoder, prompts: list[list[int]], cache: Cache, laps: Laps) -> Tensor:
        """Hidden states ``[prompts · samples, hidden]`` behind *prompts*, each of which is read once."""
        known = self._adopt(prompts[0], cache)
        hidden = [decoder.read(prompts[0][known:], cache)]
        laps.mark("read")
        for index, prompt in enumerate(prompts[1:], 1):
            hidden.append(decoder.read(prompt, cache, index))
            laps.mark("read unconditional")
        return torch.cat(hidden).repeat_interleave(cache.samples, 0)

    def _adopt(self, prompt: list[int], cache: Cache) -> int:
        """Take what the job's text has read of *prompt* into *cache*; returns the number of its tokens."""
        if self._read_before is None:
            return 0
        (tokens, read), self._read_before = self._read_before, None
        pairs = zip(tokens, prompt[:-1], strict=False)
        known = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], pairs))
        cache.adopt(read, known)
        return known

    def _code_logits(self, decoder: Decoder, hidden: Tensor, *, free: bool) -> Tensor:
        """Float32 logits of all valid codes; with *free* length the end's in one more column."""
        logits = decoder.logits(hidden, self._code_ids)
        return torch.cat((logits, decoder.logits(hidden, self._end_id)), -1) if free else logits

    def _all_ended(self, drawn: list[Tensor]) -> bool:
        """Whether every sample has drawn the end; looked at every `END_CHECK_INTERVAL` steps."""
        if len(drawn) % END_CHECK_INTERVAL:
            return False
        return bool((torch.stack(drawn, 1) == self._vocabulary.codes.count).any(1).all())

    def _until_end(self, row: list[int]) -> list[int]:
        end = self._vocabulary.codes.count
        return row[: row.index(end)] if end in row else row


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
