"""What every test shares: one thread for tiny models, and no way to the network."""

from __future__ import annotations

import os
import shutil

import pytest

# Set before torch loads: for models this small a second thread costs more than it brings, and on a busy machine
# far more. Tests of thread counts start their own processes.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ["HF_HUB_OFFLINE"] = "1"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests of the window need a screen and somebody who clicks; without them they skip and say so."""
    missing = [name for name in ("xdotool",) if shutil.which(name) is None]
    missing += [] if os.environ.get("DISPLAY") else ["DISPLAY"]
    if missing:
        skip = pytest.mark.skip(reason=f"no {', no '.join(missing)}: run make test, or pytest under xvfb-run")
        for item in items:
            if item.get_closest_marker("gui"):
                item.add_marker(skip)
