"""What users give: cleaned where it is meant well, named where it is out of range."""

from __future__ import annotations

import math
from typing import Any

import pytest

from acestep.constants import KEYSCALES, LANGUAGES, TIME_SIGNATURES
from acestep.planner import PlannerError
from acestep.planner.user_metadata import check_text, clamp_duration, clean_metadata, drop_invalid


def test_values_are_cleaned() -> None:
    given = {"bpm": "120", "duration": 700.5, "timesignature": "3/4", "caption": " two\nlines\0", "keyscale": None}
    assert clean_metadata(given) == {"bpm": 120, "duration": 600, "timesignature": "3", "caption": "two lines"}


@pytest.mark.parametrize("field", ["bpm", "caption", "duration", "genres", "keyscale", "language", "timesignature"])
@pytest.mark.parametrize("value", [None, "", "  ", "N/A", "n/a"])
def test_nothing_leaves_a_field_open(field: str, value: Any) -> None:
    assert clean_metadata({field: value}) == {}


@pytest.mark.parametrize("value", [0, -1, -1.0, "-1"])
def test_a_duration_of_nothing_is_open(value: Any) -> None:
    assert clean_metadata({"duration": value}) == {}


def test_every_value_of_the_vocabularies_is_taken() -> None:
    for field, values in (("keyscale", KEYSCALES), ("language", LANGUAGES), ("timesignature", TIME_SIGNATURES)):
        assert [clean_metadata({field: value})[field] for value in values] == list(values)
    assert clean_metadata({"timesignature": 6}) == {"timesignature": "6"}
    assert clean_metadata({"timesignature": "6/8"}) == {"timesignature": "6/8"}


@pytest.mark.parametrize(
    ("field", "value", "allowed"),
    [
        ("bpm", 5, "30 to 300"),
        ("bpm", 301, "30 to 300"),
        ("bpm", 0, "30 to 300"),
        ("bpm", "fast", "30 to 300"),
        ("bpm", math.inf, "30 to 300"),
        ("bpm", [90], "30 to 300"),
        ("duration", "long", "10 to 600"),
        ("duration", math.nan, "10 to 600"),
        ("duration", {}, "10 to 600"),
        ("keyscale", "H major", "A to G"),
        ("keyscale", "C dorian", "major or minor"),
        ("language", "xx", "en, es"),
        ("language", "English", "en, es"),
        ("timesignature", 5, "2, 3, 4, 6"),
        ("timesignature", "7/8", "2, 3, 4, 6"),
        ("caption", b"bytes", "expected text"),
    ],
)
def test_a_value_out_of_range_is_named_with_what_is_allowed(field: str, value: Any, allowed: str) -> None:
    with pytest.raises(PlannerError) as error:
        clean_metadata({field: value})
    assert field in str(error.value)
    assert repr(value) in str(error.value)
    assert allowed in str(error.value)


def test_an_unknown_field_is_named_with_the_known_ones() -> None:
    with pytest.raises(PlannerError, match="'tempo'; known are bpm, caption"):
        clean_metadata({"tempo": 3})


@pytest.mark.parametrize("given", [[("bpm", 90)], "bpm: 90", 90])
def test_what_is_no_dictionary_is_named(given: Any) -> None:
    with pytest.raises(PlannerError, match="expected a dictionary"):
        clean_metadata(given)


def test_a_models_values_out_of_range_are_dropped() -> None:
    assert drop_invalid({"bpm": 5, "keyscale": "A minor", "language": "xx", "duration": 9000}) == {
        "keyscale": "A minor",
        "duration": 600,
    }


@pytest.mark.parametrize("value", [None, 5, b"caption", ["a"]])
def test_text_must_be_text(value: Any) -> None:
    with pytest.raises(PlannerError, match=r"lyrics is .* expected text"):
        check_text("lyrics", value)


@pytest.mark.parametrize(("given_s", "clamped_s"), [(3, 10.0), ("12.4", 12.4), (1e9, 600.0)])
def test_durations_are_clamped(given_s: Any, clamped_s: float) -> None:
    assert clamp_duration(given_s) == clamped_s


def test_text_is_as_tokenizers_read_it() -> None:
    assert clean_metadata({"caption": "e\u0301 \uf900"}) == {"caption": "\xe9 \u8c48"}


def test_text_must_be_unicode() -> None:
    with pytest.raises(PlannerError, match=r"lyrics is no valid Unicode text: it has '.ud800' at position 2"):
        check_text("lyrics", "la\ud800")
    with pytest.raises(PlannerError, match="caption is no valid Unicode"):
        clean_metadata({"caption": "la\ud800la"})
