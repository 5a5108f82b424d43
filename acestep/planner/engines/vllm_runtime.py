"""vLLM's engine, configured for a planner. Importing this module imports vLLM: do so inside `contained`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor
from vllm import EngineArgs, SamplingParams
from vllm.config import VllmConfig
from vllm.sampling_params import RequestOutputKind
from vllm.v1.engine.llm_engine import LLMEngine
from vllm.v1.sample.logits_processor import BatchUpdate, LogitsProcessor
from vllm.v1.sample.logits_processor.builtin import process_dict_updates

from acestep.planner import PlannerError
from acestep.planner.engines.vllm_sampling import SamplerBridge
from acestep.planner.engines.vllm_weights import CONFIG_FORMAT, LOAD_FORMAT, vllm_overrides


@dataclass(frozen=True)
class Limits:
    """Limits of the engine.

    Attributes:
        rows: largest number of requests that run at once.
        positions: largest number of tokens of a request, prompt and output together.
        step_tokens: largest number of tokens in one call of the model.
        cache_bytes: size of the key/value cache.
        device_share: part of the device's memory that the whole engine takes; vLLM does not start if less is free.
    """

    rows: int
    positions: int
    step_tokens: int
    cache_bytes: int
    device_share: float


class BridgeProcessor(LogitsProcessor):  # type: ignore[misc]
    """Passes vLLM's logits to the sampler of a bridge, with the batch row of each request index.

    Requests without an index are left alone.

    Attributes:
        next_bridge: the bridge of the processor that vLLM makes next; vLLM offers no way to pass it as an argument.
    """

    next_bridge: ClassVar[SamplerBridge]

    def __init__(self, vllm_config: VllmConfig, device: torch.device, is_pin_memory: bool) -> None:  # noqa: ARG002
        """Start with an empty batch; vLLM's arguments are not needed."""
        self._bridge = self.next_bridge
        self._indices: dict[int, int] = {}

    def is_argmax_invariant(self) -> bool:
        """False: the processor changes which token is the most likely."""
        return False

    def update_state(self, batch_update: BatchUpdate | None) -> None:
        """Update the request index of each row after requests were removed, added and moved."""
        process_dict_updates(self._indices, batch_update, lambda params, *_: (params.extra_args or {}).get("index"))

    def apply(self, logits: Tensor) -> Tensor:
        """Let the sampler choose; *logits* is ``(rows, vocabulary)``."""
        self._bridge.forwards += 1
        if self._indices and self._bridge.sampler:
            try:
                self._bridge.sampler(logits, {index: row for row, index in self._indices.items()})
            except PlannerError as error:
                self._bridge.error = error
        return logits


class VllmRuntime:
    """vLLM's engine in this process, running requests that are token ids.

    Attributes:
        model: vLLM's module.
        block_size: tokens in one block of the prefix cache.
        blocks: number of blocks.
    """

    def __init__(
        self, folder: Path, bridge: SamplerBridge, limits: Limits, *, dtype: torch.dtype, eager: bool, sleeps: bool
    ) -> None:
        BridgeProcessor.next_bridge = bridge
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
                logits_processors=[BridgeProcessor],
                max_model_len=limits.positions,
                max_num_seqs=limits.rows,
                max_num_batched_tokens=limits.step_tokens,
                kv_cache_memory_bytes=limits.cache_bytes,
                gpu_memory_utilization=limits.device_share,
            )
        )
        self._bridge = bridge
        self._added = 0
        self._running: set[str] = set()
        self.model: Any = self._engine.model_executor.driver_worker.get_model()
        settings = self._engine.vllm_config.cache_config
        self.block_size, self.blocks = settings.block_size, settings.num_gpu_blocks

    def add(self, tokens: list[int], new: int, *, index: int | None = None, end: int | None = None) -> str:
        """Queue a request that generates *new* tokens behind *tokens*, or until *end*; returns its name."""
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
                extra_args=None if index is None else {"index": index},
            ),
        )
        return name

    def step(self) -> dict[str, list[int]]:
        """Call the model once; returns the new tokens of each request that ended in this call.

        Raises:
            PlannerError: the bridge's sampler failed.
        """
        outputs = self._engine.step()
        if self._bridge.error:
            raise self._bridge.error
        ended = {output.request_id: list(output.outputs[0].token_ids) for output in outputs if output.finished}
        self._running -= set(ended)
        return ended

    def drop_all(self) -> None:
        """Abort all requests that have not ended."""
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
