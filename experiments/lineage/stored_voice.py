"""A voice that is still in its file: what it is called is known, its tokens are read whenever they are looked at.

Who keeps ten thousand births in memory keeps ten thousand voices; of a long one the tokens are 40 KB, the rest 1 KB.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from bark_infinity.tokens import TokenSpace
from bark_infinity.voices.history import VoiceHistory
from bark_infinity.voices.metadata import frozen_metadata

_TOKENS = ("semantic", "coarse", "fine")


class StoredVoice(VoiceHistory):
    """A voice whose lineage has to be open when its tokens are looked at; equal to the same voice in memory."""

    @classmethod
    def of(
        cls,
        read: Callable[[], VoiceHistory],
        sha256: str,
        space: TokenSpace,
        name: str | None,
        metadata: Mapping[str, Any],
    ) -> StoredVoice:
        """The voice that ``read`` gives, by what is known without reading it."""
        voice = object.__new__(cls)
        known = {"sha256": sha256, "space": space, "name": name, "metadata": frozen_metadata(metadata, sha256)}
        vars(voice).update(known, extras={}, _read=read)
        return voice

    def __getattr__(self, name: str) -> Any:
        if name in _TOKENS:
            return getattr(self._read(), name)
        raise AttributeError(f"a voice has no {name}")
