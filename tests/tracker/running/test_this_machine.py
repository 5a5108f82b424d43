"""What asv knows of this machine."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from scripts.tracker.running.stored_results import this_machine


def test_a_machine_that_asv_does_not_know_is_described_without_a_word(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    named = this_machine().machine

    assert json.loads((tmp_path / ".asv-machine.json").read_text())[named]["machine"] == named
    assert capfd.readouterr() == ("", "")


def test_what_the_user_has_said_of_the_machine_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    known = {"version": 1, "desk": {"machine": "desk", "cpu": "the fast one"}}
    (tmp_path / ".asv-machine.json").write_text(json.dumps(known))

    assert (this_machine().machine, this_machine().cpu) == ("desk", "the fast one")
    assert json.loads((tmp_path / ".asv-machine.json").read_text()) == known
