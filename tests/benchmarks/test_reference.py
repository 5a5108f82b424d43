"""Kept outputs: where they are, how far another output is from them, and that they are today's cells."""

import json
from dataclasses import dataclass

import numpy as np
import pytest
import torch

from benchmarks.harness import reference_outputs
from benchmarks.harness.cells import key
from benchmarks.harness.matrices import MATRICES
from benchmarks.harness.output import differing_share, numbers
from benchmarks.harness.reference_outputs import (
    distance_to,
    entry_of,
    file_of,
    name_of,
    read_outputs,
)
from benchmarks.harness.sketch import PROJECTIONS
from scripts.reference import as_text


@dataclass
class States:
    states: torch.Tensor
    mask: torch.Tensor
    more: object


def test_numbers_of_an_output_are_those_of_all_its_parts_but_ids_and_masks():
    states = States(torch.tensor([[1.5, 2.0]], dtype=torch.bfloat16), torch.ones(1, 2, dtype=torch.bool), None)

    assert numbers((states, [np.array([3.0])], torch.tensor([7]))).tolist() == [1.5, 2.0, 3.0]


def test_what_is_no_tensor_is_refused():
    with pytest.raises(TypeError, match="holds a str, which is no tensor"):
        numbers([torch.ones(1), "a path"])


@pytest.mark.parametrize(
    ("words", "others", "share"),
    [
        ("a b c d", "a b c d", 0.0),
        ("a b c d", "a x c d", 0.25),
        ("a b", "a b c d", 0.5),
        ("a b c d", "b c d a", 1.0),
        ("", "", 0.0),
    ],
)
def test_texts_differ_by_the_share_of_places_with_another_word(words, others, share):
    assert differing_share(words.split(), others.split()) == share
    assert distance_to(entry_of(others), entry_of(words)) == share


def test_a_text_and_numbers_have_nothing_in_common():
    assert distance_to(entry_of("1 2"), entry_of(torch.ones(2))) == 1.0
    assert distance_to(entry_of(torch.ones(2)), entry_of("1 2")) == 1.0


def test_an_output_comes_back_from_its_file(tmp_path, monkeypatch):
    monkeypatch.setattr(reference_outputs, "FOLDER", tmp_path)
    output, other = torch.linspace(-1, 1, 100), torch.linspace(-1, 1, 100).flip(0)
    file_of("tiny", "cpu").write_text(as_text({"a/b": entry_of(output), "a/c": entry_of("one two")}))
    entries = read_outputs("tiny", "cpu")

    assert distance_to(entries["a/b"], entry_of(output)) == 0.0
    assert distance_to(entries["a/b"], entry_of(other)) == pytest.approx(2, rel=0.3)
    assert distance_to(entries["a/c"], entry_of("one 2")) == 0.5


def test_distances_to_other_outputs_have_another_version(tmp_path, monkeypatch):
    monkeypatch.setattr(reference_outputs, "FOLDER", tmp_path)
    versions = []
    for apis, stages in (("one", "two"), ("one", "2"), ("1", "2"), ("1", "2")):
        file_of("tiny", "cpu").write_text(as_text({"apis/a": entry_of(apis), "stages/b": entry_of(stages)}))
        reference_outputs.version.cache_clear()
        versions.append((reference_outputs.version("apis"), reference_outputs.version("stages")))
    reference_outputs.version.cache_clear()
    (old, first), (same, second), (new, third), last = versions

    assert (same, third) == (old, second)
    assert len({old, new, first, second}) == 4
    assert last == (new, third)


@pytest.mark.parametrize(("scale", "device"), [("full", "cpu"), ("tiny", "mps"), ("/checkpoints/tiny", "cpu")])
def test_other_scales_and_devices_have_none(scale, device):
    assert read_outputs(scale, device) == {}


def test_every_quick_cell_with_an_output_is_kept():
    quick = {name_of(matrix.name, key(cell)) for matrix in MATRICES for cell in matrix.quick}
    entries = read_outputs("tiny", "cpu")

    assert entries.keys() <= quick
    assert {name.partition("/")[0] for name in entries} == {matrix.name for matrix in MATRICES if matrix.outputs}
    without = {
        name for name in quick - entries.keys() if name.partition("/")[0] not in ("startup", "footprint", "tiers")
    }
    assert all("AudioSave" in name or "Prefill" in name or "Constraint" in name for name in without)
    assert {len(entry["projections"]) for entry in entries.values() if "words" not in entry} == {PROJECTIONS}
    assert file_of("tiny", "cpu").stat().st_size < 200_000
    assert file_of("tiny", "cpu").read_text() == as_text(json.loads(file_of("tiny", "cpu").read_text()))
