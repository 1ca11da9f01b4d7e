"""Experiments: running, recording, replaying; the recipe of the embedded model; benchmarks."""
