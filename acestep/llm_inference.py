"""The planner's public face: load a checkpoint, then ask it for metadata and audio codes."""

from __future__ import annotations

import gc
import logging
import os
import random
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from acestep.checkpoints import CheckpointError, component_folder
from acestep.clock import Clock
from acestep.constants import DEFAULT_LM, NO_USER_INPUT
from acestep.devices import default_dtype, resolve_device
from acestep.planner import PlannerError, metadata

if TYPE_CHECKING:
    import torch

    from acestep.planner.procedure import Planner

logger = logging.getLogger(__name__)

MODES: Final = ("dit", "llm_dit")
Progress = Callable[[float, str], None]


class LLMHandler:
    """A planner checkpoint in memory, and the two phases that run on it.

    Attributes:
        llm: the model, None unless initialised.
        llm_tokenizer: its Hugging Face tokenizer, which knows text and control tokens but no audio codes.
        llm_initialized: whether `initialize` has succeeded.
        llm_backend: the engine that answers, ``"pt"``.
        max_model_len: largest number of tokens, prompt and output together.
        device, dtype: where and in what numbers the model computes.
    """

    def __init__(self) -> None:
        self._planner: Planner | None = None
        self.llm: Any = None
        self.llm_tokenizer: Any = None
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
        backend: str = "pt",
        device: str = "auto",
        dtype: torch.dtype | None = None,
    ) -> tuple[str, bool]:
        """Load a planner, in place of the one loaded before.

        Args:
            checkpoint_dir: folder that holds the checkpoint folders.
            lm_model_path: name of the checkpoint's folder, or its absolute path; None is ``acestep-5Hz-lm-1.7B``.
            backend: ``"pt"``; ``"auto"`` takes it.
            device: ``"auto"`` takes cuda, mps or cpu, the first that is there; any other must be there.
            dtype: of the weights; None is what `acestep.devices.default_dtype` says.

        Returns:
            A status whose first character tells success (✅) from failure (❌), and whether it succeeded.
        """
        self.unload()
        try:
            self._load(component_folder(Path(checkpoint_dir), lm_model_path or DEFAULT_LM), backend, device, dtype)
        except (CheckpointError, ValueError) as error:
            return f"❌ Planner not loaded: {error}", False
        except (RuntimeError, OSError, MemoryError) as error:
            logger.exception("loading the planner failed")
            return f"❌ Planner not loaded: {type(error).__name__}: {error}", False
        chosen = f"{self.llm_backend} (chosen by auto)" if backend == "auto" else self.llm_backend
        return (
            f"✅ Planner loaded\nModel: {lm_model_path or DEFAULT_LM}\nBackend: {chosen}\n"
            f"Device: {self.device}, {str(self.dtype).removeprefix('torch.')}",
            True,
        )

    def _load(self, folder: Path, backend: str, device: str, dtype: torch.dtype | None) -> None:
        from acestep.planner import engines
        from acestep.planner.procedure import Planner
        from acestep.planner.vocabulary import Vocabulary

        name = engines.choose(backend)
        self.device = resolve_device(device)
        self.dtype = dtype or default_dtype(self.device)
        vocabulary = Vocabulary(folder)
        engine = engines.open_engine(name, folder, vocabulary, device=self.device, dtype=self.dtype)
        self._planner = Planner(engine, vocabulary)
        self.llm, self.llm_tokenizer = engine.model, vocabulary.tokenizer
        self.llm_backend, self.max_model_len = engine.name, engine.max_positions

    def unload(self) -> None:
        """Free the model's memory; nothing happens if none is loaded."""
        if self._planner is None:
            return
        self._planner.engine.close()
        self._planner = self.llm = self.llm_tokenizer = self.llm_backend = None
        self.max_model_len = 0
        gc.collect()
        if self.device.startswith("cuda"):
            import torch

            torch.cuda.empty_cache()

    @staticmethod
    def has_all_metas(user_metadata: Mapping[str, Any] | None) -> bool:
        """Whether bpm, keyscale, timesignature and duration are all given, so that phase 1 has nothing to do."""
        return metadata.has_all_metas(user_metadata)

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

        Phase 1 runs once for the whole batch and is left out if *use_cot_metas* is false or *user_metadata* has bpm,
        keyscale, timesignature and duration. Phase 2 runs for ``infer_type="llm_dit"``.

        Args:
            caption, lyrics: what the user wants; control tokens in them are plain text.
            infer_type: ``"dit"`` for metadata alone, ``"llm_dit"`` for codes as well.
            temperature, top_k, top_p, repetition_penalty: of both phases, see `acestep.planner.sampling.Sampling`.
            cfg_scale: guidance in phase 2; on above 1.
            negative_prompt: what guidance leads away from.
            use_constrained_decoding: hold phase 1 to the metadata grammar. Codes are valid and counted either way.
            target_duration: seconds, clamped to 10..600; forced in the metadata too. None or not positive: the
                duration in *user_metadata*, else the planner's own, else the planner ends when it wants.
            user_metadata: fields that stand fast: bpm, caption, duration, genres, keyscale, language, timesignature.
            use_cot_metas, use_cot_caption, use_cot_language: let phase 1 run, rewrite the caption, name the language.
            batch_size: number of samples; above 1 ``metadata`` and ``audio_codes`` are lists.
            seeds: one for each sample, padded with random ones; phase 1 takes the first.
            progress: called with a fraction and a text as each phase starts.

        Returns:
            ``metadata``, ``audio_codes`` (text), ``success``, ``error`` (None or text) and ``extra_outputs``:
            ``time_costs`` (seconds), ``counts`` (tokens, forwards), ``codes_count`` or ``codes_counts`` and
            ``total_codes``, ``seeds``. A request that cannot be fulfilled is a failure with the reason in ``error``.
        """
        from acestep.planner.procedure import Request, Result
        from acestep.planner.sampling import Sampling

        samples = max(1, batch_size or 1)
        chosen = (list(seeds or ()) + [random.getrandbits(32) for _ in range(samples)])[:samples]
        result = Result(Clock(self.device))
        error: str | None = None
        try:
            if infer_type.strip().lower() not in MODES:
                raise PlannerError(f"infer_type {infer_type!r} is not known: use {' or '.join(map(repr, MODES))}.")
            if self._planner is None:
                raise PlannerError("LLM not initialized: call LLMHandler.initialize first.")
            request = Request(
                caption=caption,
                lyrics=lyrics,
                wants_codes=infer_type.strip().lower() == "llm_dit",
                sampling=Sampling(temperature, top_k, top_p, repetition_penalty),
                scale=cfg_scale,
                negative_prompt=negative_prompt,
                constrained=use_constrained_decoding,
                target_s=target_duration,
                user=user_metadata or {},
                plans=use_cot_metas and not self.has_all_metas(user_metadata),
                plans_caption=use_cot_caption,
                plans_language=use_cot_language,
                seeds=chosen,
            )
            self._planner.run(request, result, progress or _silent)
        except PlannerError as problem:
            error = str(problem)
        except RuntimeError as problem:  # torch's, out of memory among them
            logger.exception("planning failed")
            error = f"{type(problem).__name__}: {problem}"
        return result.public(chosen, error)


def _silent(fraction: float, text: str) -> None:
    """The progress callback of those who want none."""
