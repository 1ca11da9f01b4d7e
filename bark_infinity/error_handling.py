"""The errors of the program: every message names the thing, what was expected, what came, and what to do next."""

from __future__ import annotations


class BarkError(Exception):
    """Something the caller can act on went wrong in the engine or one of its faces."""


class VoiceFormatError(BarkError):
    """A voice history broke a rule of the .npz format, or does not fit the checkpoint."""


class CheckpointError(BarkError):
    """A checkpoint is missing, incomplete, damaged, or not to be trusted."""
