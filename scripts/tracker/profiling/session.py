"""The models of one run of `scripts.profile_inference`: which, from where, on what, and what was chosen for whom."""

from __future__ import annotations

import argparse
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from acestep.constants import LM_PREFIX, TEXT_ENCODER_FOLDER, VAE_FOLDER
from acestep.gpu_config import (
    VRAM_AUTO_OFFLOAD_THRESHOLD_GB,
    GPUConfig,
    get_gpu_config,
    get_lm_model_size,
    is_mps_platform,
    resolve_lm_backend,
    set_global_gpu_config,
)
from benchmarks.harness.settings import Settings
from scripts.tracker.git import GitError, git

COMPILE_VARIABLE = "ACESTEP_COMPILE_MODEL"


class SetupError(Exception):
    """The run cannot begin; the message says why, and what helps."""


@dataclass(frozen=True)
class Checkpoints:
    """Where the models come from.

    Attributes:
        root: the folder of their folders.
        scale: ``tiny`` or ``full`` of synthetic ones, "" of real ones.
        why: a sentence for people.
    """

    root: Path
    scale: str
    why: str


class Session:
    """What is loaded.

    Attributes:
        device: where.
        gpu: what the GPU can be asked for.
        checkpoints: the models' files.
        offload: whether models rest in the host's memory; *offload_why* says why if nobody asked for it.
        compile: whether ``$ACESTEP_COMPILE_MODEL`` asks to compile the diffusion model.
        dit: the loaded AceStepHandler, or None.
        lm: the loaded LLMHandler, or None.
        lm_missing: why there is none.
        backend: the planner's engine; *backend_told* says why that one.
    """

    def __init__(self, arguments: argparse.Namespace) -> None:
        """Decide everything, load nothing.

        Raises:
            SetupError: something is asked for that is not there.
        """
        from acestep.planner.engines import select_backend
        from acestep.runtime.devices import resolve_device

        self._arguments = arguments
        try:
            self.device = resolve_device(arguments.device)
            self.gpu: GPUConfig = get_gpu_config()
            set_global_gpu_config(self.gpu)
            asked = arguments.lm_backend
            if asked == "auto" and self.gpu.lm_backend_restriction != "all":
                asked = resolve_lm_backend(None, self.gpu)
            self.backend, reason = select_backend(asked, self.device)
        except ValueError as error:
            raise SetupError(str(error)) from error
        self.backend_told = f"{self.backend} ({reason})"
        self.checkpoints = find_checkpoints(arguments)
        small = 0 < self.gpu.gpu_memory_gb < VRAM_AUTO_OFFLOAD_THRESHOLD_GB and not is_mps_platform()
        self.offload: bool = arguments.offload_to_cpu or small
        self.offload_why = "" if arguments.offload_to_cpu or not small else "automatic below 20 GB"
        self.compile = os.environ.get(COMPILE_VARIABLE, "").strip().lower() in ("1", "true", "yes", "y", "on")
        self.dit: Any = None
        self.lm: Any = None
        self.lm_missing = ""
        self._pin_threads()

    @property
    def settings(self) -> Settings:
        """What the records of the harness tell about the run."""
        return Settings(
            scale=self.checkpoints.scale or str(self.checkpoints.root),
            device=self.device,
            cells="",
            commit=commit(),
            environment="",
            conf_dir="",
            journal="",
        )

    def load_dit(self) -> str:
        """Load the synthesizer; returns its report.

        Raises:
            SetupError: it cannot be loaded.
        """
        from acestep.handler import AceStepHandler

        os.environ["ACESTEP_CHECKPOINTS_DIR"] = str(self.checkpoints.root)
        handler, arguments = AceStepHandler(), self._arguments
        report, loaded = handler.initialize_service(
            None,
            arguments.config_path,
            self.device,
            compile_model=self.compile,
            offload_to_cpu=self.offload,
            offload_dit_to_cpu=arguments.offload_dit_to_cpu,
            quantization=arguments.quantization,
        )
        if not loaded:
            raise SetupError(report)
        self.dit = handler
        return report

    def load_lm(self) -> str:
        """Load the planner; returns its report. One that cannot be loaded leaves *lm* None and says so."""
        from acestep.llm_inference import LLMHandler

        handler = LLMHandler()
        report, loaded = handler.initialize(
            self.checkpoints.root, self._arguments.lm_model, self.backend, self.device, self.offload
        )
        if loaded:
            self.lm = handler
        else:
            self.lm_missing = report
        self._pin_threads()
        return report

    def _pin_threads(self) -> None:
        import torch

        from benchmarks.harness.host import pinned_threads

        torch.set_num_threads(self._arguments.cpu_threads or pinned_threads(self.settings))


def find_checkpoints(arguments: argparse.Namespace) -> Checkpoints:
    """The folder that is named or found, else synthetic tiny ones.

    Raises:
        SetupError: the named one holds no models.
    """
    from acestep.checkpoints.folders import checkpoints_root

    if arguments.scale:
        return _synthetic(arguments, arguments.scale, f"--scale {arguments.scale}")
    named = arguments.checkpoints or os.environ.get("ACESTEP_CHECKPOINTS_DIR")
    root = Path(named).expanduser().absolute() if named else checkpoints_root(None)
    if named or _holds_models(root):
        if not _holds_models(root):
            raise SetupError(
                f"{root} holds no checkpoints: it needs {VAE_FOLDER}, {TEXT_ENCODER_FOLDER} and a folder of a "
                f"diffusion model. Name another one, or leave it out to run on tiny synthetic ones."
            )
        return Checkpoints(root, "", str(root))
    return _synthetic(arguments, "tiny", f"no checkpoints in {root}")


def commit() -> str:
    """The commit of the code that runs, with ``+`` behind it if files were changed since; "" outside a repository."""
    folder = Path(__file__).resolve().parents[3]
    try:
        head = git(folder, "rev-parse", "HEAD")
        return head + ("+" if git(folder, "status", "--porcelain", "--untracked-files=no") else "")
    except GitError:
        return ""


def family_of(config_path: str) -> str:
    """The family in a checkpoint's name.

    Raises:
        SetupError: it is none of the released ones.
    """
    from acestep.checkpoints.variants import FOLDER_PREFIX, variant_named

    try:
        return variant_named(Path(config_path).name.removeprefix(FOLDER_PREFIX)).name
    except ValueError as error:
        raise SetupError(f"--config-path {config_path!r}: {error}") from error


def _synthetic(arguments: argparse.Namespace, scale: str, why: str) -> Checkpoints:
    from acestep.synthetic import PLANNER_SIZES, cached

    family = family_of(arguments.config_path)
    sizes = PLANNER_SIZES if scale == "tiny" else [get_lm_model_size(arguments.lm_model)]
    if not Path(arguments.lm_model).name.startswith(LM_PREFIX):
        known = ", ".join(LM_PREFIX + size for size in PLANNER_SIZES)
        raise SetupError(f"There is no synthetic planner {arguments.lm_model!r}: --lm-model is one of {known}.")
    root = cached(scale, sizes, [family])  # type: ignore[arg-type]  # both come from their own lists
    return Checkpoints(root, scale, f"{why}: SYNTHETIC {scale} checkpoints of random weights")


def _holds_models(root: Path) -> bool:
    return all((root / name / "config.json").is_file() for name in (VAE_FOLDER, TEXT_ENCODER_FOLDER))
