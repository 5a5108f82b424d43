"""What one engine writes, every engine writes: the same tests over all of them, with pt as the measure of the rest."""

from __future__ import annotations

from typing import Any

import pytest

from acestep.planner import PlannerError
from acestep.planner.cot_schema import CotSchema
from acestep.planner.engines import Engine
from acestep.planner.engines.base import CodesRequest
from acestep.planner.engines.pt import PtEngine
from acestep.planner.grammar import Grammar
from acestep.planner.sampling import Sampling
from acestep.planner.vocabulary import Vocabulary
from tests.acestep.planner.requests import GREEDY, text_request

PROMPT = "<|im_start|>user\n# Caption\na calm piano\n<|im_end|>\n<|im_start|>assistant\n<think>\n\n</think>\n\n"
SHORT = "<|im_start|>user\nNO<|im_end|>\n"
LONG = PROMPT + "longer than the conditional prompt " * 30
NEVER_TWICE = Sampling(temperature=0.0, repetition_penalty=1e6)


@pytest.fixture
def asked(vocabulary: Vocabulary) -> CodesRequest:
    """Twelve codes, guided."""
    return CodesRequest(
        prompt=vocabulary.encode((PROMPT,)),
        unconditional=vocabulary.encode((SHORT,)),
        scale=2.0,
        count=12,
        limit=3000,
        sampling=Sampling(),
        seeds=[1],
    )


def changed(asked: CodesRequest, **changes: Any) -> CodesRequest:
    return CodesRequest(**(vars(asked) | changes))


@pytest.mark.parametrize("seeds", [[1], [1, 2, 3]])
@pytest.mark.parametrize("unconditional", [None, SHORT, LONG])
@pytest.mark.parametrize("sampling", [GREEDY, NEVER_TWICE])
def test_greedy_codes_are_the_same(
    engine: Engine,
    pt: PtEngine,
    vocabulary: Vocabulary,
    asked: CodesRequest,
    unconditional: str | None,
    seeds: list[int],
    sampling: Sampling,
) -> None:
    other = None if unconditional is None else vocabulary.encode((unconditional,))
    wanted = changed(asked, unconditional=other, seeds=seeds, sampling=sampling, count=60)
    assert engine.write_codes(wanted).codes == pt.write_codes(wanted).codes


@pytest.mark.parametrize("unconditional", [None, LONG])
def test_greedy_codes_of_free_length_are_the_same(
    engine: Engine, pt: PtEngine, vocabulary: Vocabulary, asked: CodesRequest, unconditional: str | None
) -> None:
    other = None if unconditional is None else vocabulary.encode((unconditional,))
    wanted = changed(asked, unconditional=other, count=None, limit=600, sampling=NEVER_TWICE, seeds=[1, 2])
    run = engine.write_codes(wanted)
    assert run.codes == pt.write_codes(wanted).codes
    assert 0 < len(run.codes[0]) < 600


@pytest.mark.parametrize("penalty", [1.0, 1.3])
@pytest.mark.parametrize("constrained", [False, True])
def test_greedy_text_is_the_same(
    engine: Engine, pt: PtEngine, vocabulary: Vocabulary, grammar: Grammar, constrained: bool, penalty: float
) -> None:
    runs = []
    for each in (engine, pt):
        constraint = grammar.constraint(CotSchema()) if constrained else None
        sampling = Sampling(temperature=0.0, repetition_penalty=penalty)
        asked = text_request(vocabulary, vocabulary.encode((PROMPT,)), constraint, sampling, limit=600)
        runs.append(each.write_text(asked))
    ours, reference = runs
    assert (ours.tokens, ours.finish) == (reference.tokens, reference.finish)
    assert ours.forwards == reference.forwards
    assert (ours.forwards < len(ours.tokens)) == constrained
    assert (ours.constrained_s > 0.0) == constrained


def test_a_form_with_users_values_is_the_same(
    engine: Engine, pt: PtEngine, vocabulary: Vocabulary, grammar: Grammar
) -> None:
    form = CotSchema(fixed=(("bpm", "90"), ("caption", "a slow one again " * 300), ("keyscale", "D minor")))
    texts = []
    for each in (engine, pt):
        run = each.write_text(text_request(vocabulary, vocabulary.encode((PROMPT,)), grammar.constraint(form)))
        texts.append(vocabulary.decode(run.tokens))
    assert texts[0] == texts[1]
    assert "a slow one again a slow one" in texts[0]


def test_a_prompt_of_many_calls_is_the_same(
    engine: Engine, pt: PtEngine, vocabulary: Vocabulary, asked: CodesRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    length = 5000  # vLLM reads 4096 in one call
    if engine.name == "mlx":
        length = 500
        monkeypatch.setattr("acestep.planner.engines.mlx.PREFILL_TOKENS", 64)
    prompt = vocabulary.encode((PROMPT + "a line that is one of many\n" * 1000,))[:length]
    wanted = changed(asked, prompt=prompt, unconditional=prompt[:100], sampling=NEVER_TWICE, seeds=[1, 2])
    assert engine.write_codes(wanted).codes == pt.write_codes(wanted).codes
    text = text_request(vocabulary, prompt, sampling=NEVER_TWICE, limit=20)
    assert engine.write_text(text).tokens == pt.write_text(text).tokens


@pytest.mark.parametrize("samples", [1, 4, 9])
def test_each_sample_gets_exactly_its_number_of_valid_codes(
    engine: Engine, vocabulary: Vocabulary, asked: CodesRequest, samples: int
) -> None:
    run = engine.write_codes(
        changed(asked, count=7, seeds=list(range(samples)), sampling=Sampling(temperature=5.0, top_p=0.99))
    )
    assert [len(row) for row in run.codes] == [7] * samples
    assert all(0 <= code < vocabulary.codes.count for row in run.codes for code in row)


@pytest.mark.parametrize("sampling", [Sampling(), Sampling(1.0, top_k=50, top_p=0.9, repetition_penalty=1.1)])
def test_a_seed_gives_the_same_codes_again_alone_and_in_a_batch(
    engine: Engine, asked: CodesRequest, sampling: Sampling
) -> None:
    together = engine.write_codes(changed(asked, sampling=sampling, seeds=[3, 4, 5])).codes
    alone = [engine.write_codes(changed(asked, sampling=sampling, seeds=[seed])).codes[0] for seed in (3, 4, 5)]
    assert together == alone
    assert len({tuple(row) for row in together}) == 3


def test_a_seed_gives_the_same_text_again(engine: Engine, vocabulary: Vocabulary, grammar: Grammar) -> None:
    def write(seed: int) -> list[int]:
        prompt = vocabulary.encode((PROMPT,))
        return engine.write_text(
            text_request(vocabulary, prompt, grammar.constraint(CotSchema()), Sampling(), seed=seed)
        ).tokens

    assert write(1) == write(1)
    assert write(1) != write(2)


def test_top_k_and_top_p_leave_the_likeliest(engine: Engine, asked: CodesRequest) -> None:
    greedy = engine.write_codes(changed(asked, sampling=GREEDY)).codes
    hot = Sampling(temperature=5.0)
    assert engine.write_codes(changed(asked, sampling=hot)).codes != greedy
    for cut in (Sampling(temperature=5.0, top_k=1), Sampling(temperature=5.0, top_p=1e-6)):
        assert engine.write_codes(changed(asked, sampling=cut)).codes == greedy


def test_a_penalty_keeps_codes_from_coming_again(engine: Engine, asked: CodesRequest) -> None:
    [plain] = engine.write_codes(changed(asked, sampling=GREEDY, count=40)).codes
    [penalised] = engine.write_codes(changed(asked, sampling=NEVER_TWICE, count=40)).codes
    assert len(set(plain)) < len(set(penalised)) == 40


def test_guidance_counts(engine: Engine, asked: CodesRequest) -> None:
    plain = engine.write_codes(changed(asked, unconditional=None))
    assert engine.write_codes(changed(asked, scale=1.0)).codes == plain.codes
    guided = engine.write_codes(changed(asked, scale=30.0))
    assert guided.codes != plain.codes
    assert plain.guidance_s == 0.0 < guided.guidance_s


def test_calls_of_the_model_are_counted(engine: Engine, asked: CodesRequest) -> None:
    reading_drew = 0 if engine.name == "vllm" else 1  # vLLM reads prompts before the requests that draw
    for prompts, wanted in ((2, asked), (1, changed(asked, unconditional=None))):
        for seeds in ([1], [1, 2, 3, 4]):
            assert engine.write_codes(changed(wanted, seeds=seeds)).forwards == prompts + 12 - reading_drew


def test_what_does_not_fit_is_refused(engine: Engine, vocabulary: Vocabulary, asked: CodesRequest) -> None:
    long = vocabulary.encode((PROMPT,)) * 500
    with pytest.raises(PlannerError, match="shorten"):
        engine.write_codes(changed(asked, prompt=long))
    with pytest.raises(PlannerError, match="shorten"):
        engine.write_text(text_request(vocabulary, long))
