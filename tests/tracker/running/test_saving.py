"""Which commands of asv keep what they measure."""

from __future__ import annotations

import os
import sys
from typing import Any

import pytest
from asv.config import Config

from scripts.tracker.running.saving import is_saved, pass_on_saving, saved_variable


@pytest.fixture
def conf() -> Any:
    return Config.from_json({"project": "some", "repo": ".", "environment_type": "virtualenv", "pythons": ["3.11"]})


@pytest.mark.parametrize(
    ("command", "arguments", "saved"),
    [
        ("Run", {}, True),
        ("Run", {"dry_run": None, "quick": False}, True),
        ("Run", {"dry_run": True}, False),
        ("Run", {"quick": True}, False),
        ("Run", {"env_spec": [f"existing:{sys.executable}"]}, False),
        ("Run", {"env_spec": ["existing"]}, False),
        ("Run", {"env_spec": [":same"]}, False),
        ("Run", {"env_spec": ["existing"], "set_commit_hash": "c0ffee"}, True),
        ("Run", {"env_spec": ["existing"], "set_commit_hash": "c0ffee", "dry_run": True}, False),
        ("Find", {"skip_save": False}, True),
        ("Find", {"skip_save": True}, False),
    ],
)
def test_what_asv_keeps(conf: Any, command: str, arguments: dict[str, Any], saved: bool) -> None:
    assert is_saved(command, conf, arguments) is saved


def test_a_configuration_may_name_an_existing_environment(conf: Any) -> None:
    conf.environment_type = "existing"
    assert not is_saved("Run", conf, {"env_spec": []})


def test_a_command_tells_the_benchmarks_by_whatever_way_it_is_called(conf: Any) -> None:
    class Find:
        @classmethod
        def run(cls, conf: Any, range_spec: str, bench: str, skip_save: bool = False) -> tuple[str, bool, str]:
            assert conf.project == "some"
            return f"{range_spec} {bench}", skip_save, os.environ["ACESTEP_BENCH_SAVED"]

    pass_on_saving(Find)

    assert Find.run(conf, "a..b", "time") == ("a..b time", False, "yes")
    assert Find.run(conf, "a..b", bench="time", skip_save=True) == ("a..b time", True, "no")
    assert Find.run(conf, "a..b", "time", True) == ("a..b time", True, "no")


def test_the_benchmarks_are_told_and_the_user_s_shell_has_no_say(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ACESTEP_BENCH_SAVED", "no")
    with saved_variable(saved=True):
        assert os.environ["ACESTEP_BENCH_SAVED"] == "yes"
    assert os.environ["ACESTEP_BENCH_SAVED"] == "no"
    monkeypatch.delenv("ACESTEP_BENCH_SAVED")
    with saved_variable(saved=False):
        assert os.environ["ACESTEP_BENCH_SAVED"] == "no"
    assert "ACESTEP_BENCH_SAVED" not in os.environ
