"""Measures a few cheap cells of each matrix with the `acestep` that is first on the import path.

Usage: ``python -P measure_cells.py REPOSITORY``, which has the benchmarks. It prints a JSON object: under the name of
each cell the series and the work of one sample, and its exact metrics; or the reason why there are none.
"""

import json
import sys
import tempfile
from functools import partial

CELLS = {
    "generate": "duration=30,batch=1,thinking=False,steps=8",
    "tasks": "stage=FromCodes,task=cover",
    "options": "offload=all,quantization=none,compile=False",
    "stages": "stage=TextEncode,batch=1;stage=ConditionEncode,lyric_tokens=128,batch=1;"
    "stage=DiTForward,duration=30,batch=1;stage=DiTStep,family=base,duration=30,batch=1;"
    "stage=VAEWindows,duration=30,window=128,batch=1;"
    "stage=VAEEncode,duration=0.2;stage=AudioSave,format=wav,duration=30",
    "planner": "stage=Prefill,engine=pt,prompt_tokens=128,guidance=True;"
    "stage=DecodeStep,engine=pt,phase=text,batch=1,guidance=False;"
    "stage=Constraint,new=form,caption=False",
    "apis": "stage=CreateSample,engine=pt,constrained=True,instrumental=False",
    "footprint": "family=turbo,loaded=offloaded int8,duration=30,batch=1",
    "tiers": "stage=Resolve,vram_gb=8;stage=Estimators,dit=turbo,batch=1,duration=30,lm=4B;"
    "stage=MemoryModel,vram_gb=8,variant=no-quant,lm=tier;stage=Boundary,lm=tier,duration=30;"
    "stage=BatchBoundary,vram_gb=8,lm=tier;stage=Run,vram_gb=4,lm=none",
    "startup": "stage=Import,target=acestep;stage=Load,component=lm_grammar;stage=Load,component=dit_offloaded",
}
"""The cells that are measured, by matrix: together they need every function of the adapter."""


def main():
    sys.path.append(sys.argv[1])
    import acestep
    import benchmarks
    from benchmarks.harness.cells import Selection, key
    from benchmarks.harness.matrices import MATRICES
    from benchmarks.harness.settings import Settings
    from benchmarks.harness.workloads import footprint, tiers

    for module in (footprint, tiers):  # the released shapes take a minute
        module.FootprintRequest = partial(module.FootprintRequest, scale="tiny")
    found = {}
    folder = tempfile.mkdtemp()
    # startup forks this process, so it comes first: before torch has started threads
    for matrix in sorted(MATRICES, key=lambda matrix: matrix.name != "startup"):
        settings = Settings("tiny", "cpu", CELLS[matrix.name], "", "none", folder, folder)
        workload = matrix.workload()
        state = workload.load(settings)
        for cell in Selection(settings.cells, MATRICES).of(matrix):
            found[f"{matrix.name}/{key(cell)}"] = measure(workload, state, cell)
    print(json.dumps({"acestep": acestep.__file__, "benchmarks": benchmarks.__file__, "cells": found}))


def measure(workload, state, cell):
    from benchmarks.harness.compiled import Graphs
    from benchmarks.harness.exact import Warm, exact_metrics

    try:
        before = Graphs.so_far()
        take = workload.prepare(state, cell)
        sample = take()
        exact = {} if sample.exact else exact_metrics(Warm(take, "cpu", sample, before))
    except Exception as error:  # noqa: BLE001 - the test shows it
        return {"reason": f"{type(error).__name__}: {error}"}
    return {"series": dict(sample.series), "work": dict(sample.work), "exact": exact}


if __name__ == "__main__":
    main()
