"""The PyTorch engine: transformers' modules on any device torch knows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional
from transformers import PreTrainedModel

from acestep.checkpoints import build_empty, fill
from acestep.planner.engines.base import MAX_POSITIONS, CodesRequest, CodesRun, TextRequest, TextRun, check_length
from acestep.planner.engines.decoder import Cache, Decoder
from acestep.planner.engines.weights import ARCHITECTURES, check_vocabulary, read_architecture, read_weights
from acestep.planner.grammar import Constraint
from acestep.planner.sampling import Sampler, guide, streams
from acestep.planner.timing import Laps
from acestep.planner.vocabulary import Vocabulary

END_CHECK_INTERVAL = 16
"""Steps between two looks at whether all samples have ended, where their length is free."""


class PtEngine:
    """A planner checkpoint in memory.

    Attributes:
        model: transformers' model; its weights may be read, not replaced.
    """

    name = "pt"

    def __init__(self, folder: Path, vocabulary: Vocabulary, *, device: str, dtype: torch.dtype) -> None:
        """Load the weights of *folder*.

        Raises:
            CheckpointError: the folder is incomplete or damaged, or holds another model.
        """
        self.model: Any = load_model(folder, device=device, dtype=dtype)
        head, codes = self.model.lm_head.weight, vocabulary.codes
        check_vocabulary(len(head), vocabulary, folder)
        self.max_positions: int = min(self.model.config.max_position_embeddings, MAX_POSITIONS)
        self._device = device
        self._vocabulary = vocabulary
        self._decoder = Decoder(self.model)
        self._text_head = head[: vocabulary.size]
        self._codes_head = head[codes.first_id : codes.first_id + codes.count]
        self._end_head = head[vocabulary.end : vocabulary.end + 1]

    @torch.inference_mode()
    def write_text(self, request: TextRequest) -> TextRun:
        """Continue a prompt, see `Engine.write_text`."""
        constraint, limit = request.constraint, request.limit
        check_length(len(request.prompt), limit, self.max_positions)
        cache = Cache(self._decoder, [len(request.prompt)], 1, limit)
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
            hidden = self._decoder.read(unread, cache)
            forwards += 1
            logits = functional.linear(hidden, self._text_head).float()
            token = int(sampler.draw(_masked(logits, constraint)).item())
            if constraint:
                constraint.accept(token)
            tokens.append(token)
            unread = [token]
        finish = "stop" if tokens[-1] in request.stops else "length"
        return TextRun(tokens, finish, forwards, constraint.seconds if constraint else 0.0)

    @torch.inference_mode()
    def write_codes(self, request: CodesRequest) -> CodesRun:
        """Write codes, see `Engine.write_codes`: every step runs all samples, guided or not, as one batch.

        Guidance costs the call that reads the unconditional prompt, half of every later call (half its
        rows) and the mixing; that is ``guidance_s``.
        """
        steps = request.limit if request.count is None else request.count
        prompts = [request.prompt] if request.unconditional is None else [request.prompt, request.unconditional]
        check_length(max(map(len, prompts)), steps, self.max_positions)
        guided, samples, first_id = len(prompts) == 2, len(request.seeds), self._vocabulary.codes.first_id
        columns = len(self._codes_head) + (request.count is None)
        laps = Laps(self._device)
        cache = Cache(self._decoder, [len(prompt) for prompt in prompts], samples, steps)
        sampler = Sampler(request.sampling, streams(request.seeds, 2, self._device), columns, self._device)
        drawn: list[Tensor] = []
        laps.mark("setup")
        hidden = self._read_prompts(prompts, cache, laps)
        while True:
            logits = self._code_logits(hidden, free=request.count is None)
            laps.mark("forward")
            if guided:
                logits = guide(logits[:samples], logits[samples:], request.scale)
                laps.mark("mix")
            if request.count is None and not drawn:
                logits[:, -1] = -torch.inf  # no sample is empty
            drawn.append(sampler.draw(logits))
            laps.mark("draw")
            if len(drawn) == steps or (request.count is None and self._all_ended(drawn)):
                break
            tokens = drawn[-1] + first_id
            if request.count is None:
                tokens = tokens.where(drawn[-1] < columns - 1, self._vocabulary.end)
            hidden = self._decoder.step(torch.cat([tokens] * len(prompts)), cache)
        seconds = laps.seconds()
        guidance_s = seconds["read unconditional"] + seconds["forward"] / 2 + seconds["mix"] if guided else 0.0
        codes = [self._until_end(row) for row in torch.stack(drawn, 1).tolist()]
        return CodesRun(codes, len(prompts) + len(drawn) - 1, guidance_s)

    def close(self) -> None:
        """Free the weights, unless somebody else still holds `model`."""
        del self.model, self._decoder, self._text_head, self._codes_head, self._end_head

    def _read_prompts(self, prompts: list[list[int]], cache: Cache, laps: Laps) -> Tensor:
        """Hidden states ``[prompts · samples, hidden]`` behind *prompts*, each of which is read once."""
        hidden = []
        for index, (prompt, lap) in enumerate(zip(prompts, ("read", "read unconditional"), strict=False)):
            hidden.append(self._decoder.read(prompt, cache, index))
            laps.mark(lap)
        return torch.cat(hidden).repeat_interleave(cache.samples, 0)

    def _code_logits(self, hidden: Tensor, *, free: bool) -> Tensor:
        """Float32 logits of all valid codes; with *free* length the end's in one more column."""
        logits = functional.linear(hidden, self._codes_head).float()
        if not free:
            return logits
        return torch.cat((logits, functional.linear(hidden, self._end_head).float()), -1)

    def _all_ended(self, drawn: list[Tensor]) -> bool:
        """Whether every sample has drawn the end; looked at every `END_CHECK_INTERVAL` steps."""
        if len(drawn) % END_CHECK_INTERVAL:
            return False
        return bool((torch.stack(drawn, 1) == len(self._codes_head)).any(1).all())

    def _until_end(self, row: list[int]) -> list[int]:
        end = len(self._codes_head)
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
    model: Any = build_empty(lambda: ARCHITECTURES[config.model_type](config))
    layers = {key.removeprefix("model."): tensor for key, tensor in tensors.items()}
    fill(model.model, layers, folder, device=device, dtype=dtype)
    if head is None:
        model.lm_head.weight = model.model.embed_tokens.weight
    else:
        fill(model.lm_head, {"weight": head}, folder, device=device, dtype=dtype)
    found: PreTrainedModel = model.eval().requires_grad_(False)
    return found
