"""The workloads of the planner's parts, on the tiny models."""

import json

import pytest

from benchmarks.harness.cells import key
from benchmarks.harness.matrices import ENGINES, PLANNER_AXES, PLANNER_MATRIX
from benchmarks.harness.workload import CellFailed, Sample, Unsupported
from benchmarks.harness.workloads import planner_cache
from benchmarks.harness.workloads.planner import PREPARE_PART, Planner
from benchmarks.harness.workloads.planner_cache import PlannerCache
from tests.benchmarks.fakes import record_of

TEXT_STEP = {"stage": "DecodeStep", "engine": "pt", "phase": "text", "batch": 1, "guidance": False}
CODE_STEP = {"stage": "DecodeStep", "engine": "pt", "phase": "codes", "batch": 2, "guidance": True}
THOUGHT = {"stage": "ChainOfThought", "engine": "pt", "constrained": True, "caption": True}
CODES = {"stage": "CodesPhase", "engine": "pt", "duration": 30, "batch": 2}
EXACT = {"tokens", "forwards", "chosen_tokens", "chosen_share", "peak_memory"}


def taken(state, cell):
    return Planner().prepare(state, cell)()


def test_every_part_has_a_workload():
    assert PREPARE_PART.keys() == PLANNER_AXES.keys()


@pytest.mark.parametrize("cell", PLANNER_MATRIX.quick, ids=key)
def test_tokens_and_forwards_are_exact_from_run_to_run(state, cell):
    first, again = taken(state, cell), taken(state, cell)
    exact = EXACT & first.series.keys()

    assert "tokens" in exact
    assert {name: again.series[name] for name in exact} == {name: first.series[name] for name in exact}
    assert again.work == first.work
    assert again.output == first.output
    assert (first.output is None) == (cell["stage"] in ("Prefill", "Constraint"))
    assert first.in_torch == (cell["stage"] != "Constraint")


def test_words_are_those_of_the_metadata_and_a_word_a_code(state):
    codes, thought = taken(state, CODES).output, taken(state, THOUGHT).output

    assert codes.startswith('[{"duration": 30}, {"duration": 30}] ')
    assert [word.isdigit() for word in codes.split()[4:]] == [True] * 2 * 5 * 30
    assert json.loads(thought).keys() >= {"bpm", "caption", "keyscale"}


def test_only_one_engine_computes_in_this_process_with_torch():
    sample = Sample({}, {}, 1.0)

    assert planner_cache.computed_by("pt", lambda: sample)() is sample
    assert {planner_cache.computed_by(name, lambda: sample)().in_torch for name in ENGINES if name != "pt"} == {False}


def test_a_step_is_a_hundredth_of_a_hundred_tokens(state):
    text, codes = taken(state, TEXT_STEP), taken(state, CODE_STEP)

    assert (text.series["tokens"], codes.series["tokens"]) == (100, 200)
    assert text.series["time"] == pytest.approx(text.timed_s / 100)
    assert 100 <= codes.series["forwards"] <= 102


def test_every_prefill_reads_a_prompt_of_its_length_that_was_not_read_before(state, monkeypatch):
    read = []
    engine = state.engine("pt")
    write = engine.write_codes
    monkeypatch.setattr(engine, "write_codes", lambda request: read.append(request) or write(request))
    for guidance in (False, True):
        cell = {"stage": "Prefill", "engine": "pt", "prompt_tokens": 128, "guidance": guidance}
        take = Planner().prepare(state, cell)
        take(), take()

    prompts = [prompt for request in read for prompt in (request.prompt, request.unconditional) if prompt]

    assert {len(prompt) for prompt in prompts} == {128}
    assert len({tuple(prompt[:16]) for prompt in prompts}) == len(prompts) >= 6


@pytest.mark.parametrize("changes", [{"batch": 2}, {"guidance": True}])
def test_text_has_neither_batch_nor_guidance(state, changes):
    with pytest.raises(Unsupported, match="text for one sample at a time, without guidance"):
        Planner().prepare(state, {**TEXT_STEP, **changes})


def test_forced_tokens_cost_the_chain_of_thought_no_forward(state):
    series = taken(state, THOUGHT).series

    assert 0 < series["forwards"] < series["tokens"]
    assert series["s_per_token"] == pytest.approx(series["wall"] / series["tokens"])
    assert series["token_generation"] + series["constrained"] <= series["wall"]


def test_without_a_constraint_the_chain_of_thought_has_no_time_for_it(state):
    assert "constrained" not in taken(state, {**THOUGHT, "constrained": False}).series


def test_the_codes_phase_writes_the_codes_of_its_duration(state):
    sample = taken(state, CODES)

    assert sample.work["code_tokens"] == sample.series["tokens"] == 5 * 30 * 2
    assert sample.series["guidance"] < sample.series["wall"]


def test_a_call_that_does_other_work_fails(state, monkeypatch):
    handler = state.handler("pt")
    write = handler.generate_with_stop_condition
    monkeypatch.setattr(
        handler, "generate_with_stop_condition", lambda *args, **kw: write(*args, **{**kw, "target_duration": 31.0})
    )

    with pytest.raises(CellFailed, match="310 codes instead of 300"):
        taken(state, CODES)


@pytest.mark.parametrize("new", ["tokenizer", "form", "nothing"])
def test_the_same_text_is_written_whatever_is_new(state, new):
    cell = {"stage": "Constraint", "new": new, "caption": True}
    known = taken(state, {**cell, "new": "nothing"})

    assert taken(state, cell).work == known.work
    assert known.series["chosen_share"] == known.series["chosen_tokens"] / known.series["tokens"] < 1


@pytest.mark.parametrize("new", ["tokenizer", "form"])
def test_compiling_something_new_really_compiles(state, monkeypatch, new):
    from acestep.planner import grammar

    compiled = []
    matcher = grammar.LLMatcher
    monkeypatch.setattr(grammar, "LLMatcher", lambda *args: compiled.append(args) or matcher(*args))
    take = Planner().prepare(state, {"stage": "Constraint", "new": new, "caption": False})
    before = len(compiled)
    take()
    take()

    assert len(compiled) == before + 2


@pytest.mark.parametrize("cell", [THOUGHT, CODE_STEP], ids=key)
def test_an_engine_that_is_missing_is_not_available_rather_than_failed(state, monkeypatch, cell):
    monkeypatch.setattr("acestep.planner.engines.select_backend", _no_engine)

    record = record_of("planner", Planner(), PlannerCache(state.settings), {**cell, "engine": "vllm"}, None)

    assert (record.status, record.reason) == ("skip", "backend 'vllm' is not on this cpu: pip install it")


def _no_engine(name, device):
    raise ValueError(f"backend {name!r} is not on this {device}: pip install it")


def test_engines_are_loaded_once_and_one_at_a_time(state, monkeypatch):
    events = []

    class Handler:
        def __init__(self, name):
            events.append(f"load {name}")
            self.name = name

        def unload(self):
            events.append(f"unload {self.name}")

    def load(_settings, _root, name):
        if name == "vllm":
            events.append("try vllm")
            raise RuntimeError("no memory for vllm")
        return Handler(name)

    monkeypatch.setattr(planner_cache, "load_lm", load)
    held = PlannerCache(state.settings)
    for name in ("pt", "pt", "vllm", "vllm", "mlx"):
        if name == "vllm":
            with pytest.raises(RuntimeError, match="no memory for vllm"):
                held.handler(name)
        else:
            assert held.handler(name).name == name

    assert events == ["load pt", "unload pt", "try vllm", "load mlx"]
