"""Loads the models of a folder in a process of its own and prints what is said: ``python -m tests.hostile.load``.

The arguments are the folder and ``synthesizer`` or an engine of the planner.
"""

from __future__ import annotations

import json
import os
import resource
import sys

LIMIT_BYTES = 12 * 2**30
"""Of the address space: a process that wants more fails, and does not take the machine with it."""


def main() -> None:
    root, what = sys.argv[1:]
    resource.setrlimit(resource.RLIMIT_AS, (LIMIT_BYTES, LIMIT_BYTES))
    if what == "synthesizer":
        from acestep.handler import AceStepHandler

        os.environ["ACESTEP_CHECKPOINTS_DIR"] = root
        handler = AceStepHandler()
        said, loaded = handler.initialize_service(None, "acestep-v15-turbo", device="cpu")
        ready = handler.ready or handler.model is not None
    else:
        from acestep.llm_inference import LLMHandler

        planner = LLMHandler()
        said, loaded = planner.initialize(root, "acestep-5Hz-lm-0.6B", backend=what, device="cpu")
        ready = planner.llm_initialized
    print(json.dumps([said, loaded, ready]))


if __name__ == "__main__":
    main()
