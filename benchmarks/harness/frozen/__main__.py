"""Keeps what today's recipe writes as the frozen workload: ``python -m benchmarks.harness.frozen``.

Run it when the recipe was changed on purpose. All curves of matrices that load checkpoints then start anew.
"""

from __future__ import annotations

import json
import os
import tempfile
from pathlib import Path

from benchmarks.harness.frozen.recipe import write
from benchmarks.harness.frozen.tree import LISTING, describe, digest_of


def main() -> None:
    """Write the listing and say which digest it has."""
    with tempfile.TemporaryDirectory() as folder:
        write(Path(folder))
        files = describe(Path(folder))
    lines = [f"  {json.dumps(path)}: {json.dumps(list(entry))}" for path, entry in files.items()]
    LISTING.write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")
    size = sum(size for size, _ in files.values())
    print(f"{len(files)} files, {size / 1e6:.1f} MB, sha256 {digest_of(files)}: {os.path.relpath(LISTING)}")


if __name__ == "__main__":
    main()
