"""Launcher of `bark_perform` for a checkout: ``python bark_perform.py --text_prompt "Hello"``."""

import sys

from bark_infinity.perform.main import main

if __name__ == "__main__":
    sys.exit(main())
