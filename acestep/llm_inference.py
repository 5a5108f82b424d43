"""The planner's public face: load a checkpoint, then ask it for metadata, audio codes and descriptions."""

from __future__ import annotations

import gc
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from acestep.checkpoints.errors import CheckpointError
from acestep.checkpoints.files import as_checkpoint_error
from acestep.checkpoints.folders import checkpoints_root, component_folder
from acestep.constants import DEFAULT_LM, LM_PREFIX, NO_USER_INPUT
from acestep.planner import PlannerError, metadata
from acestep.planner.errors import failure, seed_or_random
from acestep.planner.handler_understanding import Describer
from acestep.planner.prompt_api import RenderedPrompts
from acestep.planner.stats import Costs
from acestep.planner.user_metadata import keep_sound
from acestep.runtime.devices import default_dtype, resolve_device
from acestep.timing.clock import Clock

if TYPE_CHECKING:
    import torch

    from acestep.planner.planner import Planner

MODES: Final = ("dit", "llm_dit")
Progress = Callable[[float, str], None]


class LLMHandler(RenderedPrompts, Describer):
    """A planner checkpoint in memory, and what runs on it: planning in two phases, and descriptions.

    Attributes:
        llm: the model, None unless initialised.
        llm_tokenizer: its Hugging Face tokenizer, which knows text and control tokens but no audio codes.
        llm_initialized: whether `initialize` has succeeded.
        llm_backend: the engine that answers: ``"pt"``, ``"vllm"`` or ``"mlx"``.
        max_model_len: largest number of tokens, prompt and output together.
        device, dtype: where and in what numbers the model computes.
        use_legacy_cfg_prompt: keep lyrics, and the caption without a negative prompt, in the unconditional prompt.
    """

    def __init__(self, persistent_storage_path: str | os.PathLike[str] | None = None) -> None:
        """Make a handler that finds checkpoints in ``checkpoints`` below *persistent_storage_path*.

        None, and ``$ACESTEP_CHECKPOINTS_DIR``, mean what they mean to `acestep.checkpoints.folders.checkpoints_root`.
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
        """Load a planner, in place of the one loaded before.

        Args:
            checkpoint_dir: folder that holds the checkpoint folders.
            lm_model_path: name of the checkpoint's folder, or its absolute path; None is ``acestep-5Hz-lm-1.7B``.
            backend: ``"pt"``, ``"vllm"`` or ``"mlx"``; ``"auto"`` takes the one that `acestep.planner.engines.choose`
                says, and the status says which and why.
            device: ``"auto"`` takes cuda, mps or cpu, the first that is there; any other must be there.
            offload_to_cpu: keep the weights off a CUDA device between calls; elsewhere it has no effect, which the
                status says.
            dtype: of the weights; None is what `acestep.runtime.devices.default_dtype` says.

        Returns:
            A status whose first character tells success (✅) from failure (❌), and whether it succeeded.
        """
        self.unload()
        name, reason = lm_model_path or DEFAULT_LM, ""

        def work() -> None:
            nonlocal reason
            reason = self._load(component_folder(Path(checkpoint_dir), name), backend, device, offload_to_cpu, dtype)

        if error := failure(work):
            return f"❌ Planner not loaded: {error}", False
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
        """Load *folder*; returns why that engine was taken."""
        from acestep.planner import engines
        from acestep.planner.planner import Planner
        from acestep.planner.vocabulary import Vocabulary

        self.device = resolve_device(device)
        name, reason = engines.choose(backend, self.device)
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

    def get_available_5hz_lm_models(self) -> list[str]:
        """Names of the planners in the checkpoints folder, sorted."""
        if not self._root.is_dir():
            return []
        return sorted(entry.name for entry in self._root.glob(f"{LM_PREFIX}*") if entry.is_dir())

    @staticmethod
    def has_all_metas(user_metadata: Mapping[str, Any] | None) -> bool:
        """Whether bpm, keyscale, timesignature and duration all have a sound value: phase 1 then has nothing to do."""
        return metadata.has_all_metas(keep_sound(user_metadata or {}))

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

        Phase 1 runs once for the whole batch and is left out if *use_cot_metas* is false or *user_metadata* has bpm,
        keyscale, timesignature and duration. Phase 2 runs for ``infer_type="llm_dit"``.

        Args:
            caption, lyrics: what the user wants; control tokens in them are plain text.
            infer_type: ``"dit"`` for metadata alone, ``"llm_dit"`` for codes as well.
            temperature, top_k, top_p, repetition_penalty: of both phases, see `acestep.planner.sampling.Sampling`.
            cfg_scale: guidance in phase 2; on above 1.
            negative_prompt: what guidance leads away from.
            use_constrained_decoding: hold phase 1 to the metadata grammar. Codes are valid and counted either way.
            constrained_decoding_debug: log what the grammar forced, and what was chosen among how many tokens.
            target_duration: seconds, clamped to 10..600; forced in the metadata too. None or not positive: the
                duration in *user_metadata*, else the planner's own, else the planner ends when it wants.
            user_metadata: fields that stand fast: bpm, caption, duration, genres, keyscale, language, timesignature.
            use_cot_metas, use_cot_caption, use_cot_language: let phase 1 run, rewrite the caption, name the language.
            batch_size: number of samples; above 1 ``metadata`` and ``audio_codes`` are lists.
            seeds: one for each sample, padded with random ones; phase 1 takes the first.
            progress: called with a fraction and a text as each phase starts.

        Returns:
            ``metadata``, ``audio_codes`` (text), ``success``, ``error`` (None or text) and ``extra_outputs``:
            ``time_costs`` (seconds), ``counts`` (tokens, forwards), ``finish`` (why each phase ended), ``codes_count``
            or ``codes_counts`` and ``total_codes``, ``seeds``. A request that cannot be fulfilled is a failure with
            the reason in ``error``.
        """
        from acestep.planner.planner import Decoding
        from acestep.planner.sampling import Sampling
        from acestep.planner.two_phase import Request, Result, plan

        samples = max(1, batch_size or 1)
        chosen = (list(seeds or ()) + [seed_or_random(None) for _ in range(samples)])[:samples]
        result = Result(Costs(Clock(self.device)))

        def work() -> None:
            mode = infer_type.strip().lower()
            if mode not in MODES:
                raise PlannerError(f"infer_type {infer_type!r} is not known: use {' or '.join(map(repr, MODES))}.")
            sampling = Sampling(temperature, top_k, top_p, repetition_penalty)
            request = Request(
                caption=caption,
                lyrics=lyrics,
                wants_codes=mode == "llm_dit",
                how=Decoding(sampling, use_constrained_decoding, constrained_decoding_debug),
                scale=cfg_scale,
                negative_prompt=negative_prompt,
                legacy_prompt=self.use_legacy_cfg_prompt,
                target_s=target_duration,
                user=user_metadata,
                plans=use_cot_metas,
                plans_caption=use_cot_caption,
                plans_language=use_cot_language,
                seeds=chosen,
            )
            with self._loaded.engine.resident():
                plan(self._loaded, request, result, progress or _silent)

        return result.public(chosen, failure(work))

    def generate_from_formatted_prompt(
        self,
        formatted_prompt: str,
        cfg: Mapping[str, Any] | None = None,
        use_constrained_decoding: bool = True,
        constrained_decoding_debug: bool = False,
        stop_at_reasoning: bool = False,
        seed: int | None = None,
    ) -> tuple[str, str]:
        """Continue a prompt that the caller has rendered; control tokens and codes in it count as such.

        Args:
            formatted_prompt: for example from `build_formatted_prompt`.
            cfg: see `acestep.planner.raw_prompt.Settings` for its keys and their defaults.
            use_constrained_decoding: hold text to the grammar of its phase. Codes are valid and counted either way.
            constrained_decoding_debug: log what the grammar forced, and what was chosen among how many tokens.
            stop_at_reasoning: end behind the chain of thought.
            seed: of the draws; None is a random one.

        Returns:
            The new text, control tokens included, and a status: ✅ with backend, length in characters and why the
            text ended, or ❌ with the reason and no text.
        """
        from acestep.planner.planner import Decoding
        from acestep.planner.raw_prompt import Settings, complete

        text, costs = "", Costs(Clock(self.device))

        def work() -> None:
            nonlocal text
            settings = Settings.of(cfg)
            with self._loaded.engine.resident():
                text = complete(
                    self._loaded,
                    formatted_prompt,
                    settings,
                    Decoding(settings.sampling, use_constrained_decoding, constrained_decoding_debug),
                    stop_at_reasoning=stop_at_reasoning,
                    legacy_prompt=self.use_legacy_cfg_prompt,
                    seed=seed_or_random(seed),
                    costs=costs,
                )

        if error := failure(work):
            return "", f"❌ {error}"
        ended = ", ".join(str(reason) for reason in costs.finish.values())
        return text, f"✅ Generated ({self.llm_backend}) | length={len(text)} | finish={ended}"

    @property
    def _loaded(self) -> Planner:
        if self._planner is None:
            raise PlannerError("LLM not initialized: call LLMHandler.initialize first.")
        return self._planner


def _silent(fraction: float, text: str) -> None:
    """The progress callback of those who want none."""
