"""The models of one run of `scripts.profile_inference`: checkpoints, device, backend and load options."""

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
    """The run cannot start; the message says why and what to do."""


@dataclass(frozen=True)
class Checkpoints:
    """The folder of the models.

    Attributes:
        root: the folder that contains a folder for each model.
        scale: ``tiny`` or ``full`` for synthetic checkpoints; "" for real ones.
        why: a description for people.
    """

    root: Path
    scale: str
    why: str


class Session:
    """The chosen options and the loaded models.

    Attributes:
        device: the device of the models.
        gpu: the configuration of the GPU's tier.
        checkpoints: the folder of the models.
        offload: whether models are offloaded to the host; *offload_why* says why if it is automatic.
        compile: whether ``$ACESTEP_COMPILE_MODEL`` asks to compile the diffusion model.
        dit: the loaded AceStepHandler, or None.
        lm: the loaded LLMHandler, or None.
        lm_missing: why the planner could not be loaded; "" if it was.
        backend: the planner's backend; *backend_told* also says why it was selected.
    """

    def __init__(self, arguments: argparse.Namespace) -> None:
        """Resolve device, backend and checkpoints without loading models.

        Raises:
            SetupError: the requested device, backend or checkpoints are not available.
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
        """The settings that records of the harness store."""
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
        """Load the planner; returns its report. If it cannot be loaded, *lm* stays None and *lm_missing* says why."""
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
    """Return the named or found folder of checkpoints, else tiny synthetic ones.

    Raises:
        SetupError: the named folder contains no models.
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
    """Return the commit of the running code, with ``+`` if tracked files have changes; "" outside a repository."""
    folder = Path(__file__).resolve().parents[3]
    try:
        head = git(folder, "rev-parse", "HEAD")
        return head + ("+" if git(folder, "status", "--porcelain", "--untracked-files=no") else "")
    except GitError:
        return ""


def family_of(config_path: str) -> str:
    """Return the variant in the name of a checkpoint.

    Raises:
        SetupError: it is not a released variant.
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
