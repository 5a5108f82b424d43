"""Measures generations of one example in any configuration, with the harness of the benchmarks."""

from __future__ import annotations

import argparse
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from acestep.examples import Example
from benchmarks.harness.contention import is_contended
from benchmarks.harness.host import describe
from benchmarks.harness.measure import classify
from benchmarks.harness.record import Cell, Record
from benchmarks.harness.workload import Sample
from benchmarks.harness.workloads.generation import TIME_COSTS, GenerationRequest, as_sample, generate
from scripts.tracker.profiling.breakdown import Stages
from scripts.tracker.profiling.results import spreads
from scripts.tracker.profiling.session import Session

DEFAULT_STEPS = 8
DEFAULT_SEED = 42
PARTS = {
    **TIME_COSTS,
    "lm_tokens": "lm_token_generation_time",
    "lm_constrained": "lm_constrained_decoding_time",
    "lm_cfg": "lm_cfg_time",
    "lm_phase1": "lm_phase1_time",
    "lm_phase2": "lm_phase2_time",
    "dit_per_step": "dit_diffusion_per_step_time_cost",
    "transfer": "dit_offload_time_cost",
    "audio_load": "audio_load_time_cost",
    "reference_encode": "reference_encode_time_cost",
    "source_encode": "source_encode_time_cost",
}
"""The series of a record, and the entry of ``time_costs`` of each."""


@dataclass(frozen=True)
class Configuration:
    """What varies between generations of one example; the planner chooses a *duration* (seconds) of None."""

    duration: float | None
    batch_size: int
    thinking: bool
    inference_steps: int

    @property
    def cell(self) -> Cell:
        """The configuration as parameters of a record."""
        return {
            "duration": "auto" if self.duration is None else self.duration,
            "batch": self.batch_size,
            "thinking": self.thinking,
            "steps": self.inference_steps,
        }


class Generations:
    """Measures configurations of *example* with the options of the command line."""

    def __init__(self, session: Session, example: Example, arguments: argparse.Namespace) -> None:
        self._session, self._example, self._arguments = session, example, arguments
        self._host = describe(session.settings)

    def steps(self, asked: int) -> int:
        """Return the number of steps that the model executes if *asked* steps are requested."""
        most = self._session.dit.variant.max_steps
        return asked if most is None else min(asked, most)

    def asked(self, configuration: Configuration) -> GenerationRequest:
        """Return the request of one call."""
        arguments, thinking = self._arguments, configuration.thinking
        plans_all = thinking and arguments.mode == "benchmark"
        params: dict[str, Any] = {
            **self._example.params,
            "duration": configuration.duration,
            "task_type": arguments.task_type,
            "reference_audio": arguments.reference_audio,
            "src_audio": arguments.src_audio,
            "inference_steps": configuration.inference_steps,
            "guidance_scale": arguments.guidance_scale,
            "thinking": thinking,
            "use_cot_metas": thinking or arguments.use_cot_metas,
            "use_cot_caption": plans_all or arguments.use_cot_caption,
            "use_cot_language": plans_all or arguments.use_cot_language,
            "use_constrained_decoding": not arguments.no_constrained_decoding,
            "lm_temperature": arguments.lm_temperature,
            "lm_cfg_scale": arguments.lm_cfg_scale,
        }
        seed = DEFAULT_SEED if arguments.seed is None else arguments.seed
        work = {"audios": configuration.batch_size, "steps": self.steps(configuration.inference_steps)}
        return GenerationRequest(params, configuration.batch_size, work, None if seed < 0 else seed)

    def run(self, configuration: Configuration) -> Sample:
        """Run one generation.

        Raises:
            CellFailed: it failed, or did other work than requested.
        """
        asked, session = self.asked(configuration), self._session
        call = generate(session.dit, session.lm, session.device, asked)
        return as_sample(call, session.dit, asked, PARTS)

    def measure(self, configuration: Configuration, repeat: int, *, warmup: bool) -> Record:
        """Return a record of *repeat* samples, after a warm-up run with *warmup*; an error becomes its reason."""
        start = time.perf_counter()
        try:
            if warmup:
                self.run(configuration)
            warmup_s = time.perf_counter() - start if warmup else 0.0
            samples = [self.run(configuration) for _ in range(repeat)]
        except Exception as error:  # noqa: BLE001 - a failing configuration must not take the others with it
            status, reason = classify(error)
            return self._record(configuration, status, reason, untimed_s=time.perf_counter() - start)
        common = set.intersection(*(set(sample.series) for sample in samples))
        series = {
            name: [float(sample.series[name]) for sample in samples] for name in samples[0].series if name in common
        }
        timed_s = sum(sample.timed_s for sample in samples)
        peaks = [float(sample.peak_bytes) for sample in samples if sample.peak_bytes is not None]
        return self._record(
            configuration,
            "ok",
            samples={**series, "peak_memory": peaks} if peaks else series,
            work=samples[0].work,
            contention=[sample.wait_s for sample in samples],
            contended=[is_contended(sample.wait_s, sample.timed_s) for sample in samples],
            timed_s=timed_s,
            warmup_s=warmup_s,
            untimed_s=max(0.0, time.perf_counter() - start - warmup_s - timed_s),
        )

    def _record(self, configuration: Configuration, status: Any, reason: str = "", **rest: Any) -> Record:
        mode = str(self._arguments.mode)
        return Record(mode, configuration.cell, status, reason, host=self._host, ended_unix=time.time(), **rest)


def stages_of(record: Record) -> list[Stages]:
    """Return the seconds of every sample by series, and the number of executed steps."""
    count = len(record.samples["wall"])
    steps = float(record.work["steps"])
    return [
        {name: values[index] for name, values in record.samples.items()} | {"steps": steps} for index in range(count)
    ]


def entry_of(configuration: Configuration, record: Record) -> dict[str, Any]:
    """Return the entry of one configuration in the JSON file."""
    told = spreads(record.samples)

    def seconds(*names: str) -> float | None:
        return sum(told[name]["median"] for name in names if name in told) if told else None

    work: Mapping[str, Any] = record.work
    return {
        "config": asdict(configuration),
        "status": record.status,
        "success": record.status == "ok",
        "error": record.reason or None,
        "wall_time": seconds("wall"),
        "lm_time": seconds("lm"),
        "dit_time": seconds("condition", "dit"),
        "vae_time": seconds("vae"),
        "n_audios": work.get("audios", 0),
        "effective": {"batch_size": work.get("audios"), "inference_steps": work.get("steps")},
        "vae_path": work.get("vae_path"),
        "tokens": {name: work.get(f"lm_{name}_tokens", 0) for name in ("prompt", "cot", "code")},
        "samples": told,
        "record": record.to_dict(),
    }
