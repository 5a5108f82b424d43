"""What is vLLM's own: rows that come and go, a small cache, and the process that it shares with us."""

from __future__ import annotations

import gc
import json
import os
import shutil
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from acestep.planner import PlannerError
from acestep.planner.codes import CodeRange
from acestep.planner.cot_schema import CotSchema
from acestep.planner.engines import vllm_memory
from acestep.planner.engines.base import CodesRequest
from acestep.planner.engines.pt import PtEngine
from acestep.planner.engines.vllm_sampling import CodesBatchSampler
from acestep.planner.gpu_timer import StepTimer
from acestep.planner.grammar import Grammar
from acestep.planner.sampling import Sampling, TokenSampler, make_generators
from acestep.planner.vocabulary import Vocabulary
from tests.acestep.planner.engines.conftest import opened
from tests.acestep.planner.requests import GREEDY, text_request

NEVER_TWICE = Sampling(temperature=0.0, repetition_penalty=1e6)


@pytest.fixture(scope="module")
def small(planners: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A planner of 512 positions."""
    folder = shutil.copytree(planners / "acestep-5Hz-lm-0.6B", tmp_path_factory.mktemp("small") / "planner")
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"max_position_embeddings": 512}))
    return folder


@pytest.fixture(scope="module")
def vocabulary(small: Path) -> Vocabulary:
    return Vocabulary(small)


@pytest.fixture(scope="module")
def cramped(small: Path) -> Iterator[Any]:
    """vLLM with the smallest cache that it is started with: 12 blocks of 128 tokens, one of which is its own."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(vllm_memory, "WANTED_TOKENS", 0)
        engine: Any = opened("vllm", small)
    assert (engine._runtime.blocks, engine._runtime.block_size) == (12, 128)
    yield engine
    engine.close()


@pytest.fixture
def asked(vocabulary: Vocabulary) -> CodesRequest:
    prompt = vocabulary.encode(("<|im_start|>user\na calm piano<|im_end|>\n",))
    return CodesRequest(prompt, prompt[:5], 2.0, 200, 3000, NEVER_TWICE, [1, 2, 3, 4])


def changed(asked: CodesRequest, **changes: Any) -> CodesRequest:
    return CodesRequest(**(vars(asked) | changes))


def test_samples_for_which_the_cache_is_too_small_take_turns(
    cramped: Any, small: Path, vocabulary: Vocabulary, asked: CodesRequest
) -> None:
    pt = PtEngine(small, vocabulary, device="cpu", dtype=torch.float32)
    run = cramped.write_codes(asked)
    assert run.codes == pt.write_codes(asked).codes
    assert run.forwards == 2 * (2 + 200)


def test_a_sample_that_is_put_off_is_an_error_and_the_engine_lives_on(
    cramped: Any, asked: CodesRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = cramped.write_codes(changed(asked, seeds=[1]))
    with monkeypatch.context() as patch:
        patch.setattr(cramped, "_samples_at_once", lambda *_: 4)
        with pytest.raises(PlannerError, match="too small"):
            cramped.write_codes(asked)
    assert cramped.write_codes(changed(asked, seeds=[1])).codes == expected.codes


def test_a_constraint_that_fails_is_an_error_and_the_engine_lives_on(cramped: Any, vocabulary: Vocabulary) -> None:
    grammar = Grammar(vocabulary)
    prompt = vocabulary.encode(("<|im_start|>user\na calm piano<|im_end|>\n",))
    form = CotSchema(skipped=frozenset({"caption"}))

    def request() -> Any:
        return text_request(vocabulary, prompt, grammar.constraint(form), limit=300)

    expected = cramped.write_text(request())
    failing = request()
    failing.constraint.allowed = _fail
    with pytest.raises(PlannerError, match="no token fits"):
        cramped.write_text(failing)
    assert cramped.write_text(request()).tokens == expected.tokens


def _fail() -> Any:
    raise PlannerError("no token fits")


def test_all_positions_can_be_used(cramped: Any, asked: CodesRequest) -> None:
    prompt = (asked.prompt * 100)[: cramped.max_positions - 12]
    run = cramped.write_codes(changed(asked, prompt=prompt, unconditional=prompt[1:] + prompt[:1], count=12, seeds=[1]))
    assert len(run.codes[0]) == 12
    with pytest.raises(PlannerError, match="room for 512"):
        cramped.write_codes(changed(asked, prompt=prompt, count=13))


def test_offloaded_weights_come_once_a_job(cramped: Any, asked: CodesRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    moves: list[str] = []
    monkeypatch.setattr(cramped, "_sleeps", True)
    monkeypatch.setattr(cramped._runtime, "wake", lambda: moves.append("wake"))
    monkeypatch.setattr(cramped._runtime, "sleep", lambda: moves.append("sleep"))
    short = changed(asked, count=3, seeds=[1])
    with cramped.on_device():
        cramped.write_codes(short)
        cramped.write_codes(short)
        assert moves == ["wake"]
    assert moves == ["wake", "sleep"]
    with pytest.raises(PlannerError):
        cramped.write_codes(changed(asked, count=600))
    cramped.write_codes(short)
    assert moves == ["wake", "sleep"] * 2


def test_the_process_is_left_as_it_was(planners: Path) -> None:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("VLLM_")}
    set_num_threads, threads, default = torch.set_num_threads, torch.get_num_threads(), torch.get_default_dtype()
    others = _finalizers()
    engine = opened("vllm", planners / "acestep-5Hz-lm-4B")
    weights = weakref.ref(engine.model)
    assert _finalizers() > others
    assert {name: value for name, value in os.environ.items() if not name.startswith("VLLM_")} == environment
    assert torch.set_num_threads is set_num_threads
    assert (torch.get_num_threads(), torch.get_default_dtype()) == (threads, default)
    assert gc.get_freeze_count() == 0
    engine.close()
    assert weights() is None
    assert _finalizers() == others, "finalizers that compute are left for when garbage is collected"
    assert not torch.distributed.is_initialized()


def _finalizers() -> set[int]:
    """The objects of vLLM's whose end is a computation."""
    return {id(found) for found in gc.get_objects() if type(found).__name__ == "CPUDNNLGEMMHandler"}


@pytest.mark.parametrize("moved", ["swapped", "moved", "none"])
def test_rows_are_followed_through_the_batch(moved: str) -> None:
    processors = pytest.importorskip("vllm.v1.sample.logits_processor", reason="vllm is not installed")
    from acestep.planner.engines.vllm_runtime import BridgeProcessor
    from acestep.planner.engines.vllm_sampling import SamplerBridge

    seen: dict[int, int] = {}
    bridge = SamplerBridge(sampler=lambda _, rows: seen.update(rows))
    BridgeProcessor.next_bridge = bridge
    processor = BridgeProcessor(None, torch.device("cpu"), False)
    BridgeProcessor.next_bridge = SamplerBridge()  # the next engine's
    from vllm import SamplingParams

    def request(row: int, index: int | None) -> Any:
        return row, SamplingParams(extra_args=None if index is None else {"index": index}), [1], []

    def update(**changes: Any) -> None:
        values: dict[str, Any] = {"batch_size": 3, "removed": [], "added": [], "moved": []}
        processor.update_state(processors.BatchUpdate(**(values | changes)))

    update(added=[request(0, 0), request(1, None), request(2, 1)])
    directions = processors.MoveDirectionality
    moves = {
        "none": ([], {0: 0, 1: 2}),
        "swapped": ([(0, 2, directions.SWAP)], {0: 2, 1: 0}),
        "moved": ([(2, 1, directions.UNIDIRECTIONAL)], {0: 0, 1: 1}),
    }
    changes, expected = moves[moved]
    update(moved=changes)
    processor.apply(torch.zeros(3, 8))
    assert seen == expected
    seen.clear()
    update(removed=[expected[0]], added=[request(5, 7)])
    processor.apply(torch.zeros(6, 8))
    assert seen == {1: expected[1], 7: 5}
    assert bridge.forwards == 2


def batch_sampler(samples: int, scale: float | None, end: int | None = None) -> CodesBatchSampler:
    sampler = TokenSampler(GREEDY, make_generators(list(range(samples)), 2, "cpu"), 4 + (end is not None), "cpu")
    return CodesBatchSampler(sampler, samples, scale, CodeRange(first_id=2, count=4), end, StepTimer("cpu"))


def test_both_rows_of_a_pair_get_the_guided_code() -> None:
    logits = torch.zeros(3, 8)
    logits[0, 3], logits[2, 3], logits[2, 4], logits[2, 7] = 1.0, 3.0, 3.5, 9.0  # row 2 leads, row 0 is led away from
    batch_sampler(1, 2.0)(logits, {0: 2, 1: 0})
    assert logits[[0, 2]].argmax(-1).tolist() == [4, 4]
    assert int(torch.isfinite(logits[[0, 2]]).sum()) == 2


def test_a_sample_that_has_ended_leaves_and_none_ends_at_once() -> None:
    sample = batch_sampler(2, None, end=1)
    logits = torch.zeros(2, 8)
    logits[:, 1], logits[:, 5] = 9.0, 1.0
    sample(logits, {0: 0, 1: 1})
    assert logits.argmax(-1).tolist() == [5, 5]
    logits = torch.zeros(2, 8)
    logits[0, 1], logits[1, 2] = 9.0, 1.0
    sample(logits, {0: 0, 1: 1})
    assert logits.argmax(-1).tolist() == [1, 2]
    logits = torch.zeros(1, 8)
    sample(logits, {1: 0})
    with pytest.raises(PlannerError, match="only some of the samples"):
        sample(torch.zeros(1, 8), {0: 0})


@pytest.mark.parametrize(("free", "size"), [(50, 20.0), (13, 10.0)])
def test_the_cache_takes_what_is_wanted_or_what_is_there(
    monkeypatch: pytest.MonkeyPatch, free: int, size: float
) -> None:
    monkeypatch.setattr(vllm_memory, "WANTED_TOKENS", 20_000)
    monkeypatch.setattr(vllm_memory, "_memory", lambda _: (free * 10**9 + 300_000_000, 80 * 10**9))
    taken, share = vllm_memory.cache_bytes(10**9, 10**6, 1000, "cuda")
    assert taken == size * 1e9
    assert share == pytest.approx((taken + 1.3e9) / 80e9)


def test_too_little_memory_is_an_error_that_says_how_much_is_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vllm_memory, "_memory", lambda _: (4 * 10**9, 8 * 10**9))
    with pytest.raises(PlannerError, match=r"needs 5\.8 GB of free memory on cuda .* 4\.0 GB are free: .*'pt'"):
        vllm_memory.cache_bytes(10**9, 10**6, 1000, "cuda")
