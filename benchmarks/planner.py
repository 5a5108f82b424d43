"""Parts of the planner alone: prefill, decode steps, the grammar, and each of the two phases, by engine.

vllm caches prefixes. Only the samples of Prefill have different prompts, so only there it prefills them every time.
"""

from __future__ import annotations

from benchmarks.harness import matrices, matrix
from benchmarks.harness.series import FromRecords, cost, exact, for_whole_matrix, memory, parameters, ratio, timed


@for_whole_matrix
def setup_cache() -> matrix.Records:
    """Measure the selected cells; asv passes the records to all classes of this module."""
    return matrix.measure_matrix(matrices.PLANNER_MATRIX)


class _TokenSeries(FromRecords):
    """The series of every class that generates tokens."""

    track_tokens = exact("tokens", "tokens written")
    track_forwards = cost("forwards", "forwards", "calls of the model")
    track_operators = exact("operators")


class _PhaseSeries(_TokenSeries):
    """The series of a whole phase."""

    track_time_wall = timed("wall", "wall time")
    track_time_token_generation = timed("token_generation", "model and sampling")
    track_s_per_token = ratio("s_per_token", "s/token", "seconds per token")
    track_distance = exact("distance")


class Prefill(_TokenSeries):
    """Prefill of a prompt, and the first audio code; with guidance, of the unconditional prompt as well."""

    stage = "Prefill"
    params, param_names = parameters(matrices.PLANNER_AXES[stage])
    version = "2"

    track_time = timed("time", "time")
    track_peak_memory = memory("peak_memory", "peak memory")


class DecodeStep(_TokenSeries):
    """One decode step: forward pass, guidance and sampling of a token for each piece. Text is not constrained.

    time: of 100 steps after a prompt of 16 tokens, divided by 100. tokens, forwards: of all 100 steps.
    """

    stage = "DecodeStep"
    params, param_names = parameters(matrices.PLANNER_AXES[stage])
    version = "2"

    track_time = timed("time", "time of one step")
    track_peak_memory = memory("peak_memory", "peak memory")
    track_distance = exact("distance")


class ChainOfThought(_PhaseSeries):
    """Phase 1: metadata from caption and lyrics, with or without the constraint.

    tokens: including forced tokens, which need no forward pass.
    """

    stage = "ChainOfThought"
    params, param_names = parameters(matrices.PLANNER_AXES[stage])
    version = "2"

    track_time_constrained = timed("constrained", "grammar and masks")


class CodesPhase(_PhaseSeries):
    """Phase 2: five audio codes per second for each piece of the batch, with guidance."""

    stage = "CodesPhase"
    params, param_names = parameters(matrices.PLANNER_AXES[stage])
    version = "2"

    track_time_guidance = timed("guidance", "guidance")


class Constraint(FromRecords):
    """Constrained decoding of a fixed chain of thought, without a model.

    new: what has to be compiled. tokenizer: everything, as after loading a planner; form: the schema of a new kind of
    request; nothing: all is compiled already. caption: whether the chain of thought has a caption.
    chosen: tokens that the grammar does not force; in a generation each needs a forward pass.
    """

    stage = "Constraint"
    params, param_names = parameters(matrices.PLANNER_AXES[stage])
    version = "2"

    track_time_compile = timed("compile", "compiling")
    track_time_mask = timed("mask", "mask and acceptance, per chosen token")
    track_tokens = exact("tokens", "tokens written")
    track_chosen_tokens = cost("chosen_tokens", "tokens", "tokens that the model has to choose")
    track_chosen_share = cost("chosen_share", "share", "share of tokens that the model has to choose")
