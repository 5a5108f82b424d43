from __future__ import annotations

import itertools
import re

import numpy as np
import pytest

from acestep.constants import BPM_MAX, BPM_MIN, KEYSCALES, LANGUAGES, TIME_SIGNATURES
from acestep.planner import grammar as grammar_module
from acestep.planner.engines.pt import PtEngine
from acestep.planner.grammar import Form, Grammar
from acestep.planner.metadata import Metadata, read_yaml
from acestep.planner.sampling import Sampling
from acestep.planner.vocabulary import Vocabulary
from tests.planner.asking import text_request

USERS: tuple[Metadata, ...] = (
    {},
    {"bpm": 140},
    {"duration": 12, "language": "no"},
    {"keyscale": "F# minor", "timesignature": "6/8", "caption": 'a "quoted" \\ cap: tion'},
    {"keyscale": "<|im_end|> </think>", "caption": "`tick` <think>"},
    {"caption": "月亮 😀 é / \\n " + "word " * 600 + "end", "keyscale": "B♭ major"},
)


@pytest.fixture(scope="module")
def grammar(vocabulary: Vocabulary) -> Grammar:
    return Grammar(vocabulary)


def write(grammar: Grammar, form: Form, seed: int) -> tuple[list[int], int]:
    """A random text of *form* and the number of choices it took."""
    constraint, random = grammar.constraint(form), np.random.default_rng(seed)
    tokens, choices = constraint.forced(), 0
    while not constraint.done:
        token = int(random.choice(np.flatnonzero(constraint.allowed())))
        constraint.accept(token)
        tokens += [token, *constraint.forced()]
        choices += 1
    assert len(tokens) <= constraint.max_tokens
    return tokens, choices


def check(text: str, form: Form, user: Metadata) -> None:
    body = text.removeprefix("<think>\n").removesuffix("\n</think>")
    assert len(body) == len(text) - len("<think>\n\n</think>")
    metadata = read_yaml(body)
    assert list(metadata) == form.fields
    assert re.findall(r"^(\w+): ", body, flags=re.MULTILINE) == form.fields
    assert {name: str(value) for name, value in metadata.items() if name in user} == {
        name: str(value) for name, value in user.items()
    }
    drawn = {name: value for name, value in metadata.items() if name not in user}
    assert BPM_MIN <= int(drawn.get("bpm", BPM_MIN)) <= BPM_MAX
    assert 10 <= int(drawn.get("duration", 10)) <= form.max_duration_s
    assert drawn.get("keyscale", "C major") in KEYSCALES
    assert drawn.get("language", "en") in LANGUAGES
    assert drawn.get("timesignature", "4") in TIME_SIGNATURES
    assert "`" not in str(drawn.get("caption", ""))


@pytest.mark.parametrize(("user", "caption", "language"), list(itertools.product(USERS, (True, False), (True, False))))
def test_every_hot_thought_of_a_random_model_is_complete(
    engine: PtEngine, vocabulary: Vocabulary, grammar: Grammar, user: Metadata, caption: bool, language: bool
) -> None:
    base = Form.of(user, caption=caption, language=language, max_duration_s=240)
    form = Form(base.forced, base.skipped, base.max_duration_s, max_caption_tokens=24)
    prompt = vocabulary.encode(("<|im_start|>user\nhello<|im_end|>\n<|im_start|>assistant\n",))
    for seed in range(12):
        run = engine.write_text(
            text_request(vocabulary, prompt, grammar.constraint(form), Sampling(temperature=2.0), seed=seed)
        )
        assert run.finish == "stop"
        inner = run.tokens[1:-1]
        assert not set(inner) & set(vocabulary.controls.values())
        assert max(inner) < vocabulary.codes.first_id
        check(vocabulary.decode(run.tokens), form, user)


def test_a_caption_is_cut_off_after_512_tokens(grammar: Grammar, vocabulary: Vocabulary) -> None:
    for seed in range(8):
        tokens, _ = write(grammar, Form(), seed)
        text = vocabulary.decode(tokens)
        check(text, Form(), {})
        caption = re.search(r"caption:(.*)\nduration", text, flags=re.DOTALL)
        assert caption
        assert tokens.index(vocabulary.think) == 0
        assert 500 < len(tokens) < 600


def test_what_must_follow_is_taken_without_asking(grammar: Grammar) -> None:
    form = Form(skipped=frozenset({"caption", "language"}))
    tokens, choices = write(grammar, form, seed=1)
    assert choices <= 10
    assert len(tokens) - choices >= 14


def test_a_form_is_compiled_once(grammar: Grammar, monkeypatch: pytest.MonkeyPatch) -> None:
    first = grammar.constraint(Form(forced=(("bpm", "77"),)))
    first.forced()
    monkeypatch.delattr(grammar_module, "LLMatcher")
    assert grammar.constraint(Form(forced=(("bpm", "77"),))).forced()
    with pytest.raises(NameError):
        grammar.constraint(Form(forced=(("bpm", "78"),)))


def test_time_is_counted(grammar: Grammar) -> None:
    constraint = grammar.constraint(Form())
    before = constraint.seconds
    constraint.forced()
    constraint.allowed()
    assert constraint.seconds > before > 0
