"""The three descriptions against what the reference wrote under greedy decoding.

The reference held genres to a vocabulary file in a way that is a defect (no space before them, words run into each
other); ours are free text on one line. So everything before the genres is compared as it is written, and everything
behind them as the model goes on after reading the reference's own text up to there, while the grammar takes the same
genres as a user's. Nothing that is compared depends on how genres are spelled.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from acestep.planner import prompts
from acestep.planner.codes import parse_codes
from acestep.planner.cot_schema import CotSchema
from acestep.planner.engines.pt import PtEngine
from acestep.planner.grammar import Grammar
from acestep.planner.output_parsing import parse_text
from acestep.planner.planner import Planner
from acestep.planner.user_metadata import clean_metadata
from acestep.planner.vocabulary import Vocabulary
from tests.acestep.planner.requests import text_request

GENRES = {
    "understand": ("e", "le", "c", "tronic", " pop"),
    "create_sample": ("o", "r", "c", "H", "es", "T", "r", "al"),
    "format_sample": ("e", "le", "c", "tronic", " ", " ", " pop"),
}
"""The reference's genres in tokens. It recorded their text and the number of all tokens, which more tokens than the
tokenizer's own explain; which ones they were matters little, as long as there are as many."""
CASES = tuple(GENRES)


@pytest.fixture(scope="module")
def planner(golden_engine: PtEngine, golden_vocabulary: Vocabulary) -> Planner:
    return Planner(golden_engine, golden_vocabulary)


def question(vocabulary: Vocabulary, case: str, given: dict[str, Any]) -> prompts.Prompt:
    tokenizer = vocabulary.tokenizer
    if case == "understand":
        return prompts.understand_prompt(tokenizer, parse_codes(given["audio_codes"]))
    if case == "create_sample":
        return prompts.inspire_prompt(tokenizer, given["query"], given["instrumental"])
    return prompts.format_prompt(tokenizer, given["caption"], given["lyrics"])


def as_the_reference(call: dict[str, Any], genres: str) -> CotSchema:
    """The form with the fields that the reference wrote: it dropped a language that the user of format gave."""
    user = clean_metadata(call["args"]["user_metadata"])
    if call["args"]["skip_language"]:
        del user["language"]
    skipped = frozenset({"language"}) if call["args"]["skip_language"] else frozenset()
    return CotSchema(CotSchema.fixed_fields(user | {"genres": genres}), skipped, lyrics=True, max_duration_s=240)


@pytest.mark.parametrize("case", CASES)
def test_prompts_are_the_references(vocabulary: Vocabulary, greedy: dict[str, Any], case: str) -> None:
    prompt = question(vocabulary, case, greedy[case]["kwargs"])
    assert prompt.text == greedy[case]["lm_calls"][0]["formatted_prompt"]


@pytest.mark.parametrize("case", CASES)
def test_fields_before_the_genres_are_the_references(planner: Planner, greedy: dict[str, Any], case: str) -> None:
    call, vocabulary = greedy[case]["lm_calls"][0], planner.vocabulary
    form = CotSchema(
        CotSchema.fixed_fields(clean_metadata(call["args"]["user_metadata"])), genres=True, max_duration_s=240
    )
    prompt = vocabulary.encode(question(vocabulary, case, greedy[case]["kwargs"]).pieces)
    run = planner.engine.write_text(text_request(vocabulary, prompt, planner.grammar.constraint(form)))
    expected = call["output_text"].partition("genres:")[0]
    assert vocabulary.decode(run.tokens).startswith(f"{expected}genres: ")


@pytest.mark.parametrize("case", CASES)
def test_behind_the_references_genres_the_text_is_the_references(
    planner: Planner, golden_engine: PtEngine, greedy: dict[str, Any], case: str
) -> None:
    call, vocabulary = greedy[case]["lm_calls"][0], planner.vocabulary
    before, _, behind = call["output_text"].partition("genres:")
    behind = behind.removeprefix("".join(GENRES[case]))
    genres = " ".join("".join(GENRES[case]).split())
    prompt, up_to_genres = (vocabulary.encode((text,)) for text in (call["formatted_prompt"], f"{before}genres:"))
    spelled = [vocabulary.encode_text(piece) for piece in GENRES[case]]
    assert all(len(piece) == 1 for piece in spelled)
    read = prompt + up_to_genres + [token for piece in spelled for token in piece]
    constraint = Grammar(vocabulary).constraint(as_the_reference(call, genres))
    forced = vocabulary.decode(_up_to_genres(constraint, vocabulary, before))
    written, chosen = vocabulary.encode((forced.partition(f"genres: {genres}")[2],)), 0
    while not constraint.done:
        with torch.inference_mode():
            logits = golden_engine.model(torch.tensor([read + written])).logits[0, -1, : vocabulary.size].numpy()
        token = int(np.where(constraint.allowed(), logits, -np.inf).argmax())
        constraint.accept(token)
        written += [token, *constraint.forced()]
        chosen += 1
    assert vocabulary.decode(written) == behind
    assert len(read) - len(prompt) + len(written) == call["new_tokens"]
    assert chosen >= 2


def _up_to_genres(constraint: Any, vocabulary: Vocabulary, before: str) -> list[int]:
    """What *constraint* has forced and been given when the genres have been written, the fields before as *before*."""
    written = list(constraint.forced())
    while "genres" not in vocabulary.decode(written):
        rest = before.removeprefix(vocabulary.decode(written))
        token = vocabulary.encode_text(rest)[0]
        assert constraint.allowed()[token]
        constraint.accept(token)
        written += [token, *constraint.forced()]
    return written


@pytest.mark.parametrize("case", CASES)
def test_what_the_reference_wrote_is_read_as_it_reads_it(greedy: dict[str, Any], case: str) -> None:
    answer = parse_text(greedy[case]["lm_calls"][0]["output_text"])
    expected = dict(greedy[case]["result"]["metadata"])
    expected.pop("instrumental", None)
    expected["genres"] = " ".join(expected["genres"].split())
    assert answer.lyrics == expected.pop("lyrics", "")
    assert answer.metadata == expected
