"""The command line of `scripts.profile_inference`: options, defaults, and the modes that each option applies to."""

from __future__ import annotations

import argparse
import math
import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final, NoReturn

MODES: Final = ("profile", "benchmark", "tier-test", "understand", "create_sample", "format_sample")
BACKENDS: Final = ("auto", "vllm", "pt", "mlx")
QUANTIZATIONS: Final = ("int8_weight_only", "fp8_weight_only", "w8a8_dynamic")
TASKS: Final = ("text2music", "cover", "repaint", "lego", "extract", "complete")
TIERS: Final = (4, 6, 8, 12, 16, 20, 24)
FORMATS: Final = ("table", "markdown", "csv")
MEMORY_MODELS: Final = ("auto", "cuda", "budget", "shapes", "analytic")
DEVICE: Final = re.compile(r"auto|cpu|mps|xpu|cuda(:\d+)?")
AXES: Final = {"duration": float, "batch_size": int, "inference_steps": int}
VARIABLES: Final = {
    "config_path": "ACESTEP_CONFIG_PATH",
    "lm_model": "ACESTEP_LM_MODEL_PATH",
    "device": "ACESTEP_DEVICE",
    "lm_backend": "ACESTEP_LM_BACKEND",
}
"""Options whose default an environment variable, or a file ``.env`` in the current folder, can set."""
DEFAULTS: Final = {
    "config_path": "acestep-v15-turbo",
    "lm_model": "acestep-5Hz-lm-1.7B",
    "device": "auto",
    "lm_backend": "auto",
}
EXAMPLES: Final = """\
examples:
  python scripts/profile_inference.py
  python scripts/profile_inference.py --thinking --llm-debug
  python scripts/profile_inference.py --mode benchmark --benchmark-output results.json
  python scripts/profile_inference.py --mode benchmark --duration 30 60 --batch-size 1 --repeat 5
  python scripts/profile_inference.py --mode understand --audio-codes '<|audio_code_17|><|audio_code_4|>'
  python scripts/profile_inference.py --mode create_sample --sample-query 'a quiet love song'
  python scripts/profile_inference.py --mode tier-test --tiers 6 8 16 --tier-with-lm

exit codes: 0 all went well (skipped is well), 1 it could not begin, 2 usage, 3 something measured failed,
130 interrupted; what was measured until then is kept.
"""
_ONLY: Final[Mapping[str, Sequence[str]]] = {
    "detailed": ("profile",),
    "sample_query": ("create_sample",),
    "instrumental": ("create_sample",),
    "audio_codes": ("understand",),
    "tiers": ("tier-test",),
    "tier_with_lm": ("tier-test",),
    "tier_skip_compile": ("tier-test",),
    "tier_boundary": ("tier-test",),
    "tier_batch_boundary": ("tier-test",),
    "tier_duration": ("tier-test",),
    "memory_model": ("tier-test",),
    "task_type": ("profile",),
    "reference_audio": ("profile",),
    "src_audio": ("profile",),
    "duration": ("profile", "benchmark"),
    "batch_size": ("profile", "benchmark"),
    "inference_steps": ("profile", "benchmark"),
    "thinking": ("profile", "benchmark"),
    "use_cot_metas": ("profile", "benchmark"),
    "use_cot_caption": ("profile", "benchmark"),
    "use_cot_language": ("profile", "benchmark"),
    "quantization": ("profile", "benchmark"),
    "offload_dit_to_cpu": ("profile", "benchmark"),
    "guidance_scale": ("profile", "benchmark", "tier-test"),
    "llm_debug": ("profile", "understand", "create_sample", "format_sample"),
    **dict.fromkeys(
        (
            *("device", "lm_backend", "lm_model", "offload_to_cpu", "cpu_threads"),
            *("seed", "lm_temperature", "no_constrained_decoding"),
        ),
        tuple(mode for mode in MODES if mode != "tier-test"),
    ),
    "lm_cfg_scale": ("profile", "benchmark"),
    "repeat": ("profile", "benchmark", "understand", "create_sample", "format_sample"),
    "no_warmup": ("profile", "benchmark", "understand", "create_sample", "format_sample"),
    "format": ("benchmark", "tier-test"),
}
"""The modes that an option applies to; options that are not listed apply to all modes."""


class Parser(argparse.ArgumentParser):
    """An argument parser whose errors mention ``--help``."""

    def error(self, message: str) -> NoReturn:
        """Print *message* and exit with status 2."""
        self.exit(2, f"profile_inference: {message}\nSee profile_inference --help.\n")


def build_parser(defaults: Mapping[str, str] = DEFAULTS) -> Parser:
    """Return the parser of the command line."""
    parser = Parser(
        prog="profile_inference",
        description="Profile and benchmark ACE-Step 1.5 inference.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--mode", default="profile", choices=MODES, help="what to run (default profile)")
    _add_models(parser, defaults)
    _add_generation(parser)
    _add_planner(parser)
    _add_profiling(parser)
    _add_tiers(parser)
    _add_inputs(parser)
    return parser


def parse(
    argv: Sequence[str] | None = None, environ: Mapping[str, str] = os.environ, folder: Path | None = None
) -> argparse.Namespace:
    """Return the options in *argv*; exits with status 2 if they are invalid or contradict each other."""
    parser = build_parser(read_defaults(environ, folder or Path.cwd()))
    arguments = parser.parse_args(argv)
    given = {name for name, value in vars(arguments).items() if value != parser.get_default(name)}
    for name in sorted(given & _ONLY.keys()):
        if arguments.mode not in _ONLY[name]:
            option = "--" + name.replace("_", "-")
            parser.error(f"{option} means nothing to --mode {arguments.mode}: it is for {' and '.join(_ONLY[name])}")
    _check(parser, arguments)
    return arguments


def read_defaults(environ: Mapping[str, str], folder: Path) -> dict[str, str]:
    """Return defaults from the environment, else from ``.env`` in *folder*, else `DEFAULTS`."""
    written: dict[str, str] = {}
    file = folder / ".env"
    if file.is_file():
        lines = [line.strip() for line in file.read_text(encoding="utf-8").splitlines()]
        pairs = [line.partition("=") for line in lines if "=" in line and not line.startswith("#")]
        written = {key.strip(): value.strip() for key, _, value in pairs}
    return {
        name: environ.get(variable) or written.get(variable) or DEFAULTS[name] for name, variable in VARIABLES.items()
    }


def _add_models(parser: Parser, defaults: Mapping[str, str]) -> None:
    group = parser.add_argument_group("device, backend and models")
    group.add_argument("--device", default=defaults["device"], help="auto (default), cuda, cuda:N, mps or cpu")
    group.add_argument("--lm-backend", default=defaults["lm_backend"], choices=BACKENDS, help="engine of the planner")
    group.add_argument("--config-path", default=defaults["config_path"], metavar="NAME", help="diffusion model")
    group.add_argument("--lm-model", default=defaults["lm_model"], metavar="NAME", help="planner")
    group.add_argument(
        "--checkpoints", metavar="FOLDER", help="folder of the models (default $ACESTEP_CHECKPOINTS_DIR)"
    )
    group.add_argument(
        "--scale", choices=("tiny", "full"), help="run on synthetic checkpoints: tiny, or of the released shapes"
    )
    group.add_argument("--offload-to-cpu", action="store_true", help="keep models in host memory between uses")
    group.add_argument("--offload-dit-to-cpu", action="store_true", help="offload the diffusion model, too")
    group.add_argument("--quantization", choices=QUANTIZATIONS, help="quantize the weights of the diffusion model")
    group.add_argument(
        "--cpu-threads", type=int, metavar="N", help="threads of torch (default: all cores; one for tiny models)"
    )


def _add_generation(parser: Parser) -> None:
    group = parser.add_argument_group("generation")
    several = "; several in benchmark mode"
    group.add_argument("--duration", type=float, nargs="+", metavar="SECONDS", help=f"default: the example's{several}")
    group.add_argument("--batch-size", type=int, nargs="+", metavar="N", help=f"default 1{several}")
    group.add_argument("--inference-steps", type=int, nargs="+", metavar="N", help=f"default 8{several}")
    group.add_argument("--seed", type=int, help="default 42; negative is random")
    group.add_argument("--guidance-scale", type=float, default=7.0, help="default 7.0")


def _add_planner(parser: Parser) -> None:
    group = parser.add_argument_group("planner")
    group.add_argument(
        "--thinking",
        nargs="*",
        choices=("true", "false"),
        help="the planner writes audio codes; both in benchmark mode",
    )
    group.add_argument("--use-cot-metas", action="store_true", help="the planner fills in metadata")
    group.add_argument("--use-cot-caption", action="store_true", help="the planner rewrites the caption")
    group.add_argument("--use-cot-language", action="store_true", help="the planner detects the language")
    group.add_argument("--use-constrained-decoding", action="store_true", default=True, help="on by default")
    group.add_argument("--no-constrained-decoding", action="store_true", help="turn constrained decoding off")
    group.add_argument("--lm-temperature", type=float, default=0.85, help="default 0.85")
    group.add_argument("--lm-cfg-scale", type=float, default=2.0, help="default 2.0")


def _add_profiling(parser: Parser) -> None:
    group = parser.add_argument_group("profiling")
    group.add_argument("--no-warmup", action="store_true", help="measure the first run too")
    group.add_argument("--detailed", action="store_true", help="profile every function, in a run of its own")
    group.add_argument("--llm-debug", action="store_true", help="print tokens of the planner, and tokens per second")
    group.add_argument("--repeat", type=int, metavar="N", help="samples of everything (default 1, benchmark 3)")
    group.add_argument("--format", default="table", choices=FORMATS, help="format of the result (default table)")
    group.add_argument("--benchmark-output", metavar="FILE", help="write results as JSON, as they come")


def _add_tiers(parser: Parser) -> None:
    group = parser.add_argument_group("tier-test")
    group.add_argument("--tiers", type=int, nargs="+", default=list(TIERS), metavar="GB", help="sizes to simulate")
    group.add_argument("--tier-with-lm", action="store_true", help="with a planner where the tier has one")
    group.add_argument("--tier-skip-compile", action="store_true", help="compile only quantized tiers")
    group.add_argument("--tier-boundary", action="store_true", help="also without quantization and without offload")
    group.add_argument("--tier-batch-boundary", action="store_true", help="batches of 1, 2, 4 and 8")
    group.add_argument("--tier-duration", type=float, default=30.0, metavar="SECONDS", help="default 30")
    group.add_argument(
        "--memory-model",
        default="auto",
        choices=MEMORY_MODELS,
        help="cuda enforces a real limit, budget a scaled one on small models; shapes runs the released shapes "
        "without storage, analytic computes; auto is cuda, or budget and shapes without it",
    )


def _add_inputs(parser: Parser) -> None:
    group = parser.add_argument_group("input")
    group.add_argument("--example", default="example_05.json", metavar="FILE", help="of acestep/examples/text2music")
    group.add_argument("--task-type", default="text2music", choices=TASKS)
    group.add_argument("--reference-audio", metavar="FILE", help="reference audio for the timbre")
    group.add_argument("--src-audio", metavar="FILE", help="source audio of the other tasks")
    group.add_argument("--sample-query", metavar="TEXT", help="query for create_sample")
    group.add_argument("--instrumental", action="store_true", help="make create_sample write an instrumental")
    group.add_argument(
        "--audio-codes", metavar="CODES", help="audio codes for understand (default: the planner invents a piece)"
    )


def _check(parser: Parser, arguments: argparse.Namespace) -> None:
    if not DEVICE.fullmatch(arguments.device):
        parser.error(f"--device is {arguments.device!r}, expected auto, cuda, cuda:N, mps or cpu")
    if arguments.checkpoints and arguments.scale:
        parser.error("--checkpoints and --scale exclude each other: --scale is for synthetic checkpoints")
    for name in AXES:
        values = getattr(arguments, name)
        if values and len(values) > 1 and arguments.mode != "benchmark":
            told = " ".join(f"{value:g}" for value in values)
            parser.error(f"--{name.replace('_', '-')} {told}: --mode {arguments.mode} takes one value")
    if arguments.thinking and len(arguments.thinking) > 1 and arguments.mode != "benchmark":
        parser.error(f"--thinking {' '.join(arguments.thinking)}: --mode {arguments.mode} takes one value")
    for name, least, most in (("repeat", 1, 1000), ("cpu_threads", 1, 1024)):
        value = getattr(arguments, name)
        if value is not None and not least <= value <= most:
            parser.error(f"--{name.replace('_', '-')} is {value}, expected {least} to {most}")
    if any(tier < 1 for tier in arguments.tiers):
        parser.error(f"--tiers {' '.join(map(str, arguments.tiers))}: sizes are whole GB above 0")
    if not math.isfinite(arguments.tier_duration) or not 10 <= arguments.tier_duration <= 600:
        parser.error(f"--tier-duration is {arguments.tier_duration:g}, expected 10 to 600 seconds")


def thinking_of(arguments: argparse.Namespace) -> list[bool] | None:
    """Return the values of ``--thinking``; None if it was not given, [True] if it was given without a value."""
    given: list[Any] | None = arguments.thinking
    if given is None:
        return None
    return [value == "true" for value in given] or [True]
