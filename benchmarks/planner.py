"""The planner's parts alone: steps of its model, the grammar, and each of its two phases, by engine.

vllm remembers the prompts that it has read: only Prefill, where every sample has another one, makes it read them.
"""

from __future__ import annotations

from benchmarks.harness import matrices, matrix
from benchmarks.harness.series import FromRecords, cost, exact, for_whole_matrix, memory, parameters, ratio, timed


@for_whole_matrix
def setup_cache() -> matrix.Records:
    """Run the chosen parts; asv gives all classes of this module these records."""
    return matrix.measure_matrix(matrices.PLANNER_MATRIX)


class _Written(FromRecords):
    """The series of everything that writes tokens."""

    track_tokens = exact("tokens", "tokens written")
    track_forwards = cost("forwards", "forwards", "calls of the model")
    track_operators = exact("operators")


class _WholePhase(_Written):
    """The series of a whole phase."""

    track_time_wall = timed("wall", "wall time")
    track_time_token_generation = timed("token_generation", "model and sampling")
    track_s_per_token = ratio("s_per_token", "s/token", "seconds per token")
    track_distance = exact("distance")


class Prefill(_Written):
    """A prompt read by the model, and the first audio code; with guidance, its unconditional twin as well."""

    stage = "Prefill"
    params, param_names = parameters(matrices.PLANNER_AXES[stage])
    version = "2"

    track_time = timed("time", "time")
    track_peak_memory = memory("peak_memory", "peak memory")


class DecodeStep(_Written):
    """One more token for each piece of the batch: forward, guidance, choice. Text is written without a grammar.

    time: a hundredth of writing a hundred tokens behind a prompt of 16. tokens, forwards: of all hundred.
    """

    stage = "DecodeStep"
    params, param_names = parameters(matrices.PLANNER_AXES[stage])
    version = "2"

    track_time = timed("time", "time of one step")
    track_peak_memory = memory("peak_memory", "peak memory")
    track_distance = exact("distance")


class ChainOfThought(_WholePhase):
    """The whole first phase: metadata from caption and lyrics, held to the grammar or not.

    tokens: forced ones included, which cost no call of the model.
    """

    stage = "ChainOfThought"
    params, param_names = parameters(matrices.PLANNER_AXES[stage])
    version = "2"

    track_time_constrained = timed("constrained", "grammar and masks")


class CodesPhase(_WholePhase):
    """The whole second phase: five audio codes a second for each piece of the batch, with guidance."""

    stage = "CodesPhase"
    params, param_names = parameters(matrices.PLANNER_AXES[stage])
    version = "2"

    track_time_guidance = timed("guidance", "guidance")


class Constraint(FromRecords):
    """The grammar of a chain of thought, alone: the same text is written every time, and no model runs.

    new: what must be compiled first. tokenizer: everything, as after loading a planner; form: a request unlike those
    before; nothing: a request as before. caption: whether the text has one.
    chosen: all tokens that the grammar does not force; each will cost a call of the model.
    """

    stage = "Constraint"
    params, param_names = parameters(matrices.PLANNER_AXES[stage])
    version = "2"

    track_time_compile = timed("compile", "compiling")
    track_time_mask = timed("mask", "mask and acceptance, per chosen token")
    track_tokens = exact("tokens", "tokens written")
    track_chosen_tokens = cost("chosen_tokens", "tokens", "tokens that the model has to choose")
    track_chosen_share = cost("chosen_share", "share", "share of tokens that the model has to choose")
