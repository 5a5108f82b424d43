"""vLLM's engine, put together for a planner. Importing this imports vLLM: do so inside `contained`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from vllm import EngineArgs, SamplingParams
from vllm.config import VllmConfig
from vllm.sampling_params import RequestOutputKind
from vllm.v1.engine.llm_engine import LLMEngine
from vllm.v1.sample.logits_processor import BatchUpdate, LogitsProcessor
from vllm.v1.sample.logits_processor.builtin import process_dict_updates

from acestep.planner import PlannerError
from acestep.planner.engines.vllm_sampling import Desk
from acestep.planner.engines.vllm_weights import CONFIG_FORMAT, LOAD_FORMAT, vllm_overrides


@dataclass(frozen=True)
class Room:
    """What the engine may take up.

    Attributes:
        rows: largest number of requests that run at once.
        positions: largest number of tokens of a request, prompt and output together.
        step_tokens: largest number of tokens that one call of the model reads.
        cache_bytes: of keys and values.
        device_share: part of the device's memory that all of it takes; vLLM refuses to start if that is not free.
    """

    rows: int
    positions: int
    step_tokens: int
    cache_bytes: int
    device_share: float


class SeatedProcessor(LogitsProcessor):  # type: ignore[misc]
    """Follows requests through vLLM's batch by their seat and has the desk's draw choose their tokens.

    vLLM makes it; requests without a seat are left alone.
    """

    desk: Desk

    def __init__(self, vllm_config: VllmConfig, device: torch.device, is_pin_memory: bool) -> None:  # noqa: ARG002
        """Start with an empty batch; what vLLM hands over is not needed."""
        self._seats: dict[int, int] = {}

    def is_argmax_invariant(self) -> bool:
        """It changes which token is the likeliest."""
        return False

    def update_state(self, batch_update: BatchUpdate | None) -> None:
        """Note which rows were removed, added and moved."""
        process_dict_updates(self._seats, batch_update, lambda params, *_: (params.extra_args or {}).get("seat"))

    def apply(self, logits: Tensor) -> Tensor:
        """Let the draw decide; *logits* is ``[rows, vocabulary]``."""
        self.desk.forwards += 1
        if self._seats and self.desk.draw:
            try:
                self.desk.draw(logits, {seat: row for row, seat in self._seats.items()})
            except PlannerError as error:
                self.desk.error = error
        return logits


class Core:
    """vLLM's engine in this process, running requests that are token ids.

    Attributes:
        model: vLLM's module.
        block: tokens that share one entry of the prefix cache.
        blocks: how many of those there are.
    """

    def __init__(self, folder: Path, desk: Desk, room: Room, *, dtype: torch.dtype, eager: bool, sleeps: bool) -> None:
        self._engine = LLMEngine.from_engine_args(
            EngineArgs(
                model=str(folder),
                skip_tokenizer_init=True,
                config_format=CONFIG_FORMAT,
                load_format=LOAD_FORMAT,
                hf_overrides=vllm_overrides(folder),
                generation_config="vllm",
                dtype=dtype,
                enforce_eager=eager,
                enable_prefix_caching=True,
                enable_sleep_mode=sleeps,
                async_scheduling=False,
                disable_log_stats=True,
                logits_processors=[type("PlannerProcessor", (SeatedProcessor,), {"desk": desk})],
                max_model_len=room.positions,
                max_num_seqs=room.rows,
                max_num_batched_tokens=room.step_tokens,
                kv_cache_memory_bytes=room.cache_bytes,
                gpu_memory_utilization=room.device_share,
            )
        )
        self._desk = desk
        self._added = 0
        self._running: set[str] = set()
        self.model: Any = self._engine.model_executor.driver_worker.get_model()
        settings = self._engine.vllm_config.cache_config
        self.block, self.blocks = settings.block_size, settings.num_gpu_blocks

    def add(self, tokens: list[int], new: int, *, seat: int | None = None, end: int | None = None) -> str:
        """Queue a request that writes *new* tokens behind *tokens*, or until *end*; returns its name."""
        self._added += 1
        name = str(self._added)
        self._running.add(name)
        self._engine.add_request(
            name,
            {"prompt_token_ids": tokens},
            SamplingParams(
                temperature=0.0,
                max_tokens=new,
                ignore_eos=True,
                stop_token_ids=None if end is None else [end],
                detokenize=False,
                output_kind=RequestOutputKind.FINAL_ONLY,
                extra_args=None if seat is None else {"seat": seat},
            ),
        )
        return name

    def step(self) -> dict[str, list[int]]:
        """Call the model once; the new tokens of each request that has ended with it.

        Raises:
            PlannerError: the draw failed.
        """
        outputs = self._engine.step()
        if self._desk.error:
            raise self._desk.error
        ended = {output.request_id: list(output.outputs[0].token_ids) for output in outputs if output.finished}
        self._running -= set(ended)
        return ended

    def drop_all(self) -> None:
        """Forget all requests that have not ended."""
        self._engine.abort_request(list(self._running))
        self._running.clear()

    def sleep(self) -> None:
        """Move the weights to the host and free the cache."""
        self._engine.sleep(level=1)

    def wake(self) -> None:
        """Undo `sleep`."""
        self._engine.wake_up()

    def shutdown(self) -> None:
        """End the engine and free what it holds."""
        self._engine.engine_core.shutdown()
        del self._engine, self.model
