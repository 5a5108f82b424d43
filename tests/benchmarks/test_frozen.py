"""The frozen workload: its bytes are fixed, every handler loads it, and a changed one is noticed."""

import hashlib
import json
import os
import statistics
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from acestep.handler import AceStepHandler
from acestep.synthetic.tokenizer import INVALID_CODES, build_text_tokenizer, build_tokenizer
from benchmarks.harness.frozen import recipe, tokenizer, tree
from benchmarks.harness.frozen.noise import standard_normal
from benchmarks.harness.frozen.silence import write_silence
from benchmarks.harness.frozen.tree import WorkloadDiffers, describe, digest_of, frozen_digest, frozen_files
from benchmarks.harness.settings import DIT_FOLDER, LM_FOLDER, Settings
from benchmarks.harness.workload import Unsupported
from benchmarks.harness.workloads.models import load_dit, workload_digest
from benchmarks.harness.workloads.options import Options
from benchmarks.harness.workloads.startup import Startup

WRITE = """
import sys
import numpy
numpy.random.seed(7)
from benchmarks.harness.frozen.tree import cached
print(cached())
unwanted = {"torch", "acestep", "transformers", "tokenizers", "diffusers", "safetensors"}
print({name.partition(".")[0] for name in sys.modules} & unwanted)
"""


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("ACESTEP_BENCH_CACHE_DIR", str(tmp_path))
    return tmp_path / "frozen"


@pytest.fixture
def settings(tmp_path):
    return Settings("tiny", "cpu", "quick", "", "none", str(tmp_path), str(tmp_path))


def test_every_process_writes_the_same_bytes_and_needs_no_package_under_measurement(tmp_path):
    odd = {"OMP_NUM_THREADS": "3", "PYTHONHASHSEED": "11", "TZ": "Asia/Tokyo", "LC_ALL": "C", "PYTHONUTF8": "0"}
    digests = []
    for number, environ in enumerate(({}, odd)):
        done = subprocess.run(
            [sys.executable, "-c", WRITE],
            env={**os.environ, **environ, "ACESTEP_BENCH_CACHE_DIR": str(tmp_path / str(number))},
            capture_output=True,
            text=True,
            check=True,
        )
        folder, imported = done.stdout.splitlines()
        assert imported == "set()"
        digests.append(digest_of(describe(Path(folder))))

    assert digests == [digest_of(frozen_files())] * 2
    assert digests[0].startswith(frozen_digest())


def test_two_processes_that_ask_at_once_share_one_tree(cache):
    asking = [subprocess.Popen([sys.executable, "-c", WRITE], stdout=subprocess.PIPE, text=True) for _ in range(2)]
    answers = {process.communicate(timeout=60)[0].splitlines()[0] for process in asking}

    assert answers == {str(cache / frozen_digest())}
    assert [folder.name for folder in cache.iterdir() if folder.is_dir()] == [frozen_digest()]


def test_where_the_tree_lies(tmp_path, monkeypatch):
    monkeypatch.setattr(tree, "write", lambda root: (root / "file").write_text("frozen"))
    monkeypatch.setattr(tree, "frozen_files", lambda: {"file": (6, hashlib.sha256(b"frozen").hexdigest())})
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    for variable in ("ACESTEP_BENCH_CACHE_DIR", "ACESTEP_CACHE_DIR"):
        monkeypatch.delenv(variable, raising=False)
    places = [tree.cached().parents[1]]
    for variable in ("ACESTEP_CACHE_DIR", "ACESTEP_BENCH_CACHE_DIR"):
        monkeypatch.setenv(variable, str(tmp_path / variable))
        places.append(tree.cached().parents[1])

    wanted = ("home/.cache/acestep", "ACESTEP_CACHE_DIR", "ACESTEP_BENCH_CACHE_DIR")
    assert places == [tmp_path / name for name in wanted]


def test_other_bytes_are_refused_with_both_digests_and_leave_nothing_behind(cache, monkeypatch):
    def other(root):
        recipe.write(root)
        (root / "vae" / "config.json").write_text("{}")

    monkeypatch.setattr(tree, "write", other)
    with pytest.raises(
        WorkloadDiffers, match=r"sha256 \w{64} instead of \w{64}; other files: vae/config\.json\."
    ) as told:
        tree.cached()

    assert digest_of(frozen_files()) in str(told.value)
    assert not [folder for folder in cache.iterdir() if folder.is_dir()]


@pytest.mark.usefixtures("cache")
@pytest.mark.parametrize("deed", ["shorter", "gone", "more"])
def test_a_tree_that_was_changed_since_is_refused(deed):
    folder = tree.cached()
    path = folder / ("note" if deed == "more" else "vae/config.json")
    path.unlink() if deed == "gone" else path.write_text("{}")

    with pytest.raises(WorkloadDiffers, match=f"{path.relative_to(folder)} changed since .*Remove that folder"):
        tree.cached()


def test_numbers_are_near_normal_and_belong_to_their_name():
    numbers = standard_normal("a name", (100, 1000))

    assert abs(numbers.mean()) < 0.01
    assert numbers.std() == pytest.approx(1, rel=0.01)
    assert 3 < abs(numbers).max() < 3.5
    assert (numbers == standard_normal("a name", (100, 1000))).all()
    assert (numbers != standard_normal("another", (100, 1000))).mean() > 0.99


def test_torch_reads_the_silence(tmp_path):
    write_silence(tmp_path / "silence_latent.pt")
    silence = torch.load(tmp_path / "silence_latent.pt", weights_only=True)

    assert (silence.shape, silence.dtype, silence.is_contiguous()) == ((1, 64, 1500), torch.float32, True)
    assert (silence == silence[:, :, :1]).all()
    assert silence.std() == pytest.approx(1, rel=0.4)


def test_weights_keep_the_size_of_a_signal():
    weights = load_file(tree.cached() / DIT_FOLDER / "model.safetensors")
    matrix, norm = weights["decoder.layers.0.mlp.down_proj.weight"], weights["decoder.norm_out.weight"]

    assert matrix.std() * matrix.shape[1] ** 0.5 == pytest.approx(1, rel=0.05)
    assert norm.mean() == pytest.approx(1, rel=0.05)


def test_the_tokenizers_are_those_that_the_package_trains(tmp_path):
    wanted = {(): build_text_tokenizer("tiny"), tokenizer.CODES: build_tokenizer(1024)}
    for codes, trained in wanted.items():
        tokenizer.write_tokenizer(tmp_path, codes, ends=not codes)
        assert json.loads((tmp_path / "tokenizer.json").read_text("utf-8")) == json.loads(trained.to_str())
    assert tokenizer.CODES[-2:] == INVALID_CODES


@pytest.mark.parametrize("variant", recipe.DITS)
def test_the_synthesizer_loads_every_variant(settings, variant):
    loaded = load_dit(settings, tree.cached(), f"acestep-v15-{variant}")

    assert loaded.is_turbo_model() is variant.endswith("turbo")
    assert ("encoder_hidden_size" in loaded.config) is variant.startswith("xl")


def test_the_planner_ends_its_text_after_some_dozen_tokens(state):
    planner = state.handler("pt")
    written = [planner.generate_with_stop_condition("A song", "La la la", "dit", seeds=[seed]) for seed in range(6)]
    lengths = [len(result["metadata"]["caption"].split()) for result in written]

    assert all(result["success"] for result in written)
    assert 20 < statistics.mean(result["extra_outputs"]["counts"]["cot_tokens"] for result in written) < 100
    assert len(set(lengths)) > 1


def test_records_say_which_workload_was_measured(settings):
    assert Options().facts(settings)["workload"] == frozen_digest()
    assert Startup().facts(settings)["workload"] == frozen_digest()
    assert workload_digest(settings) == frozen_digest()


def test_a_folder_is_known_by_its_small_files_and_by_the_sizes_of_large_ones(tmp_path, settings):
    given = replace(settings, scale=str(tmp_path))
    weights, config = tmp_path / DIT_FOLDER / "model.safetensors", tmp_path / LM_FOLDER / "config.json"
    for path, contents in ((weights, bytes(2_000_000)), (config, b"{}"), (tmp_path / "else" / "file", b"1")):
        path.parent.mkdir()
        path.write_bytes(contents)
    digests = [workload_digest(given)]
    for path, contents in ((tmp_path / "else" / "file", b"22"), (config, b"[]"), (weights, bytes(2_000_001))):
        path.write_bytes(contents)
        digests.append(workload_digest(given))

    assert digests[0] == digests[1]
    assert len(set(digests)) == 3


@pytest.mark.parametrize(
    "told",
    [
        "acestep-v15-base: is_turbo is not true; this version runs turbo checkpoints only.",
        "acestep-v15-base is not a turbo model: this version makes music with turbo models only.",
    ],
)
def test_a_commit_that_knows_turbo_alone_does_not_have_the_other_variants(settings, monkeypatch, told):
    monkeypatch.setattr(AceStepHandler, "initialize_service", lambda *_, device: (f"Error ({device}): {told}", False))

    with pytest.raises(Unsupported, match=r"acestep-v15-base.* turbo .* only"):
        load_dit(settings, tree.cached(), "acestep-v15-base")


def test_whatever_else_keeps_a_variant_from_loading_is_a_failure(settings, monkeypatch):
    monkeypatch.setattr(AceStepHandler, "initialize_service", lambda *_, device: (f"no memory on {device}", False))

    with pytest.raises(RuntimeError, match="no memory on cpu"):
        load_dit(settings, tree.cached(), "acestep-v15-base")
