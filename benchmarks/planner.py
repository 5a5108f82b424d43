"""The planner's parts alone: steps of its model, the grammar, and each of its two phases, by engine.

vllm remembers the prompts that it has read: only Prefill, where every sample has another one, makes it read them.
"""

from __future__ import annotations

from benchmarks.harness import matrices, matrix
from benchmarks.harness.series import FromRecords, Series, companions, for_whole_matrix, tracks_stage
from benchmarks.harness.workloads.planner import Planner

TOKENS = Series("tokens", "tokens", "tokens written")
FORWARDS = Series("forwards", "forwards", "calls of the model")
PEAK_MEMORY = Series("peak_memory", "bytes", "peak memory")
WALL = Series("wall", "seconds", "wall time")
PER_TOKEN = Series("s_per_token", "s/token", "seconds per token")
OPERATORS, DISTANCE = companions("operators", "distance")
GENERATION = Series("token_generation", "seconds", "model and sampling")


@for_whole_matrix
def setup_cache() -> matrix.Records:
    """Run the chosen parts; asv gives all classes of this module these records."""
    return matrix.measure_matrix(matrices.PLANNER_MATRIX, Planner)


@tracks_stage(matrices.PLANNER, Series("time", "seconds", "time"), TOKENS, FORWARDS, PEAK_MEMORY, OPERATORS)
class Prefill(FromRecords):
    """A prompt read by the model, and the first audio code; with guidance, its unconditional twin as well."""


@tracks_stage(
    matrices.PLANNER,
    Series("time", "seconds", "time of one step"),
    TOKENS,
    FORWARDS,
    PEAK_MEMORY,
    OPERATORS,
    DISTANCE,
)
class DecodeStep(FromRecords):
    """One more token for each piece of the batch: forward, guidance, choice. Text is written without a grammar.

    time: a hundredth of writing a hundred tokens behind a prompt of 16. tokens, forwards: of all hundred.
    """


@tracks_stage(
    matrices.PLANNER,
    WALL,
    GENERATION,
    Series("constrained", "seconds", "grammar and masks"),
    PER_TOKEN,
    TOKENS,
    FORWARDS,
    OPERATORS,
    DISTANCE,
)
class ChainOfThought(FromRecords):
    """The whole first phase: metadata from caption and lyrics, held to the grammar or not.

    tokens: forced ones included, which cost no call of the model.
    """


@tracks_stage(
    matrices.PLANNER,
    WALL,
    GENERATION,
    Series("guidance", "seconds", "guidance"),
    PER_TOKEN,
    TOKENS,
    FORWARDS,
    OPERATORS,
    DISTANCE,
)
class CodesPhase(FromRecords):
    """The whole second phase: five audio codes a second for each piece of the batch, with guidance."""


@tracks_stage(
    matrices.PLANNER,
    Series("compile", "seconds", "compiling"),
    Series("mask", "seconds", "mask and acceptance, per chosen token"),
    TOKENS,
    Series("chosen_tokens", "tokens", "tokens that the model has to choose"),
    Series("chosen_share", "share", "share of tokens that the model has to choose"),
)
class Constraint(FromRecords):
    """The grammar of a chain of thought, alone: the same text is written every time, and no model runs.

    new: what must be compiled first. tokenizer: everything, as after loading a planner; form: a request unlike those
    before; nothing: a request as before. caption: whether the text has one.
    chosen: all tokens that the grammar does not force; each will cost a call of the model.
    """
