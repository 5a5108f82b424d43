"""The planner's work written with transformers alone: ``generate`` and logits processors."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from transformers import LogitsProcessor, LogitsProcessorList, Qwen3ForCausalLM
from transformers.utils import logging

from acestep.planner.constraint import Constraint
from acestep.planner.engines.base import CodesRequest, TextRequest
from acestep.planner.vocabulary import Vocabulary


class TransformersPlanner:
    """A planner checkpoint loaded by transformers.

    Attributes:
        model: the `Qwen3ForCausalLM`, typed as Any because its annotations contradict its methods.
    """

    def __init__(self, folder: Path, vocabulary: Vocabulary, *, device: str, dtype: torch.dtype) -> None:
        """Load the weights of *folder*."""
        logging.disable_progress_bar()  # type: ignore[no-untyped-call]
        self.model: Any = Qwen3ForCausalLM.from_pretrained(folder, dtype=dtype, device_map=device)
        self._device = device
        self._vocabulary = vocabulary

    def write_codes(self, request: CodesRequest, *, repeats: bool = True) -> list[list[int]]:
        """Generate the codes of *request*, all samples in one batch.

        Guidance is that of transformers: ``guidance_scale``, with the unconditional prompt as the negative prompt.

        Args:
            request: prompts, sampling and number of codes.
            repeats: whether a code may occur twice in a sample.
        """
        codes, samples, length = self._vocabulary.codes, len(request.seeds), len(request.prompt)
        mask = CodesOnly(codes.first_id, codes.count, self.model.config.vocab_size, self._device, repeats=repeats)
        prompt = self._rows(request.prompt, samples)
        guidance = {}
        if request.unconditional is not None:
            negative = self._rows(request.unconditional, samples)
            guidance = {"guidance_scale": request.scale, "negative_prompt_ids": negative}
        sampling = request.sampling
        sampler: dict[str, Any] = {"do_sample": False}
        if sampling.temperature > 0:
            sampler = {"do_sample": True, "temperature": sampling.temperature, "top_k": sampling.top_k or 0}
            sampler |= {"top_p": 1.0 if sampling.top_p is None else sampling.top_p}
        written = self._generate(prompt, request.count or request.limit, [mask], **guidance, **sampler)
        return (written[:, length:] - codes.first_id).tolist()

    def write_text(self, request: TextRequest) -> list[int]:
        """Generate the text of *request* greedily; its constraint becomes a mask, even where a token is forced."""
        assert request.constraint is not None, "text without a grammar is not compared"
        prompt = self._rows(request.prompt, 1)
        mask = GrammarMask(request.constraint, prompt.shape[1])
        written = self._generate(prompt, request.limit, [mask], do_sample=False, eos_token_id=list(request.stops))
        return written[0, prompt.shape[1] :].tolist()

    def _generate(
        self, prompt: Tensor, new_tokens: int, processors: list[LogitsProcessor], **options: object
    ) -> Tensor:
        written: Tensor = self.model.generate(
            prompt,
            attention_mask=torch.ones_like(prompt),
            max_new_tokens=new_tokens,
            logits_processor=LogitsProcessorList(processors),
            pad_token_id=self._vocabulary.end,
            **options,
        )
        return written

    def _rows(self, tokens: list[int], samples: int) -> Tensor:
        return torch.tensor([tokens] * samples, device=self._device)


class CodesOnly(LogitsProcessor):
    """Allows only the *count* codes from *first_id* on, and without *repeats* none of them twice."""

    def __init__(self, first_id: int, count: int, vocabulary: int, device: str, *, repeats: bool) -> None:
        self._others = torch.ones(vocabulary, dtype=torch.bool, device=device)
        self._others[first_id : first_id + count] = False
        self._repeats = repeats

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        """Return *scores* ``[N, vocabulary]`` with all other tokens at minus infinity."""
        scores = scores.masked_fill(self._others, -torch.inf)
        return scores if self._repeats else scores.scatter(1, input_ids, -torch.inf)


class GrammarMask(LogitsProcessor):
    """Applies *constraint* to a single text after the first *prompt* tokens."""

    def __init__(self, constraint: Constraint, prompt: int) -> None:
        self._constraint = constraint
        self._forced: list[int] = []
        self._accepted = prompt

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        """Return *scores* ``[1, vocabulary]`` with all forbidden tokens at minus infinity."""
        if input_ids.shape[1] > self._accepted:
            self._constraint.accept(int(input_ids[0, -1]))
        self._forced = self._forced or self._constraint.forced()
        masked = torch.full_like(scores, -torch.inf)
        if self._forced:
            self._accepted = input_ids.shape[1] + 1
            masked[0, self._forced.pop(0)] = 0.0
            return masked
        self._accepted = input_ids.shape[1]
        allowed = torch.from_numpy(self._constraint.allowed()).to(scores.device)
        masked[:, : len(allowed)] = scores[:, : len(allowed)].masked_fill(~allowed, -torch.inf)
        return masked
