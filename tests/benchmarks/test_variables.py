"""Which variables of the user's shell reach a worker, and which stand in the record."""

import pytest

from benchmarks.harness.host import describe
from benchmarks.harness.process import worker_environment
from benchmarks.harness.variables import for_worker, recorded
from tests.benchmarks.fakes import settings_in

DROPPED = (
    *("ACESTEP_VAE_DECODE_CHUNK_SIZE", "ACESTEP_VAE_ON_CPU", "ACESTEP_SAVE_MEMORY", "ACESTEP_MLX_VAE_CHUNK"),
    *("ACESTEP_CHECKPOINTS_DIR", "ACESTEP_PROJECT_ROOT", "MAX_CUDA_VRAM", "MAX_MPS_VRAM", "MAX_XPU_VRAM"),
    *("KMP_AFFINITY", "OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "MKL_DYNAMIC", "OPENBLAS_NUM_THREADS", "MALLOC_ARENA_MAX"),
    *("TORCH_LOGS", "TORCHINDUCTOR_FREEZING", "TORCHDYNAMO_DISABLE", "PYTORCH_JIT", "PYTHONOPTIMIZE", "PYTHONMALLOC"),
    *("PYTHONDONTWRITEBYTECODE", "VLLM_ATTENTION_BACKEND", "DIFFUSERS_ATTN_BACKEND", "CUDA_LAUNCH_BLOCKING"),
)
KEPT = (
    *("LD_PRELOAD", "LD_LIBRARY_PATH", "CUDA_VISIBLE_DEVICES", "PYTORCH_CUDA_ALLOC_CONF", "PYTORCH_ALLOC_CONF"),
    *("OPENBLAS_CORETYPE", "ATEN_CPU_CAPABILITY", "KMP_DUPLICATE_LIB_OK", "PYTHONPATH", "GLIBC_TUNABLES"),
)
UNTOUCHED = ("ACESTEP_BENCH_CELLS", "ACESTEP_CACHE_DIR", "PATH", "HOME", "LANG", "HF_HOME", "CUDA_HOME", "OMPHALOS")


@pytest.mark.parametrize("name", DROPPED)
def test_what_changes_the_measured_package_does_not_reach_it(name):
    assert for_worker({name: "1"}, "virtualenv-py3.11") == {}
    assert recorded({name: "1"}) == "none"


@pytest.mark.parametrize("name", KEPT)
def test_what_may_be_needed_to_run_at_all_is_kept_and_recorded(name):
    assert for_worker({name: "1"}, "virtualenv-py3.11") == {name: "1"}
    assert recorded({name: "1"}) == f"{name}=1"


@pytest.mark.parametrize("name", UNTOUCHED)
def test_all_else_is_left_alone(name):
    assert for_worker({name: "1"}, "virtualenv-py3.11") == {name: "1"}
    assert recorded({name: "1"}) == "none"


def test_the_record_has_them_in_one_sorted_text():
    assert recorded({"OPENBLAS_CORETYPE": "Haswell", "HOME": "/root", "LD_PRELOAD": "/a b.so"}) == (
        "LD_PRELOAD='/a b.so' OPENBLAS_CORETYPE=Haswell"
    )


def test_a_variable_that_asv_s_configuration_sets_stays_for_its_environment():
    environ = {"TORCHINDUCTOR_FREEZING": "1"}
    assert for_worker(environ, "virtualenv-py3.11-torch2.13.0-TORCHINDUCTOR_FREEZING1") == environ


def test_a_worker_gets_neither_the_user_s_options_nor_threads(tmp_path, monkeypatch):
    for name, value in {"ACESTEP_VAE_ON_CPU": "1", "OMP_NUM_THREADS": "7", "OPENBLAS_CORETYPE": "Haswell"}.items():
        monkeypatch.setenv(name, value)
    settings = settings_in(tmp_path, "ok")
    environment = worker_environment(settings, str(tmp_path))

    assert "ACESTEP_VAE_ON_CPU" not in environment
    assert (environment["OMP_NUM_THREADS"], environment["MALLOC_MMAP_MAX_"]) == ("1", "0")
    assert "OPENBLAS_CORETYPE=Haswell" in str(describe(settings)["variables"])
