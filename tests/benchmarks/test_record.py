"""Records go through JSON unchanged, and hold nothing that asv could choke on."""

import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.harness.record import Record

finite = st.floats(allow_nan=False, allow_infinity=False)
scalars = st.booleans() | st.integers() | finite | st.text()
facts = st.dictionaries(st.text(), scalars)
records = st.builds(
    Record,
    matrix=st.text(),
    cell=facts,
    status=st.sampled_from(["ok", "oom", "fail", "timeout", "skip"]),
    reason=st.text(),
    samples=st.dictionaries(st.text(), st.lists(finite, min_size=1)),
    work=facts,
    exact=facts,
    host=facts,
    warmup_s=finite,
    contention=st.lists(st.none() | finite),
    contended=st.lists(st.none() | st.booleans()),
    timed_s=finite,
    exact_s=finite,
    untimed_s=finite,
    ended_unix=finite,
)


@given(records)
def test_a_record_survives_json(record):
    assert Record.from_dict(json.loads(json.dumps(record.to_dict()))) == record


def test_a_record_of_before_there_were_counts_has_none():
    data = Record("m", {}, "ok", work={"tokens": 3}).to_dict()
    del data["exact"]

    assert Record.from_dict(data) == Record("m", {}, "ok", work={"tokens": 3})


@pytest.mark.parametrize("value", [math.nan, math.inf, None, 1, True, "1.0", np.float32(1)])
def test_only_finite_python_floats_are_samples(value):
    with pytest.raises(ValueError, match="finite Python floats"):
        Record("m", {}, "ok", samples={"time": [1.0, value]})


def test_a_series_without_samples_is_no_series():
    with pytest.raises(ValueError, match="time has no samples"):
        Record("m", {}, "ok", samples={"time": []})


def test_an_unknown_status_is_refused():
    with pytest.raises(ValueError, match="'good'"):
        Record("m", {}, "good")
