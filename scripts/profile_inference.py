"""Profile and benchmark ACE-Step 1.5 inference: ``python scripts/profile_inference.py --help``."""

import sys
from pathlib import Path

if __name__ == "__main__":
    sys.path[0] = str(Path(__file__).resolve().parents[1])  # replaces this folder: its modules must not hide others

from scripts.tracker.profiling.command import main

if __name__ == "__main__":
    sys.exit(main())
