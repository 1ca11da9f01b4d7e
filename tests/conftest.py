"""What every test shares: one thread for tiny models, and no way to the network."""

from __future__ import annotations

import os

# Set before torch loads: for models this small a second thread costs more than it brings, and on a busy machine
# far more. Tests of thread counts start their own processes.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ["HF_HUB_OFFLINE"] = "1"
