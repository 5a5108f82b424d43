"""The command ``python scripts/profile_inference.py``: loads what its mode needs, and runs the mode."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from scripts.tracker.profiling.options import parse, thinking_of
from scripts.tracker.profiling.text_tables import banner

if TYPE_CHECKING:
    import argparse

    from acestep.examples import Example
    from scripts.tracker.profiling.results import Results
    from scripts.tracker.profiling.session import Session

TITLE = "ACE-Step 1.5 Inference Profiler"
LM_MODES = ("understand", "create_sample", "format_sample")


def main(argv: Sequence[str] | None = None) -> int:
    """Run the tool; returns its exit code."""
    arguments = parse(argv)
    from acestep.examples import ExampleError
    from scripts.tracker.profiling.results import OutputError
    from scripts.tracker.profiling.session import SetupError

    try:
        return _run(arguments, list(sys.argv[1:] if argv is None else argv))
    except (ExampleError, OutputError, SetupError) as error:
        print(f"profile_inference: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nInterrupted. What was measured is kept.", file=sys.stderr)
        return 130


def _run(arguments: argparse.Namespace, argv: list[str]) -> int:
    from acestep.examples import load
    from benchmarks.harness.host import describe
    from scripts.tracker.profiling.results import Results
    from scripts.tracker.profiling.session import Session

    example = load(arguments.example)
    results = Results(arguments.benchmark_output, {"mode": arguments.mode, "argv": argv})
    if arguments.mode == "tier-test":
        return _tier_test(example, arguments, results)
    session = Session(arguments)
    print(_header(session, arguments), flush=True)
    print(f"\n{banner('INITIALIZING MODELS')}", flush=True)
    _load(session, arguments)
    results.describe(host=describe(session.settings), **_facts(session, arguments))
    print(f"\n{banner(f'RUNNING MODE: {arguments.mode.upper()}')}", flush=True)
    code = _mode(arguments.mode)(session, example, arguments, results)
    results.finish()
    print(f"\n{banner('DONE')}")
    return int(code)


def _tier_test(example: Example, arguments: argparse.Namespace, results: Results) -> int:
    """Run the mode that loads models anew, or none, for each of its tests."""
    from scripts.tracker.profiling.tier_test import run

    print(banner(f"{TITLE}: TIER TEST", 120), flush=True)
    code = run(example, arguments, results)
    results.finish()
    return code


def _mode(name: str) -> Any:
    """The function that runs a mode."""
    if name == "profile":
        from scripts.tracker.profiling.profile import run
    elif name == "benchmark":
        from scripts.tracker.profiling.benchmark import run
    else:
        from scripts.tracker.profiling.planner_calls import run
    return run


def _load(session: Session, arguments: argparse.Namespace) -> None:
    """Load what the mode needs.

    Raises:
        SetupError: a model that it cannot do without cannot be loaded.
    """
    from scripts.tracker.profiling.session import SetupError

    if arguments.mode not in LM_MODES:
        print(session.load_dit(), flush=True)
    if not wants_planner(arguments):
        return
    print(session.load_lm(), flush=True)
    if session.lm is None and arguments.mode != "benchmark":
        raise SetupError("This run needs the planner, and it could not be loaded; see above.")


def wants_planner(arguments: argparse.Namespace) -> bool:
    """Whether anything that is asked for needs the planner."""
    thinking = thinking_of(arguments)
    if arguments.mode == "benchmark":
        return thinking is None or any(thinking)
    cot = arguments.use_cot_metas or arguments.use_cot_caption or arguments.use_cot_language
    return arguments.mode in LM_MODES or bool(thinking and thinking[0]) or cot


def _header(session: Session, arguments: argparse.Namespace) -> str:
    gpu, thinking = session.gpu, thinking_of(arguments)
    lines = [
        ("Mode", arguments.mode),
        ("Device", f"{session.device} (requested: {arguments.device})"),
        ("LLM Backend", session.backend_told),
        ("DiT Config", arguments.config_path),
        ("LLM Model", arguments.lm_model),
        ("Checkpoints", session.checkpoints.why),
        ("GPU Memory", f"{gpu.gpu_memory_gb:.1f} GB ({gpu.tier})"),
    ]
    if arguments.quantization:
        lines.append(("Quantization", arguments.quantization))
    if session.offload:
        lines.append(("CPU Offload", f"enabled{f' ({session.offload_why})' if session.offload_why else ''}"))
    switches = [
        ("Thinking", "both" if thinking is None and arguments.mode == "benchmark" else _either(thinking)),
        ("CoT Metas", str(arguments.use_cot_metas)),
        ("CoT Caption", str(arguments.use_cot_caption)),
        ("CoT Language", str(arguments.use_cot_language)),
        ("Constrained", str(not arguments.no_constrained_decoding)),
        ("Warmup", "disabled" if arguments.no_warmup else "enabled, with what is measured"),
    ]
    told = [f"  {label + ':':<16}{value}" for label, value in lines]
    return "\n".join([banner(TITLE), *told, "", *(f"  {label + ':':<16}{value}" for label, value in switches)])


def _either(thinking: list[bool] | None) -> str:
    return " and ".join(map(str, thinking)) if thinking else "False"


def _facts(session: Session, arguments: argparse.Namespace) -> dict[str, Any]:
    from dataclasses import asdict

    return {
        "device": {"requested": arguments.device, "resolved": session.device},
        "gpu_config": asdict(session.gpu),
        "checkpoints": {"root": str(session.checkpoints.root), "scale": session.checkpoints.scale or "real"},
        "warmup": "none" if arguments.no_warmup else "one run of what is measured",
    }
