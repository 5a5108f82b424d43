from __future__ import annotations

import pytest

from acestep.planner.output_parsing import ParsedOutput, parse_text, parse_tokens
from acestep.planner.vocabulary import Vocabulary

ANSWER = "<think>\nbpm: 90\ncaption: calm\n</think>\n\n# Lyric\n[Verse]\nla la<|im_end|>"


def test_an_answer_is_read_from_its_tags() -> None:
    text = "noise<think>\nbpm: 90\n</think>\n\n<|audio_code_7|><|audio_code_12|><|im_end|>"
    assert parse_text(text) == ParsedOutput({"bpm": 90}, "", "<|audio_code_7|><|audio_code_12|>")
    assert parse_text("<reasoning>bpm: 91</reasoning>") == ParsedOutput({"bpm": 91}, "")


def test_an_answer_without_closing_tag_is_read_up_to_the_first_code() -> None:
    output = parse_text("<think>\nbpm: 90\nlanguage: no\n<|audio_code_1|>caption: late")
    assert output == ParsedOutput({"bpm": 90, "language": "no"}, "", "<|audio_code_1|>")


def test_the_end_token_never_gets_into_a_caption() -> None:
    assert parse_text("<think>\ncaption: calm piano<|im_end|>\nbpm: 30").metadata == {"caption": "calm piano"}


def test_tokens_and_their_text_read_the_same(vocabulary: Vocabulary) -> None:
    expected = ParsedOutput({"bpm": 90, "caption": "calm"}, "[Verse]\nla la")
    assert parse_text(ANSWER) == parse_tokens(vocabulary, vocabulary.encode((ANSWER,))) == expected


@pytest.mark.parametrize("header", ["# Lyric\n", "# lyrics\n", "#Lyrics  \n", "", "\n\n"])
def test_a_header_is_no_part_of_the_lyrics(header: str) -> None:
    assert parse_text(f"<think>\nbpm: 90\n</think>\n{header}# Lyrical\nla\n<|im_end|>more").lyrics == "# Lyrical\nla"


def test_control_tokens_that_the_model_spells_are_text(vocabulary: Vocabulary) -> None:
    written = [vocabulary.think]
    written += vocabulary.encode_text("\ncaption: the </think> of <|im_end|>\nbpm: 90\n")
    written += [vocabulary.end_think, *vocabulary.encode_text("la <|im_end|> <|audio_code_5|>"), vocabulary.end]
    output = parse_tokens(vocabulary, written)
    assert output == ParsedOutput(
        {"bpm": 90, "caption": "the </think> of <|im_end|>"}, "la <|im_end|> <|audio_code_5|>"
    )


def test_values_that_are_out_of_range_are_not_read() -> None:
    text = "<think>\nbpm: 5\ncaption: x\nduration: 99999\nkeyscale: H major\nlanguage: xx\ntimesignature: 5\n</think>"
    assert parse_text(text).metadata == {"caption": "x", "duration": 600}


@pytest.mark.parametrize("text", ["", "</think>", "<think>", "<|im_end|>", "bpm", "\x00", "<think></think>" * 1000])
def test_nothing_in_a_text_is_an_empty_answer(text: str) -> None:
    assert parse_text(text).metadata == {}
