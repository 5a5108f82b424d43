"""Mode ``profile``: measures one generation and prints the breakdown of its time."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from acestep.constants import SAMPLE_RATE
from acestep.examples import Example
from benchmarks.harness.record import Record
from scripts.tracker.profiling.breakdown import render
from scripts.tracker.profiling.function_profile import profiled
from scripts.tracker.profiling.generation import DEFAULT_STEPS, Configuration, Generations, entry_of, stages_of
from scripts.tracker.profiling.options import thinking_of
from scripts.tracker.profiling.results import Results
from scripts.tracker.profiling.session import Session
from scripts.tracker.profiling.text_tables import WIDE
from scripts.tracker.profiling.token_table import generation_tokens

DETAILED_FILE = "profile_cprofile_detailed.txt"
CAPTION_CHARACTERS = 80


def run(session: Session, example: Example, arguments: argparse.Namespace, results: Results) -> int:
    """Measure the generation and print the breakdown; returns the exit code."""
    generations, configuration = Generations(session, example, arguments), _configuration(example, arguments)
    print(f"Example: {example.name}: {_short(example.caption)}")
    print(
        f"Task: {arguments.task_type}, batch {configuration.batch_size}, {configuration.inference_steps} steps, "
        f"{'planned' if configuration.duration is None else f'{configuration.duration:g}'} s"
    )
    warmup = not arguments.no_warmup
    print("\nWARMUP RUN and PROFILING RUN" if warmup else "\nPROFILING RUN, cold", "-" * WIDE, sep="\n", flush=True)
    record = generations.measure(configuration, arguments.repeat or 1, warmup=warmup)
    results.add(entry_of(configuration, record))
    if record.status != "ok":
        print(f"{record.status.upper()}: {record.reason}")
        return 3
    _tell(record, arguments)
    if arguments.detailed:
        print(f"\n{profiled(lambda: generations.run(configuration), Path(DETAILED_FILE))}")
    return 0


def _tell(record: Record, arguments: argparse.Namespace) -> None:
    work: Any = record.work
    if record.warmup_s:
        print(f"Warm-up: {record.warmup_s:.2f} s")
    seconds = work["audio_samples"] / SAMPLE_RATE
    print(f"Success: {work['audios']} audios of {seconds:.1f} s, VAE decode {work['vae_path']}\n")
    print(render(stages_of(record)))
    if arguments.llm_debug:
        print(f"\n{generation_tokens(record)}")


def _configuration(example: Example, arguments: argparse.Namespace) -> Configuration:
    duration, batch, steps = arguments.duration, arguments.batch_size, arguments.inference_steps
    thinking = thinking_of(arguments)
    return Configuration(
        duration=duration[0] if duration else example.duration_s,
        batch_size=batch[0] if batch else 1,
        thinking=bool(thinking and thinking[0]),
        inference_steps=steps[0] if steps else DEFAULT_STEPS,
    )


def _short(text: str) -> str:
    return text if len(text) <= CAPTION_CHARACTERS else text[:CAPTION_CHARACTERS] + "..."
