from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from acestep.constants import KEYSCALES, LANGUAGES
from acestep.planner.metadata import from_yaml, has_all_metas, to_yaml

captions = st.text(st.characters(exclude_categories=["Cs"]), max_size=300).map(
    lambda text: " ".join("".join(c for c in text if c.isprintable() or c.isspace()).split())
)
thoughts = st.fixed_dictionaries(
    {"bpm": st.integers(30, 300), "duration": st.integers(10, 600), "keyscale": st.sampled_from(KEYSCALES)},
    optional={
        "caption": captions.filter(lambda text: text and not text.isdigit()),
        "language": st.sampled_from(LANGUAGES),
        "timesignature": st.sampled_from(("2", "3", "4", "6", "6/8")),
    },
)


@settings(deadline=None, max_examples=300)
@given(thoughts)
def test_what_is_written_is_read_back(metadata: dict[str, Any]) -> None:
    assert from_yaml(to_yaml(metadata)) == metadata


@pytest.mark.parametrize(
    ("field", "value", "line"),
    [
        ("caption", "plain words", "caption: plain words"),
        ("caption", "mood: calm", "caption: 'mood: calm'"),
        ("caption", "# loud", "caption: '# loud'"),
        ("caption", "- a list", "caption: '- a list'"),
        ("caption", "[Verse]", "caption: '[Verse]'"),
        ("caption", "calm ", "caption: 'calm '"),
        ("caption", "it's", "caption: it's"),
        ("caption", "say 'x': y", "caption: 'say ''x'': y'"),
        ("caption", "two\nlines", "caption: 'two\n\n  lines'"),
        ("caption", "月亮 😀 é", "caption: 月亮 😀 é"),
        ("caption", "yes", "caption: 'yes'"),
        ("caption", "1990", "caption: 1990"),
        ("caption", "007", "caption: '007'"),
        ("language", "no", "language: 'no'"),
        ("keyscale", "F# minor", "keyscale: F# minor"),
        ("keyscale", "B♭ major", "keyscale: B♭ major"),
        ("timesignature", "6/8", "timesignature: 6/8"),
        ("timesignature", "3/4", "timesignature: 3"),
        ("timesignature", 4, "timesignature: 4"),
        ("keyscale", "C♯ minor", "keyscale: C♯ minor"),
        ("language", "en", "language: en"),
        ("bpm", "120", "bpm: 120"),
        ("genres", "pop", ""),
        ("caption", None, ""),
    ],
)
def test_values_are_quoted_as_in_training(field: str, value: Any, line: str) -> None:
    assert to_yaml({field: value}) == line


def test_a_long_caption_is_folded_at_80_columns_and_unfolded() -> None:
    caption = " ".join(["word"] * 40)
    text = to_yaml({"caption": caption, "bpm": 90})
    assert text.startswith("bpm: 90\ncaption: word")
    assert all(line.startswith("  word") and len(line) <= 84 for line in text.split("\n")[2:])
    assert from_yaml(text)["caption"] == caption


def test_what_a_model_writes_is_read() -> None:
    text = "\nBPM: fast\ncaption: 'quoted'\n  and more:\n\t words\nmood: x\n  y\nduration: 120 \n"
    text += "genres:pop\n<bpm: 3\nnothing\n"
    expected = {"bpm": "fast", "caption": "'quoted' and more: words", "duration": 120, "genres": "pop"}
    assert from_yaml(text) == expected


def test_a_caption_loses_the_quotes_that_yaml_gave_it() -> None:
    assert from_yaml("caption: 'it''s: here'") == {"caption": "it's: here"}
    assert from_yaml('caption: "Smooth" jazz') == {"caption": '"Smooth" jazz'}


@pytest.mark.parametrize("caption", ["''", '""', "' '", '"\\x07"', "'"])
def test_a_caption_of_quotes_alone_is_a_caption(caption: str) -> None:
    assert from_yaml(f"caption: {caption}") == {"caption": caption}


@settings(deadline=None, max_examples=200)
@given(st.text(max_size=200))
def test_any_text_can_be_read(text: str) -> None:
    metadata = from_yaml(text)
    assert all(value != "" for value in metadata.values())
    assert from_yaml(to_yaml(metadata)).keys() == metadata.keys() - {"genres"}


def test_all_metas_must_have_values() -> None:
    given_by_user = {"bpm": 1, "keyscale": "C major", "timesignature": "4", "duration": 10}
    assert has_all_metas(given_by_user)
    assert not has_all_metas(given_by_user | {"bpm": None})
    assert not has_all_metas(None)
