"""The functions that ask the planner alone: understand_music, create_sample and format_sample, by engine.

Samples of a cell have the same prompt; vllm remembers it, and reads it but once.
"""

from __future__ import annotations

from benchmarks.harness import matrices, matrix
from benchmarks.harness.series import FromRecords, Series, companions, for_whole_matrix, tracks_stage
from benchmarks.harness.workloads.apis import Apis

SERIES = (
    Series("wall", "seconds", "wall time"),
    Series("lm", "seconds", "planner"),
    Series("token_generation", "seconds", "model and sampling"),
    Series("constrained", "seconds", "grammar and masks"),
    Series("s_per_token", "s/token", "seconds per token"),
    Series("tokens", "tokens", "tokens written"),
    Series("forwards", "forwards", "calls of the model"),
    *companions("operators", "distance"),
)


@for_whole_matrix
def setup_cache() -> matrix.Records:
    """Make the chosen calls; asv gives all classes of this module these records."""
    return matrix.measure_matrix(matrices.APIS_MATRIX, Apis)


@tracks_stage(matrices.APIS, *SERIES)
class Understand(FromRecords):
    """understand_music: metadata and lyrics from audio codes of so many seconds; with none of them, from nothing."""


@tracks_stage(matrices.APIS, *SERIES)
class CreateSample(FromRecords):
    """create_sample: caption, lyrics and metadata from one sentence."""


@tracks_stage(matrices.APIS, *SERIES)
class FormatSample(FromRecords):
    """format_sample: caption, lyrics of so many lines and metadata, put in order."""
