"""Loads damaged checkpoints in a process of its own: ``python -m tests.acestep.hostile.load ROOT CASES``.

CASES is JSON, a list of [loader, folder, changes of its config.json]; the loader is ``synthesizer`` or an engine of the
planner. What each one leads to is printed as JSON: what is said, whether it is loaded, and whether it is ready.
"""

from __future__ import annotations

import json
import os
import resource
import sys
from pathlib import Path
from typing import Any

LIMIT_BYTES = 12 * 2**30
"""Largest address space of the process: one that wants more fails, and does not take the machine with it."""


def main() -> None:
    root, cases = Path(sys.argv[1]), json.loads(sys.argv[2])
    resource.setrlimit(resource.RLIMIT_AS, (LIMIT_BYTES, LIMIT_BYTES))
    os.environ["ACESTEP_CHECKPOINTS_DIR"] = str(root)
    for loader, folder, changes in cases:
        path = root / folder / "config.json"
        sound = path.read_text()
        path.write_text(json.dumps(json.loads(sound) | changes))
        print(json.dumps(outcome(root, loader)), flush=True)
        path.write_text(sound)


def outcome(root: Path, loader: str) -> list[Any]:
    if loader == "synthesizer":
        from acestep.handler import AceStepHandler

        handler = AceStepHandler()
        said, loaded = handler.initialize_service(None, "acestep-v15-turbo", device="cpu")
        return [said, loaded, handler.ready or handler.model is not None]
    from acestep.llm_inference import LLMHandler

    planner = LLMHandler()
    said, loaded = planner.initialize(root, "acestep-5Hz-lm-0.6B", backend=loader, device="cpu")
    return [said, loaded, planner.llm_initialized]


if __name__ == "__main__":
    main()
