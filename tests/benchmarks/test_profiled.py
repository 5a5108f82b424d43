"""What the profiler has seen of a run: memory to the byte, waits by their names, and what was compiled."""

import pytest
import torch

from benchmarks.harness.compiled import Graphs
from benchmarks.harness.profiled import host_waits, profiled


def allocate():
    first = torch.zeros(1000, dtype=torch.uint8)
    del first
    second = torch.zeros(3000, dtype=torch.uint8)
    third = torch.zeros(2000, dtype=torch.uint8)
    return len(second) + len(third)


def halved(numbers):
    return numbers / 2


def broken(numbers):
    doubled = numbers * 2
    torch._dynamo.graph_break()
    return doubled + 1


@pytest.fixture
def _forget_graphs():
    torch.compiler.reset()
    yield
    torch.compiler.reset()


def test_all_allocations_add_up_and_those_that_are_there_at_once_are_the_peak():
    run = profiled(allocate, "cpu")

    assert (run.result, run.allocated_bytes, run.peak_bytes) == (5000, 6000, 5000)


def test_a_device_that_does_not_tell_has_no_memory_and_only_cuda_makes_the_host_wait():
    run = profiled(allocate, "mps")

    assert (run.allocated_bytes, run.peak_bytes, run.host_waits) == (None, None, None)
    assert profiled(allocate, "cpu").host_waits is None


def test_waits_are_told_from_other_calls_by_their_names():
    names = [
        *("aten::item", "cudaMemcpyAsync", "cudaStreamSynchronize"),  # a number is read
        *("cudaLaunchKernel", "cudaDeviceSynchronize", "cudaEventSynchronize", "cudaEventRecord"),
        *("cudaMemcpy", "cudaStreamIsCapturing", "Memcpy DtoH (Device -> Pageable)"),
    ]

    assert host_waits(names) == 4


@pytest.mark.usefixtures("_forget_graphs")
def test_graphs_are_compiled_once_and_seen_whenever_they_run():
    compiled, numbers = torch.compile(halved, backend="eager"), torch.ones(4)
    first, again = (profiled(lambda: compiled(numbers), "cpu") for _ in range(2))

    assert (first.graphs, again.graphs) == (Graphs(compiled=1), Graphs())
    assert first.runs_compiled
    assert again.runs_compiled
    assert not profiled(lambda: halved(numbers), "cpu").runs_compiled


@pytest.mark.usefixtures("_forget_graphs")
def test_a_break_makes_two_graphs():
    before, compiled = Graphs.so_far(), torch.compile(broken, backend="eager")
    compiled(torch.ones(4))

    assert Graphs.so_far() - before == Graphs(compiled=2, breaks=1)
