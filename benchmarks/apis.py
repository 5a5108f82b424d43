"""Public functions that run the planner alone: understand_music, create_sample and format_sample, by engine.

All samples of a cell have the same prompt. vllm caches prefixes, so it prefills the prompt only once.
"""

from __future__ import annotations

from benchmarks.harness import matrices, matrix
from benchmarks.harness.series import FromRecords, cost, exact, for_whole_matrix, parameters, ratio, timed


@for_whole_matrix
def setup_cache() -> matrix.Records:
    """Measure the selected cells; asv passes the records to all classes of this module."""
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
    """understand_music: metadata and lyrics from `codes_s` seconds of audio codes; with 0 there are none."""

    stage = "Understand"
    params, param_names = parameters(matrices.APIS_AXES[stage])
    version = "2"


class CreateSample(_Call):
    """create_sample: caption, lyrics and metadata from one sentence."""

    stage = "CreateSample"
    params, param_names = parameters(matrices.APIS_AXES[stage])
    version = "2"


class FormatSample(_Call):
    """format_sample: a revised caption, lyrics of `lyric_lines` lines, and metadata."""

    stage = "FormatSample"
    params, param_names = parameters(matrices.APIS_AXES[stage])
    version = "2"
