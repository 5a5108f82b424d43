"""The workloads of the functions that ask the planner alone, on the tiny models."""

from itertools import count

import pytest

from acestep import inference
from benchmarks.harness.cells import key
from benchmarks.harness.matrices import APIS_AXES, APIS_MATRIX
from benchmarks.harness.workload import CellFailed, Unsupported
from benchmarks.harness.workloads import apis
from benchmarks.harness.workloads.apis import Apis
from benchmarks.harness.workloads.planner_cache import PlannerCache
from tests.benchmarks.fakes import record_of

UNDERSTAND = {"stage": "Understand", "engine": "pt", "constrained": True, "codes_s": 30}


def taken(state, cell):
    return Apis().prepare(state, cell)()


def test_every_function_has_a_workload():
    assert apis.APIS.keys() == APIS_AXES.keys()


@pytest.mark.parametrize("cell", APIS_MATRIX.quick, ids=key)
def test_tokens_and_forwards_are_exact_from_run_to_run(state, cell):
    first, again = taken(state, cell), taken(state, cell)

    assert 0 < first.series["forwards"] < first.series["tokens"]
    assert again.work == first.work
    assert [again.series[name] for name in ("tokens", "forwards")] == [
        first.series[name] for name in ("tokens", "forwards")
    ]
    assert again.output == first.output
    assert [line.partition(":")[0] for line in first.output.splitlines()][: len(apis.FIELDS) - 1] == [*apis.FIELDS[:-1]]


def test_the_planner_s_time_is_within_the_wall_time_and_is_made_of_model_and_grammar(state):
    series = taken(state, UNDERSTAND).series

    assert series["token_generation"] + series["constrained"] == pytest.approx(series["lm"])
    assert series["lm"] <= series["wall"]
    assert series["s_per_token"] == pytest.approx(series["wall"] / series["tokens"])


@pytest.mark.parametrize(
    ("longer", "shorter"),
    [
        ({"codes_s": 30}, {"codes_s": 0}),
        ({"stage": "FormatSample", "lyric_lines": 16}, {"stage": "FormatSample", "lyric_lines": 4}),
    ],
)
def test_longer_inputs_are_longer_prompts(state, longer, shorter):
    tokens = [taken(state, {**UNDERSTAND, **changes}).work["prompt_tokens"] for changes in (longer, shorter)]

    assert tokens[0] > tokens[1]


@pytest.mark.parametrize("stage", APIS_AXES)
def test_without_a_constraint_the_same_tokens_are_written_understood_or_not(state, stage):
    cell = next(c for c in APIS_MATRIX.cells if c["stage"] == stage and not c["constrained"])
    first = taken(state, cell)

    assert "constrained" not in first.series
    assert taken(state, cell).work == first.work


def test_work_that_changes_between_samples_fails_the_cell(state, monkeypatch):
    seeds = count()
    understand = inference.understand_music

    def unseeded(*args, seed, **kw):
        return understand(*args, seed=seed + next(seeds), **kw)

    monkeypatch.setattr(inference, "understand_music", unseeded)

    record = record_of("apis", Apis(), state, UNDERSTAND, None)

    assert record.status == "fail"
    assert "different work: " in record.reason


def test_a_failed_call_fails_with_its_error(state, monkeypatch):
    def fail(_handler, seed, **_inputs):
        return inference.UnderstandResult(success=False, error=f"nothing comes of {seed}")

    monkeypatch.setattr(inference, "understand_music", fail)

    with pytest.raises(CellFailed, match="nothing comes of 42"):
        taken(state, UNDERSTAND)


def test_a_commit_without_the_function_is_too_old(state, monkeypatch):
    monkeypatch.delattr(inference, "understand_music")

    with pytest.raises(Unsupported, match="has no understand_music"):
        Apis().prepare(state, UNDERSTAND)


def test_an_engine_that_is_missing_is_not_available_rather_than_failed(state, monkeypatch):
    def choose(name, device):
        raise ValueError(f"backend {name!r} is not on this {device}: pip install it")

    monkeypatch.setattr("acestep.planner.engines.select_backend", choose)

    record = record_of("apis", Apis(), PlannerCache(state.settings), {**UNDERSTAND, "engine": "vllm"}, None)

    assert (record.status, record.reason) == ("skip", "backend 'vllm' is not on this cpu: pip install it")
