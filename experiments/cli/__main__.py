"""Launcher for a checkout: ``python -m experiments.cli``."""

import sys

from experiments.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
