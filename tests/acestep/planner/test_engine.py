from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import Qwen3ForCausalLM

from acestep.checkpoints.errors import CheckpointError
from acestep.planner import PlannerError
from acestep.planner.engines.base import MAX_FREE_TOKENS, CodesRequest
from acestep.planner.engines.cuda_graph import GraphedStep
from acestep.planner.engines.decoder import Decoder
from acestep.planner.engines.pt import PtEngine, load_model
from acestep.planner.sampling import Sampling
from acestep.planner.vocabulary import Vocabulary
from tests.acestep.planner.requests import text_request

GREEDY = Sampling(temperature=0.0)
PROMPT = "<|im_start|>user\n# Caption\na calm piano\n<|im_end|>\n<|im_start|>assistant\n<think>\n\n</think>\n\n"
SHORT = "<|im_start|>user\nNO<|im_end|>\n"


def request(vocabulary: Vocabulary, **changes: Any) -> CodesRequest:
    values: dict[str, Any] = {
        "prompt": vocabulary.encode((PROMPT,)),
        "unconditional": vocabulary.encode((SHORT,)),
        "scale": 2.0,
        "count": 12,
        "limit": 3000,
        "sampling": Sampling(),
        "seeds": [1],
    }
    return CodesRequest(**(values | changes))


def greedy_codes(model: Qwen3ForCausalLM, vocabulary: Vocabulary, asked: CodesRequest) -> list[int]:
    """Greedy codes by transformers alone, none twice: whole prompts again at every step, no cache, no batch."""
    first = vocabulary.codes.first_id
    codes: list[int] = []
    for _ in range(asked.count or 0):
        rows = []
        for prompt in (asked.prompt, asked.unconditional):
            if prompt is not None:
                ids = torch.tensor([prompt + [first + code for code in codes]])
                rows.append(model(ids).logits[0, -1, first : first + vocabulary.codes.count])
        logits = rows[0] if len(rows) == 1 else rows[1] + asked.scale * (rows[0] - rows[1])
        logits[codes] = -torch.inf
        codes.append(int(logits.argmax()))
    return codes


@pytest.mark.parametrize("size", ["0.6B", "1.7B", "4B"])
@pytest.mark.parametrize("unconditional", [None, SHORT, PROMPT + "longer than the conditional prompt"])
def test_greedy_codes_are_those_of_transformers(planners: Path, size: str, unconditional: str | None) -> None:
    folder = planners / f"acestep-5Hz-lm-{size}"
    vocabulary = Vocabulary(folder)
    engine = PtEngine(folder, vocabulary, device="cpu", dtype=torch.float32)
    other = None if unconditional is None else vocabulary.encode((unconditional,))
    never_twice = Sampling(temperature=0.0, repetition_penalty=1e6)
    asked = request(vocabulary, unconditional=other, sampling=never_twice, seeds=[1, 2])
    run = engine.write_codes(asked)
    with torch.inference_mode():
        expected = greedy_codes(Qwen3ForCausalLM.from_pretrained(folder), vocabulary, asked)
    assert run.codes == [expected, expected]


def test_greedy_text_is_that_of_transformers(engine: PtEngine, folder: Path, vocabulary: Vocabulary) -> None:
    prompt = vocabulary.encode((PROMPT,))
    run = engine.write_text(text_request(vocabulary, prompt, sampling=Sampling(0.0, repetition_penalty=1.3)))
    model = Qwen3ForCausalLM.from_pretrained(folder)
    model.resize_token_embeddings(vocabulary.size)
    written = model.generate(  # type: ignore[misc]
        torch.tensor([prompt]),
        attention_mask=torch.ones(1, len(prompt), dtype=torch.long),
        max_new_tokens=MAX_FREE_TOKENS,
        do_sample=False,
        repetition_penalty=1.3,
        eos_token_id=[*vocabulary.stops, vocabulary.end_think],
        pad_token_id=vocabulary.end,
    )
    assert run.tokens == written[0, len(prompt) :].tolist()


@pytest.mark.parametrize("samples", range(1, 9))
def test_each_sample_gets_exactly_its_number_of_valid_codes(
    engine: PtEngine, vocabulary: Vocabulary, samples: int
) -> None:
    count = 7 * samples
    run = engine.write_codes(
        request(vocabulary, count=count, sampling=Sampling(temperature=5.0), seeds=list(range(samples)))
    )
    assert [len(row) for row in run.codes] == [count] * samples
    assert all(0 <= code < vocabulary.codes.count for row in run.codes for code in row)
    assert run.forwards == 2 + count - 1


@pytest.mark.parametrize("sampling", [Sampling(), Sampling(top_p=0.9), Sampling(top_k=50, repetition_penalty=1.1)])
def test_a_seed_gives_the_same_codes_alone_and_in_a_batch(
    engine: PtEngine, vocabulary: Vocabulary, sampling: Sampling
) -> None:
    batch = engine.write_codes(request(vocabulary, sampling=sampling, seeds=[3, 4, 5])).codes
    alone = [engine.write_codes(request(vocabulary, sampling=sampling, seeds=[seed])).codes[0] for seed in (3, 4, 5)]
    assert batch == alone
    assert len({tuple(row) for row in batch}) == 3


def test_guidance_at_scale_1_is_no_guidance(engine: PtEngine, vocabulary: Vocabulary) -> None:
    guided = engine.write_codes(request(vocabulary, scale=1.0))
    plain = engine.write_codes(request(vocabulary, unconditional=None))
    assert guided.codes == plain.codes
    assert guided.codes != engine.write_codes(request(vocabulary, scale=3.0)).codes
    assert plain.guidance_s == 0.0 < guided.guidance_s


def test_without_a_count_the_model_ends_each_sample(engine: PtEngine, vocabulary: Vocabulary) -> None:
    asked = request(vocabulary, count=None, limit=400, seeds=list(range(4)), unconditional=None)
    run = engine.write_codes(asked)
    lengths = [len(row) for row in run.codes]
    assert len(set(lengths)) > 1
    assert min(lengths) >= 1
    assert max(lengths) < 400
    assert all(0 <= code < vocabulary.codes.count for row in run.codes for code in row)
    limited = engine.write_codes(request(vocabulary, count=None, limit=3, seeds=list(range(4)), unconditional=None))
    assert [row[:3] for row in run.codes] == limited.codes


def test_text_without_grammar_stops_at_a_control_token_or_the_limit(engine: PtEngine, vocabulary: Vocabulary) -> None:
    prompt = vocabulary.encode((PROMPT,))
    run = engine.write_text(text_request(vocabulary, prompt, sampling=Sampling(), seed=1))
    assert run.finish == "stop"
    assert run.tokens[-1] in vocabulary.stops | {vocabulary.end_think}
    cut = engine.write_text(text_request(vocabulary, prompt, sampling=Sampling(), seed=1, limit=3))
    assert (cut.tokens, cut.finish, cut.forwards) == (run.tokens[:3], "length", 3)


def test_codes_reuse_the_cache_that_the_text_of_their_job_prefilled(
    engine: PtEngine, vocabulary: Vocabulary, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[int] = []
    original = Decoder.prefill
    monkeypatch.setattr(
        Decoder, "prefill", lambda self, ids, *rest: (read.append(len(ids)), original(self, ids, *rest))[1]
    )
    prompt = vocabulary.encode((PROMPT,))
    alone = engine.write_codes(request(vocabulary, sampling=GREEDY, seeds=[1, 2]))
    assert read == [len(prompt), len(vocabulary.encode((SHORT,)))]
    with engine.on_device():
        engine.write_text(text_request(vocabulary, prompt[:-5], limit=8))
        read.clear()
        together = engine.write_codes(request(vocabulary, sampling=GREEDY, seeds=[1, 2]))
        assert read == [5, len(vocabulary.encode((SHORT,)))]
    assert together.codes == alone.codes
    assert together.forwards == alone.forwards
    read.clear()
    engine.write_codes(request(vocabulary))
    assert read[0] == len(prompt)  # another job knows nothing of it


@pytest.mark.parametrize("unconditional", [None, SHORT])
def test_a_graphed_step_computes_the_same(engine: PtEngine, vocabulary: Vocabulary, unconditional: str | None) -> None:
    decoder = engine._decoder
    assert decoder is not None
    prompts = [vocabulary.encode((text,)) for text in (PROMPT, unconditional) if text]
    first = vocabulary.codes.first_id
    with torch.inference_mode():
        caches = [decoder.new_cache([len(prompt) for prompt in prompts], 2, 6) for _ in range(2)]
        for cache in caches:
            for index, prompt in enumerate(prompts):
                decoder.prefill(prompt, cache, index)
        graphed = GraphedStep(decoder, caches[1])
        for code in range(6):
            tokens = torch.arange(2 * len(prompts)) + first + code
            torch.testing.assert_close(graphed(tokens), decoder.step(tokens, caches[0]))
    assert caches[0].used == caches[1].used
    for one, other in zip(caches[0].keys, caches[1].keys, strict=True):
        torch.testing.assert_close(one, other)


def test_graphed_steps_generate_the_same_codes(
    engine: PtEngine, vocabulary: Vocabulary, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = request(vocabulary, sampling=Sampling(top_p=0.9), count=40, seeds=[1, 2])
    expected = engine.write_codes(asked).codes
    monkeypatch.setattr(Decoder, "step", lambda *_: pytest.fail("not graphed"))
    monkeypatch.setattr("acestep.planner.engines.pt.partial", lambda step, cache: GraphedStep(step.__self__, cache))
    assert engine.write_codes(asked).codes == expected


def test_what_does_not_fit_is_refused(engine: PtEngine, vocabulary: Vocabulary) -> None:
    long = vocabulary.encode_text("a b " * 4000)
    with pytest.raises(PlannerError, match="shorten"):
        engine.write_codes(request(vocabulary, prompt=long, count=3000))
    with pytest.raises(PlannerError, match="shorten"):
        engine.write_text(text_request(vocabulary, long))


@pytest.fixture
def copy(folder: Path, tmp_path: Path) -> Path:
    return shutil.copytree(folder, tmp_path / "copy")


def test_shards_are_read(copy: Path, folder: Path) -> None:
    tensors = load_file(copy / "model.safetensors")
    (copy / "model.safetensors").unlink()
    names = sorted(tensors)
    parts = {"a.safetensors": names[::2], "b.safetensors": names[1::2]}
    for part, keys in parts.items():
        save_file({key: tensors[key] for key in keys}, copy / part)
    placed = {key: part for part, keys in parts.items() for key in keys}
    (copy / "model.safetensors.index.json").write_text(json.dumps({"weight_map": placed}))
    sharded, whole = (load_model(path, device="cpu", dtype=torch.float32) for path in (copy, folder))
    for key, value in whole.state_dict().items():
        assert torch.equal(sharded.state_dict()[key], value)


def test_an_untied_head_is_required_where_the_config_asks_for_it(copy: Path) -> None:
    config = json.loads((copy / "config.json").read_text())
    (copy / "config.json").write_text(json.dumps(config | {"tie_word_embeddings": False}))
    with pytest.raises(CheckpointError, match=r"lacks lm_head\.weight"):
        load_model(copy, device="cpu", dtype=torch.float32)


@pytest.mark.parametrize("change", [{"model_type": "llama"}, {"attention_bias": True}, {"use_sliding_window": True}])
def test_another_models_config_is_rejected(copy: Path, change: dict[str, Any]) -> None:
    config = json.loads((copy / "config.json").read_text())
    (copy / "config.json").write_text(json.dumps(config | change))
    with pytest.raises(CheckpointError, match=next(iter(change))):
        load_model(copy, device="cpu", dtype=torch.float32)


def test_a_tokenizer_larger_than_the_model_is_rejected(copy: Path) -> None:
    tensors = load_file(copy / "model.safetensors")
    tensors["model.embed_tokens.weight"] = tensors["model.embed_tokens.weight"][:1000].clone()
    save_file(tensors, copy / "model.safetensors")
    config = json.loads((copy / "config.json").read_text())
    (copy / "config.json").write_text(json.dumps(config | {"vocab_size": 1000}))
    with pytest.raises(CheckpointError, match="different checkpoints"):
        PtEngine(copy, Vocabulary(copy), device="cpu", dtype=torch.float32)


def test_half_precision_computes_guidance_in_float32(folder: Path, vocabulary: Vocabulary) -> None:
    engine = PtEngine(folder, vocabulary, device="cpu", dtype=torch.bfloat16)
    run = engine.write_codes(request(vocabulary, sampling=GREEDY))
    assert len(run.codes[0]) == 12
    assert engine.model.dtype == torch.bfloat16
