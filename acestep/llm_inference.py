"""`LLMHandler`, the planner's public class: it loads a checkpoint, then generates metadata, audio codes and texts."""

from __future__ import annotations

import gc
import os
import random
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from acestep.checkpoints.errors import CheckpointError
from acestep.checkpoints.files import as_checkpoint_error
from acestep.checkpoints.folders import checkpoints_root, component_folder
from acestep.constants import DEFAULT_LM, LM_PREFIX, NO_USER_INPUT
from acestep.planner import PlannerError, metadata
from acestep.planner.errors import capture_errors
from acestep.planner.options import DecodingOptions
from acestep.planner.prompt_api import PromptBuilderMixin
from acestep.planner.stats import RequestStats
from acestep.planner.understanding import (
    CreateTask,
    FormatTask,
    TextTask,
    TextTaskResult,
    UnderstandTask,
    run_text_task,
)
from acestep.planner.user_metadata import drop_invalid
from acestep.runtime.devices import default_dtype, resolve_device
from acestep.timing.clock import Clock

if TYPE_CHECKING:
    import torch

    from acestep.planner.planner import Planner

MODES: Final = ("dit", "llm_dit")
"""Values of ``infer_type``: metadata alone, or metadata and audio codes."""
Progress = Callable[[float, str], None]


class LLMHandler(PromptBuilderMixin):
    """A planner checkpoint in memory, and its functions: planning in two phases, and three text tasks.

    The text tasks share these arguments: *temperature* (0 is greedy), *top_k*, *top_p* and *repetition_penalty* are
    those of `acestep.planner.sampling.Sampling`; with *use_constrained_decoding* the text must match its grammar, so
    that it can always be parsed; with *constrained_decoding_debug* the constraint logs which tokens the grammar forced
    and which were sampled; *seed* seeds the sampling, None is a random seed.

    Attributes:
        llm: the model, None while no planner is loaded.
        llm_tokenizer: its Hugging Face tokenizer, which knows text and control tokens but no audio codes.
        llm_initialized: whether `initialize` has succeeded.
        llm_backend: name of the loaded engine: ``"pt"``, ``"vllm"`` or ``"mlx"``.
        max_model_len: largest number of tokens, prompt and output together.
        device, dtype: device and number format of the model.
        use_legacy_cfg_prompt: see `PromptBuilderMixin`.
    """

    def __init__(self, persistent_storage_path: str | os.PathLike[str] | None = None) -> None:
        """Make a handler that looks for checkpoints in ``checkpoints`` below *persistent_storage_path*.

        `acestep.checkpoints.folders.checkpoints_root` says what None and ``$ACESTEP_CHECKPOINTS_DIR`` mean.
        """
        self._root = checkpoints_root(persistent_storage_path)
        self._planner: Planner | None = None
        self.llm: Any = None
        self.llm_backend: str | None = None
        self.max_model_len = 0
        self.device = "cpu"
        self.dtype: torch.dtype | None = None

    @property
    def llm_initialized(self) -> bool:
        """Whether a planner is loaded."""
        return self._planner is not None

    def initialize(
        self,
        checkpoint_dir: str | os.PathLike[str],
        lm_model_path: str | None = None,
        backend: str = "auto",
        device: str = "auto",
        offload_to_cpu: bool = False,
        dtype: torch.dtype | None = None,
    ) -> tuple[str, bool]:
        """Load a planner; one that was loaded before is unloaded.

        Args:
            checkpoint_dir: folder that holds the checkpoint folders.
            lm_model_path: name of the checkpoint's folder, or its absolute path; None is ``acestep-5Hz-lm-1.7B``.
            backend: ``"pt"``, ``"vllm"`` or ``"mlx"``; ``"auto"`` takes the one that
                `acestep.planner.engines.select_backend` returns, and the status says which and why.
            device: ``"auto"`` takes the first of cuda, mps and cpu that exists; another device must exist.
            offload_to_cpu: keep the weights on the host between calls if the device is CUDA; elsewhere it has no
                effect, which the status says.
            dtype: number format of the weights; None takes that of `acestep.runtime.devices.default_dtype`.

        Returns:
            A status that begins with ✅ or ❌, and whether loading succeeded.
        """
        self.unload()
        name, reason = lm_model_path or DEFAULT_LM, ""
        with capture_errors() as failure:
            reason = self._load(component_folder(Path(checkpoint_dir), name), backend, device, offload_to_cpu, dtype)
        if failure.message is not None:
            return f"❌ Planner not loaded: {failure.message}", False
        lines = [
            "✅ Planner loaded",
            f"Model: {name}",
            f"Backend: {self.llm_backend} ({reason})",
            f"Device: {self.device}, {str(self.dtype).removeprefix('torch.')}",
        ]
        if offload_to_cpu and not self.device.startswith("cuda"):
            lines.append(f"Note: offload_to_cpu has no effect on {self.device}")
        return "\n".join(lines), True

    def _load(self, folder: Path, backend: str, device: str, offload: bool, dtype: torch.dtype | None) -> str:
        """Load *folder*; returns why that engine was selected."""
        from acestep.planner import engines
        from acestep.planner.planner import Planner
        from acestep.planner.vocabulary import Vocabulary

        self.device = resolve_device(device)
        name, reason = engines.select_backend(backend, self.device)
        self.dtype = dtype or default_dtype(self.device)
        vocabulary = Vocabulary(folder)
        engine = engines.open_engine(name, folder, vocabulary, device=self.device, dtype=self.dtype, offload=offload)
        try:
            with as_checkpoint_error(folder / "tokenizer.json"):
                self._planner = Planner(engine, vocabulary)
        except CheckpointError:
            engine.close()
            raise
        self.llm, self.llm_tokenizer = engine.model, vocabulary.tokenizer
        self.llm_backend, self.max_model_len = engine.name, engine.max_positions
        return reason

    def unload(self) -> None:
        """Free the model's memory; without a loaded model nothing happens."""
        if self._planner is None:
            return
        from acestep.memory.device import release

        self._planner.engine.close()
        self._planner = self.llm = self.llm_tokenizer = self.llm_backend = None
        self.max_model_len = 0
        gc.collect()
        release(self.device)

    def get_available_5hz_lm_models(self) -> list[str]:
        """Names of the planners in the checkpoints folder, sorted."""
        if not self._root.is_dir():
            return []
        return sorted(entry.name for entry in self._root.glob(f"{LM_PREFIX}*") if entry.is_dir())

    @staticmethod
    def has_all_metas(user_metadata: Mapping[str, Any] | None) -> bool:
        """Whether bpm, keyscale, timesignature and duration all have a valid value; phase 1 is skipped then."""
        return metadata.has_all_metas(drop_invalid(user_metadata or {}))

    def generate_with_stop_condition(
        self,
        caption: str,
        lyrics: str,
        infer_type: str,
        temperature: float = 0.85,
        cfg_scale: float = 1.0,
        negative_prompt: str = NO_USER_INPUT,
        top_k: int | None = None,
        top_p: float | None = None,
        repetition_penalty: float = 1.0,
        use_constrained_decoding: bool = True,
        constrained_decoding_debug: bool = False,
        target_duration: float | None = None,
        user_metadata: Mapping[str, Any] | None = None,
        use_cot_metas: bool = True,
        use_cot_caption: bool = True,
        use_cot_language: bool = True,
        batch_size: int | None = None,
        seeds: Sequence[int] | None = None,
        progress: Progress | None = None,
    ) -> dict[str, Any]:
        """Plan a piece: its metadata (phase 1), then its audio codes (phase 2).

        Phase 1 runs once for the whole batch; it is skipped if *use_cot_metas* is false or *user_metadata* has bpm,
        keyscale, timesignature and duration. Phase 2 runs for ``infer_type="llm_dit"``.

        Args:
            caption, lyrics: the user's texts; control tokens in them are plain text.
            infer_type: ``"dit"`` for metadata alone, ``"llm_dit"`` for codes as well.
            temperature, top_k, top_p, repetition_penalty: sampling in both phases, see
                `acestep.planner.sampling.Sampling`.
            cfg_scale: guidance scale of phase 2; guidance is applied above 1.
            negative_prompt: text of the unconditional prompt.
            use_constrained_decoding: whether phase 1 must match its grammar. Codes are valid and counted either way.
            constrained_decoding_debug: log which tokens the grammar forced and which were sampled.
            target_duration: seconds, clamped to 10..600; it also fixes the metadata's duration. If it is None or not
                positive, the duration of *user_metadata* is used, else the generated one, else the planner decides
                when the codes end.
            user_metadata: fixed values of bpm, caption, duration, genres, keyscale, language, timesignature.
            use_cot_metas, use_cot_caption, use_cot_language: whether phase 1 runs, writes a caption, and the language.
            batch_size: number of samples; above 1 ``metadata`` and ``audio_codes`` are lists.
            seeds: one for each sample, padded with random ones; phase 1 uses the first.
            progress: called with a fraction and a text when a phase starts.

        Returns:
            ``metadata``, ``audio_codes`` (text), ``success``, ``error`` (None or text) and ``extra_outputs``:
            ``time_costs`` (seconds), ``counts`` (tokens, forwards), ``finish`` (why each phase ended), ``codes_count``
            or ``codes_counts`` and ``total_codes``, ``seeds``. A failed request has the reason in ``error``.
        """
        from acestep.planner.two_phase import PlanRequest, PlanResult, generate_plan

        samples = max(1, batch_size or 1)
        padded = (list(seeds or ()) + [_seed_or_random(None) for _ in range(samples)])[:samples]
        options = DecodingOptions(
            temperature, top_k, top_p, repetition_penalty, use_constrained_decoding, constrained_decoding_debug
        )
        result = PlanResult(RequestStats(Clock(self.device)))
        with capture_errors() as failure:
            mode = infer_type.strip().lower()
            if mode not in MODES:
                raise PlannerError(f"infer_type {infer_type!r} is not known: use {' or '.join(map(repr, MODES))}.")
            options.check()
            request = PlanRequest(
                caption=caption,
                lyrics=lyrics,
                with_codes=mode == "llm_dit",
                options=options,
                guidance_scale=cfg_scale,
                negative_prompt=negative_prompt,
                legacy_prompt=self.use_legacy_cfg_prompt,
                target_duration=target_duration,
                user_metadata=user_metadata,
                run_phase1=use_cot_metas,
                with_caption=use_cot_caption,
                with_language=use_cot_language,
                seeds=padded,
            )
            with self._loaded.engine.on_device():
                generate_plan(self._loaded, request, result, progress or _no_progress)
        return result.as_dict(padded, failure.message)

    def generate_from_formatted_prompt(
        self,
        formatted_prompt: str,
        cfg: Mapping[str, Any] | None = None,
        use_constrained_decoding: bool = True,
        constrained_decoding_debug: bool = False,
        stop_at_reasoning: bool = False,
        seed: int | None = None,
    ) -> tuple[str, str]:
        """Generate what follows a prompt that the caller has rendered; control tokens and codes in it count as such.

        Args:
            formatted_prompt: for example from `build_formatted_prompt`.
            cfg: see `acestep.planner.raw_prompt.RawPromptConfig` for its keys and their defaults.
            use_constrained_decoding: whether text must match the grammar of its phase. Codes are valid and counted
                either way.
            constrained_decoding_debug: log which tokens the grammar forced and which were sampled.
            stop_at_reasoning: whether to end behind the chain of thought.
            seed: seeds the sampling; None is a random seed.

        Returns:
            The new text, control tokens included, and a status: ✅ with backend, length in characters and why the
            text ended, or ❌ with the reason and no text.
        """
        from acestep.planner.raw_prompt import RawPromptConfig, complete_raw_prompt

        text, stats = "", RequestStats(Clock(self.device))
        with capture_errors() as failure:
            config = RawPromptConfig.from_cfg(cfg)
            with self._loaded.engine.on_device():
                options = config.decoding(constrained=use_constrained_decoding, debug=constrained_decoding_debug)
                options.check()
                text = complete_raw_prompt(
                    self._loaded,
                    formatted_prompt,
                    config,
                    options,
                    stop_at_reasoning=stop_at_reasoning,
                    legacy_prompt=self.use_legacy_cfg_prompt,
                    seed=_seed_or_random(seed),
                    stats=stats,
                )
        if failure.message is not None:
            return "", f"❌ {failure.message}"
        ended = ", ".join(str(reason) for reason in stats.finish.values())
        return text, f"✅ Generated ({self.llm_backend}) | length={len(text)} | finish={ended}"

    def understand_audio_from_codes(
        self,
        audio_codes: str,
        temperature: float = 0.3,
        top_k: int | None = None,
        top_p: float | None = None,
        repetition_penalty: float = 1.0,
        use_constrained_decoding: bool = True,
        constrained_decoding_debug: bool = False,
        seed: int | None = None,
    ) -> tuple[dict[str, Any], str]:
        """Describe the piece of *audio_codes*: ``<|audio_code_N|>`` tokens, or ``NO USER INPUT`` to invent a piece.

        Returns:
            ``bpm``, ``caption``, ``duration``, ``genres``, ``keyscale``, ``language``, ``timesignature`` and, if any
            were generated, ``lyrics``; and a status: ✅ with the fields, or ❌ with the reason and no metadata.
        """
        options = DecodingOptions(
            temperature, top_k, top_p, repetition_penalty, use_constrained_decoding, constrained_decoding_debug
        )
        result = self.describe(UnderstandTask(audio_codes), options, seed)
        return result.metadata, result.status

    def create_sample_from_query(
        self,
        query: str,
        instrumental: bool = False,
        vocal_language: str | None = None,
        temperature: float = 0.85,
        top_k: int | None = None,
        top_p: float | None = None,
        repetition_penalty: float = 1.0,
        use_constrained_decoding: bool = True,
        constrained_decoding_debug: bool = False,
        seed: int | None = None,
    ) -> tuple[dict[str, Any], str]:
        """Invent a piece.

        Args:
            query: what the user wants, in words; blank for nothing in particular.
            instrumental: whether the piece has no vocals; the metadata repeat it.
            vocal_language: fixes the language; None, blank and ``unknown`` leave it open.
            temperature, top_k, top_p, repetition_penalty: see `LLMHandler`.
            use_constrained_decoding, constrained_decoding_debug, seed: see `LLMHandler`.

        Returns:
            Metadata and status, as `understand_audio_from_codes` returns them.
        """
        options = DecodingOptions(
            temperature, top_k, top_p, repetition_penalty, use_constrained_decoding, constrained_decoding_debug
        )
        result = self.describe(CreateTask(query, instrumental, vocal_language), options, seed)
        return result.metadata, result.status

    def format_sample_from_input(
        self,
        caption: str,
        lyrics: str,
        user_metadata: Mapping[str, Any] | None = None,
        temperature: float = 0.85,
        top_k: int | None = None,
        top_p: float | None = None,
        repetition_penalty: float = 1.0,
        use_constrained_decoding: bool = True,
        constrained_decoding_debug: bool = False,
        seed: int | None = None,
    ) -> tuple[dict[str, Any], str]:
        """Improve *caption* and *lyrics*, and complete *user_metadata*, whose values are fixed.

        Returns:
            Metadata and status, as `understand_audio_from_codes` returns them; the lyrics are the given ones if the
            model generated none.
        """
        options = DecodingOptions(
            temperature, top_k, top_p, repetition_penalty, use_constrained_decoding, constrained_decoding_debug
        )
        result = self.describe(FormatTask(caption, lyrics, user_metadata), options, seed)
        return result.metadata, result.status

    def describe(self, task: TextTask, options: DecodingOptions, seed: int | None = None) -> TextTaskResult:
        """Run *task*; a failure is reported in the result. *seed* None is a random seed."""
        result = TextTaskResult(RequestStats(Clock(self.device)))
        with capture_errors() as failure:
            options.check()
            run_text_task(self._loaded, task, options, _seed_or_random(seed), result)
        if failure.message is not None:
            result.error, result.status = failure.message, f"❌ {failure.message}"
        return result

    @property
    def _loaded(self) -> Planner:
        if self._planner is None:
            raise PlannerError("LLM not initialized: call LLMHandler.initialize first.")
        return self._planner


def _no_progress(fraction: float, text: str) -> None:
    """The progress callback for callers without one."""


def _seed_or_random(seed: int | None) -> int:
    return random.getrandbits(32) if seed is None else seed
