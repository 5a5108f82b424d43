"""Put the verdicts to the test: ``python -m scripts.validate --help``."""

import sys

from scripts.tracker.validation.command import main

if __name__ == "__main__":
    sys.exit(main())
