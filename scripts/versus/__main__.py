"""Race our engine against plain transformers: ``python -m scripts.versus planner``."""

from __future__ import annotations

import argparse
import json
import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from scripts.versus.planner import Comparison
    from scripts.versus.race import Lane, Spread

PLANNER = "acestep-5Hz-lm-0.6B"
MAX_TOKENS = 3000
MAX_BATCH = 64
DEFAULTS = {"tiny": (100, 7), "full": (50, 3)}
"""Tokens a sample and rounds, by scale."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit status: 0 done, 1 the two sides disagree, 2 refused, 130 interrupted."""
    arguments = _parse(argv)
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # ends as Ctrl-C does
    try:
        return _versus(arguments)
    except KeyboardInterrupt:
        print("\nInterrupted before a round was complete: there is nothing to tell.", file=sys.stderr)
        return 130


def _parse(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m scripts.versus",
        description="Race our engine against transformers.generate doing the same work: same checkpoint, prompts, "
        "guidance, masks and threads, in float32, in turns. First both must write the same tokens greedily.",
    )
    parser.add_argument("subject", choices=["planner"], help="what is raced")
    parser.add_argument(
        "--scale", default="tiny", help="tiny (default), full (the 0.6B shape), or a checkpoint's folder"
    )
    parser.add_argument("--tokens", type=int, help="codes a sample (default 100, full 50)")
    parser.add_argument("--batch", default="1,4", help="numbers of samples, separated by commas (default 1,4)")
    parser.add_argument("--rounds", type=int, help="each runs everything twice (default 7, full 3)")
    parser.add_argument("--threads", type=int, help="of the processor (default: 1, full: all cores)")
    parser.add_argument("--engine", default="pt", help="pt (default), vllm or mlx")
    parser.add_argument("--device", default="cpu", help="cpu (default), cuda, mps or auto")
    parser.add_argument("--json", action="store_true", help="print JSON instead of the tables")
    arguments = parser.parse_args(argv)
    tokens, rounds = DEFAULTS.get(arguments.scale, DEFAULTS["full"])
    arguments.tokens = tokens if arguments.tokens is None else arguments.tokens
    arguments.rounds = rounds if arguments.rounds is None else arguments.rounds
    arguments.batch = _numbers(parser, arguments.batch)
    for name, least, most in (("tokens", 1, MAX_TOKENS), ("rounds", 1, 1000)):
        if not least <= getattr(arguments, name) <= most:
            parser.error(f"--{name} is {getattr(arguments, name)}, expected {least} to {most}")
    if arguments.threads is not None and not 1 <= arguments.threads <= 1024:
        parser.error(f"--threads is {arguments.threads}, expected 1 to 1024")
    return arguments


def _numbers(parser: argparse.ArgumentParser, text: str) -> list[int]:
    try:
        batches = [int(number) for number in text.split(",")]
    except ValueError:
        parser.error(f"--batch is {text!r}, expected whole numbers separated by commas, as in 1,4")
    if not all(1 <= batch <= MAX_BATCH for batch in batches):
        parser.error(f"--batch is {text!r}, expected numbers from 1 to {MAX_BATCH}")
    return sorted(set(batches))


def _versus(arguments: argparse.Namespace) -> int:
    import torch

    from acestep.checkpoints import CheckpointError
    from acestep.devices import resolve_device
    from benchmarks.harness.host import usable_cores
    from scripts.versus.planner import DisagreementError, PlannerRace
    from scripts.versus.race import Spread, race

    torch.set_num_threads(arguments.threads or (1 if arguments.scale == "tiny" else usable_cores()))
    try:
        device = resolve_device(arguments.device)
        with _checkpoint(arguments.scale) as folder:
            options = {"engine": arguments.engine, "tokens": arguments.tokens, "batches": arguments.batch}
            contest = PlannerRace(folder, **options, device=device)
            lanes, comparisons = contest.lanes(_say)
    except (CheckpointError, ValueError, OSError) as error:
        print(f"scripts.versus: {error}", file=sys.stderr)
        return 2
    except DisagreementError as error:
        print(f"scripts.versus: {error} A race between different works means nothing.", file=sys.stderr)
        return 1
    bandwidths = race(lanes, arguments.rounds, device, contest.weights_bytes)
    bandwidth = Spread.of(bandwidths)
    facts = {
        "scale": arguments.scale,
        "device": device,
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "tokens": arguments.tokens,
        "rounds": len(bandwidths),
        "weights_bytes": contest.weights_bytes,
        "bandwidth_bytes_per_s": vars(bandwidth),
    }
    print(_as_json(facts, lanes, comparisons) if arguments.json else _as_tables(facts, bandwidth, lanes, comparisons))
    return 0


@contextmanager
def _checkpoint(scale: str) -> Iterator[Path]:
    """The planner's folder of *scale*; the full one is written for this run, which takes less than a minute."""
    from acestep.checkpoints import CheckpointError
    from acestep.synthetic import SCALES, cached
    from acestep.synthetic.planner import write_planner

    if scale == "tiny":
        yield cached("tiny") / PLANNER
        return
    if scale == "full":
        with TemporaryDirectory(prefix="versus-") as root:
            folder = Path(root) / PLANNER
            _say("writing a full-size checkpoint of random weights")
            write_planner(folder, "0.6B", "full")
            yield folder
        return
    folder = Path(scale).expanduser()
    if not (folder / "config.json").is_file():
        raise CheckpointError(
            f"--scale {scale!r} is neither {' nor '.join(SCALES)} nor a planner's folder with a config.json."
        )
    yield folder


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _as_json(facts: dict[str, object], lanes: list[Lane], comparisons: list[Comparison]) -> str:
    return json.dumps(
        facts
        | {
            "lanes": [
                {
                    "name": lane.name,
                    "tokens": lane.tokens,
                    "seconds": lane.seconds,
                    "tokens_per_s": vars(lane.rate),
                    "share_of_bound": vars(lane.share),
                }
                for lane in lanes
            ],
            "speedups": [
                {"work": pair.text, "of": pair.lane.name, "against": pair.against.name}
                | vars(pair.lane.speedup(pair.against))
                for pair in comparisons
            ],
        },
        indent=2,
    )


def _as_tables(facts: dict[str, object], bandwidth: Spread, lanes: list[Lane], comparisons: list[Comparison]) -> str:
    weights_bytes = float(str(facts["weights_bytes"]))
    lines = [
        f"{facts['scale']} on {facts['device']}, {facts['threads']} threads, torch {facts['torch']}, float32, "
        f"{facts['tokens']} codes a sample, guidance and top-p; {facts['rounds']} rounds, each twice in turns",
        "both sides wrote the same tokens greedily, in every line",
        f"a step needs {weights_bytes / 1e6:,.1f} MB of weights, read at {bandwidth.median / 1e9:.1f} GB/s "
        f"({bandwidth.least / 1e9:.1f} to {bandwidth.most / 1e9:.1f})",
        "",
        f"{'':32}{'tokens/s':>10}{'from':>9}{'to':>9}{'share of bound':>18}",
    ]
    for lane in lanes:
        rate = lane.rate
        numbers = f"{rate.median:10.1f}{rate.least:9.1f}{rate.most:9.1f}{lane.share.median:17.0%}"
        lines.append(f"{lane.name:32}{numbers}")
    lines += ["", f"{'speed over generate':48}{'ratio':>8}{'from':>8}{'to':>8}"]
    for pair in comparisons:
        ratio = pair.lane.speedup(pair.against)
        lines.append(f"{pair.text:48}{ratio.median:7.2f}x{ratio.least:7.2f}x{ratio.most:7.2f}x")
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
