"""One call of `generate_music`: the request, the call, and the sample that is made of its result."""

from __future__ import annotations

import statistics
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from benchmarks.harness.adapters import package
from benchmarks.harness.device import Region, observe
from benchmarks.harness.fingerprint import fingerprint
from benchmarks.harness.record import Scalar
from benchmarks.harness.workload import CellFailed, Sample

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

SAMPLE_RATE = 48_000
CODES_PER_SECOND = 5
FIRST_SEED = 42
CAPTION = "An unhurried folk waltz: fingerpicked guitar, upright bass, brushed snare, a warm alto voice."
LYRICS = """[verse]
The ferry left at a quarter past nine,
we counted the gulls and the lamps on the line.

[chorus]
Row me home, row me slow,
the river remembers the way that we go.
"""
TINIEST_CODES = 1000
"""Number of audio codes that even the smallest planner has."""

TIME_COSTS = {
    "lm": "lm_total_time",
    "text_encode": "text_encode_time_cost",
    "condition": "dit_encoder_time_cost",
    "code_decode": "code_decode_time_cost",
    "dit": "dit_diffusion_time_cost",
    "vae": "dit_vae_decode_time_cost",
    "post": "post_process_time_cost",
    "save": "audio_save_time_cost",
    "other": "other_time_cost",
}
"""The entry of ``time_costs`` that each series is; for text2music their sum is the wall time."""


@dataclass(frozen=True)
class GenerationRequest:
    """The arguments of one call of `generate_music`, and the work that it has to do.

    Attributes:
        params: fields of `GenerationParams`; caption, lyrics and language have defaults here.
        batch: number of pieces.
        work: the entries of a sample's work that the call must have, see `check_work`.
        seed: seed of the first piece; the others count up from it. None draws a random seed for each.
    """

    params: Mapping[str, Any]
    batch: int
    work: Mapping[str, Scalar]
    seed: int | None = FIRST_SEED


def audio_codes(seconds: int) -> str:
    """Return audio codes for *seconds* of audio, as text."""
    codes = (379 * position % TINIEST_CODES for position in range(CODES_PER_SECOND * seconds))
    return "".join(f"<|audio_code_{code}|>" for code in codes)


def generate(dit: Any, lm: Any, device: str, asked: GenerationRequest) -> Region[Any]:
    """Call `generate_music`, which saves its files in a folder that is removed afterwards.

    Raises CellFailed with the reported error if the generation fails.
    """
    function = package.public("generate_music")
    params = package.public("GenerationParams")(
        **{"caption": CAPTION, "lyrics": LYRICS, "vocal_language": "en", **asked.params}
    )
    config = package.public("GenerationConfig")(
        batch_size=asked.batch,
        use_random_seed=asked.seed is None,
        seeds=None if asked.seed is None else [asked.seed + item for item in range(asked.batch)],
        audio_format="flac",
    )
    with tempfile.TemporaryDirectory() as folder:
        run = observe(device, partial(function, dit, lm, params, config, save_dir=folder))
    if not run.result.success:
        raise CellFailed(str(run.result.error))
    return run


def as_sample(run: Region[Any], dit: Any, asked: GenerationRequest, stages: Mapping[str, str] = TIME_COSTS) -> Sample:
    """Return the sample of *run*; *stages* names the entries of ``time_costs`` that become series.

    Raises CellFailed if the run did other work than requested.
    """
    work = {**_work(run.result), "vae_path": _vae_path(run.result, dit.vae)}
    check_work(work, asked.work)
    waveforms = _waveforms(run.result)
    series = _series(run.result, waveforms, run.time_s, stages)
    return Sample(series, work, run.time_s, run.peak_bytes, output=waveforms, wait_s=run.wait_s)


def check_work(work: Mapping[str, Scalar], wanted: Mapping[str, Scalar]) -> None:
    """Raise CellFailed if *work* differs from the *wanted* entries: the time of other work is no measure of speed.

    Entries that the commit does not report are not compared.
    """
    wrong = [f"{name} {work[name]} instead of {n}" for name, n in wanted.items() if work.get(name, n) != n]
    if wrong:
        raise CellFailed(f"it did other work than it was asked for: {', '.join(wrong)}")


def _work(result: Any) -> dict[str, Scalar]:
    """Return the work of a call: the counts that it reports, and those that its output shows."""
    audios, reported = result.audios, result.extra_outputs
    spans = reported.get("spans", ())
    return {
        **reported.get("counts", {}),
        **({"span": " ".join(map(str, spans[0]))} if spans else {}),
        "audios": len(audios),
        "audio_samples": min(audio["tensor"].shape[-1] for audio in audios),
        "files": sum(bool(audio["path"]) for audio in audios),
        "codes": sum(audio["params"].get("audio_codes", "").count("<|audio_code_") for audio in audios),
    }


def _vae_path(result: Any, vae: Any) -> str:
    """Return how the VAE decoded: ``whole``, or the path and the latent frames of a tile.

    Older commits do not report it; there the switch of the VAE says whether it decoded in tiles.
    """
    report = result.extra_outputs.get("vae_decode")
    if report:
        return "whole" if report["path"] == "whole" else f"{report['path']} {report['window_frames']}"
    return "tiled" if getattr(vae, "use_tiling", False) else "whole"


def _waveforms(result: Any) -> NDArray[np.float32]:
    """Return the waveforms of all pieces, ``(batch, 2, samples)``."""
    import numpy as np

    return np.stack([audio["tensor"].numpy() for audio in result.audios])


def _series(result: Any, waveforms: NDArray[np.float32], wall_s: float, stages: Mapping[str, str]) -> dict[str, float]:
    """Return the values of all series; a stage that did not run has no series."""
    costs, counts = result.extra_outputs["time_costs"], result.extra_outputs.get("counts", {})
    series = {name: costs[entry] for name, entry in stages.items() if costs.get(entry)}
    tokens = counts.get("lm_cot_tokens", 0) + counts.get("lm_code_tokens", 0)
    return {
        "wall": wall_s,
        **series,
        **({"dit_step": statistics.median(costs["dit_step_time_costs"])} if "dit" in series else {}),
        "s_per_audio_s": wall_s * SAMPLE_RATE / (len(waveforms) * waveforms.shape[-1]),
        **({"tokens": float(tokens)} if tokens else {}),
        **({"forwards": float(counts["lm_forwards"])} if counts.get("lm_forwards") else {}),
        "fingerprint": fingerprint(waveforms),
    }
