"""Compare the speed of parts of `acestep` with a library's: ``python -m scripts.versus --help``."""

import sys

from scripts.tracker.versus.command import main

if __name__ == "__main__":
    sys.exit(main())
