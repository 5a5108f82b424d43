"""The profiler and the benchmarks end with the sentence of the loader, and not as if they had run."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.harness.settings import Settings
from benchmarks.harness.workloads.models import load_dit
from scripts.tracker.profiling.command import main
from tests.acestep.hostile.conftest import MODEL, change_config

SENTENCE = "config.json: num_hidden_layers is 1000000000, but the weights have 2 layers"


@pytest.fixture
def hostile(root: Path) -> Path:
    change_config(root / MODEL, num_hidden_layers=10**9)
    return root


def test_the_profiler(hostile: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        raise SystemExit(main(["--checkpoints", str(hostile), "--device", "cpu", "--mode", "profile"]))
    assert ended.value.code not in (0, None)
    said = capsys.readouterr()
    assert SENTENCE in said.err + said.out + str(ended.value.code)
    assert "Traceback" not in said.err


def test_a_cell(hostile: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ACESTEP_CHECKPOINTS_DIR", "")
    settings = Settings.from_environment({"ACESTEP_BENCH_SCALE": str(hostile)})
    with pytest.raises(RuntimeError, match=SENTENCE):
        load_dit(settings, hostile)
