"""The workload of the options, on the tiny models: what each has led to, and what happens if it led to nothing."""

import gc
from contextlib import nullcontext
from dataclasses import replace

import pytest
import torch

from acestep.handler import AceStepHandler
from acestep.runtime.offload import OffloadManager
from acestep.runtime.quantization import QuantizationReport
from acestep.synthetic import cached
from benchmarks.harness.device import module_bytes, tensor_bytes
from benchmarks.harness.matrices import OPTIONS_MATRIX
from benchmarks.harness.settings import Settings
from benchmarks.harness.workload import CellFailed, Unsupported
from benchmarks.harness.workloads.options import Options, check_effect, check_run, load_with
from benchmarks.harness.workloads.startup import LOADS

PLAIN = {"offload": "none", "quantization": "none", "compile": False}
ALL = {**PLAIN, "offload": "all"}
INT8 = {**PLAIN, "quantization": "int8_weight_only"}
COMPILED = {**PLAIN, "compile": True}
NOTHING = {"transfers": 0, "transfer_bytes": 0, "quantized_layers": 0, "compiled_calls": 0, "weight_bytes": 100}


@pytest.fixture
def settings(tmp_path, monkeypatch):
    monkeypatch.setenv("ACESTEP_CHECKPOINTS_DIR", "")
    return Settings("tiny", "cpu", "quick", "", "none", str(tmp_path), str(tmp_path))


def taken(settings, cell):
    return Options().prepare(settings, cell)()


def test_without_options_nothing_is_moved_quantized_or_compiled(settings):
    sample = taken(settings, PLAIN)

    assert [sample.work[name] for name in ("transfers", "quantized_layers", "graphs")] == [0, 0, 0]
    assert {"transfer", "transfers", "transfer_bytes", "plain_layers", "graphs"}.isdisjoint(sample.series)
    assert sample.work["audio_samples"] == 30 * 48_000
    assert sample.series["peak_memory"] > sample.series["weight_bytes"]


def test_offloaded_and_quantized_weights_are_moved_and_small(settings):
    plain, sample = taken(settings, PLAIN), taken(settings, OPTIONS_MATRIX.quick[1])

    assert sample.series["plain_layers"] == 0
    assert sample.work["quantized_layers"] == plain.work["plain_layers"]
    assert sample.series["weight_bytes"] < 0.5 * plain.series["weight_bytes"]
    assert sample.series["transfer_bytes"] > sample.series["weight_bytes"]
    assert sample.series["transfers"] == sample.work["transfers"] > 1
    assert 0 < sample.series["transfer"] < sample.series["wall"]
    assert plain.series["peak_memory"] - sample.series["peak_memory"] == pytest.approx(
        plain.series["weight_bytes"] - sample.series["weight_bytes"], rel=0.1
    )


def test_offloading_the_models_leaves_the_diffusion_model_where_it_is(settings):
    sample = taken(settings, {**PLAIN, "offload": "models"})

    assert 0 < sample.series["transfer_bytes"] < sample.series["weight_bytes"]


def test_compiled_graphs_are_counted_after_they_were_compiled(settings, monkeypatch):
    monkeypatch.setattr("torch._inductor.compile_fx.compile_fx", lambda graph, _inputs: graph.forward)
    take = Options().prepare(settings, COMPILED)
    first, again = take(), take()
    torch.compiler.reset()

    assert first.series["graphs"] > 1
    assert first.work["compiled_calls"] > 8
    assert again.work == first.work


def test_an_option_that_is_silently_left_out_fails(settings, monkeypatch):
    monkeypatch.setattr(
        "acestep.loaded_models.quantize", lambda _model, method, _device: QuantizationReport(method, 0, 0, 0)
    )
    monkeypatch.setattr("acestep.runtime.compilation.CompiledRegions._compile", lambda _self, region: region)

    with pytest.raises(CellFailed, match="quantization=int8_weight_only, but 0 quantized layers"):
        Options().prepare(settings, INT8)
    with pytest.raises(CellFailed, match="compile=True, but 0 compiled graphs"):
        Options().prepare(settings, COMPILED)


def test_offloading_that_moves_nothing_fails(settings, monkeypatch):
    monkeypatch.setattr(OffloadManager, "on_device", lambda *_: nullcontext())

    with pytest.raises(CellFailed, match="offload=all, but 0 transfers"):
        Options().prepare(settings, ALL)


@pytest.mark.parametrize(
    ("cell", "counts", "told"),
    [
        (INT8, {}, "quantization=int8_weight_only, but 0 quantized layers"),
        (COMPILED, {}, "compile=True, but 0 calls of compiled graphs"),
        (
            ALL,
            {"transfers": 3, "transfer_bytes": 99},
            "99 bytes were moved, and the diffusion transformer alone has 100",
        ),
        (PLAIN, {"quantized_layers": 2}, "quantization=none, but 2 quantized layers"),
        (PLAIN, {"transfers": 2}, "offload=none, but 2 transfers"),
    ],
)
def test_what_is_in_place_must_be_used_and_nothing_else(cell, counts, told):
    with pytest.raises(CellFailed, match=told):
        check_run(cell, {**NOTHING, **counts})


def test_all_that_is_wrong_is_told():
    with pytest.raises(CellFailed, match="offload=all, but 0 b; compile=True, but 0 a"):
        check_effect({**ALL, "compile": True}, {"offload": (0, "b"), "compile": (0, "a"), "quantization": (0, "c")})


def test_a_commit_that_takes_no_options_is_too_old(settings, monkeypatch):
    def initialize_service(self, project_root, config_path=None, device="auto"):
        return self, project_root, config_path, device

    monkeypatch.setattr(AceStepHandler, "initialize_service", initialize_service)

    with pytest.raises(Unsupported, match="initialize_service does not take offload_to_cpu"):
        Options().load(settings)


def test_what_loading_refuses_fails_with_its_report(settings, monkeypatch):
    monkeypatch.setattr(AceStepHandler, "load", lambda *_: (_ for _ in ()).throw(ValueError("no such kernel")))

    with pytest.raises(RuntimeError, match="no such kernel"):
        Options().prepare(settings, INT8)


def test_nothing_quantized_is_asked_of_mps(settings, tmp_path):
    with pytest.raises(Unsupported, match="mps"):
        load_with(replace(settings, device="mps"), tmp_path, INT8)


@pytest.mark.parametrize(
    ("component", "effect"),
    [
        ("dit_offloaded", {"offloaded": ["text_encoder", "vae_encoder", "vae_decoder", "condition", "decoder"]}),
        ("dit_int8", {"quantization": "int8_weight_only"}),
        ("dit_fp8", {"quantization": "fp8_weight_only"}),
        ("dit_w8a8", {"quantization": "w8a8_dynamic"}),
    ],
)
def test_an_option_can_be_loaded_alone(settings, component, effect):
    prepare = LOADS[component]
    loaded = prepare(settings, cached("tiny"))()

    assert loaded.in_effect().items() >= effect.items()


def test_bytes_of_quantized_weights_are_those_that_are_stored(settings):
    plain, quantized = (load_with(settings, cached("tiny"), cell).model.decoder for cell in (PLAIN, INT8))

    assert module_bytes(plain) == sum(tensor.nbytes for tensor in [*plain.parameters(), *plain.buffers()])
    assert module_bytes(quantized) < 0.5 * module_bytes(plain)


def test_tensors_that_are_made_of_others_count_with_these():
    torchao = pytest.importorskip("torchao")
    gc.collect()
    before = tensor_bytes()
    layer = torch.nn.Linear(64, 32, bias=False)
    torchao.quantization.quantize_(layer, torchao.quantization.Int8WeightOnlyConfig(set_inductor_config=False))
    gc.collect()

    assert tensor_bytes() - before == module_bytes(layer) < 64 * 32 * 2
