"""The functions that ask the planner alone: understand_music, create_sample and format_sample, by engine.

Samples of a cell have the same prompt; vllm remembers it, and reads it but once.
"""

from __future__ import annotations

from benchmarks.harness import matrices, matrix
from benchmarks.harness.series import FromRecords, cost, exact, for_whole_matrix, parameters, ratio, timed


@for_whole_matrix
def setup_cache() -> matrix.Records:
    """Make the chosen calls; asv gives all classes of this module these records."""
    return matrix.measure_matrix(matrices.APIS_MATRIX)


class _Call(FromRecords):
    """The series of every call."""

    track_time_wall = timed("wall", "wall time")
    track_time_lm = timed("lm", "planner")
    track_time_token_generation = timed("token_generation", "model and sampling")
    track_time_constrained = timed("constrained", "grammar and masks")
    track_s_per_token = ratio("s_per_token", "s/token", "seconds per token")
    track_tokens = exact("tokens", "tokens written")
    track_forwards = cost("forwards", "forwards", "calls of the model")
    track_operators = exact("operators")
    track_distance = exact("distance")


class Understand(_Call):
    """understand_music: metadata and lyrics from audio codes of so many seconds; with none of them, from nothing."""

    stage = "Understand"
    params, param_names = parameters(matrices.APIS_AXES[stage])
    version = "2"


class CreateSample(_Call):
    """create_sample: caption, lyrics and metadata from one sentence."""

    stage = "CreateSample"
    params, param_names = parameters(matrices.APIS_AXES[stage])
    version = "2"


class FormatSample(_Call):
    """format_sample: caption, lyrics of so many lines and metadata, put in order."""

    stage = "FormatSample"
    params, param_names = parameters(matrices.APIS_AXES[stage])
    version = "2"
