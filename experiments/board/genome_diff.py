"""What a child changed of a parent's genome: words, settings, tokens."""

from __future__ import annotations

import difflib
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, fields
from typing import Literal

from bark_infinity.prompts.pieces import pieces
from bark_infinity.requests import RenderSettings
from bark_infinity.voices.history import VoiceHistory
from digital_evolution import Genome

Kind = Literal["same", "added", "removed"]


@dataclass(frozen=True)
class Words:
    """Words in a row that met the same fate."""

    kind: Kind
    text: str


@dataclass(frozen=True)
class Change:
    """A setting that differs; values as people read them."""

    name: str
    before: str
    after: str


@dataclass(frozen=True)
class VoiceDiff:
    """Two voices side by side.

    Attributes:
        before: The parent's, by label and beginning of its hash; ``none`` without a voice.
        after: The child's.
        same: Whether they are the same voice.
        semantic: Share of the child's semantic tokens that the parent has in the same order; None without two voices.
        frames: The same of codec frames, all codebooks equal.
    """

    before: str
    after: str
    same: bool
    semantic: float | None
    frames: float | None


@dataclass(frozen=True)
class GenomeDiff:
    """What differs; ``words`` is the whole prompt, with what was taken away."""

    words: tuple[Words, ...]
    settings: tuple[Change, ...]
    voice: VoiceDiff

    @property
    def nothing(self) -> bool:
        """Whether the two genomes are the same."""
        return self.voice.same and not self.settings and all(one.kind == "same" for one in self.words)


def genome_diff(child: Genome, parent: Genome) -> GenomeDiff:
    """Compares; tens of milliseconds for long voices, so on a worker thread."""
    changes = [] if child.content_lock == parent.content_lock else [
        Change("content lock", said(parent.content_lock), said(child.content_lock))
    ]  # fmt: skip
    for field in fields(RenderSettings):
        before, after = getattr(parent.settings, field.name), getattr(child.settings, field.name)
        if before != after:
            changes.append(Change(field.name, said(before), said(after)))
    return GenomeDiff(word_diff(parent.prompt, child.prompt), tuple(changes), voice_diff(child.voice, parent.voice))


def word_diff(before: str, after: str) -> tuple[Words, ...]:
    """The words of both prompts in one line."""
    old, new = pieces(before), pieces(after)
    made: list[Words] = []
    for how, a, b, c, d in difflib.SequenceMatcher(None, old, new, autojunk=False).get_opcodes():
        if how == "equal":
            made.append(Words("same", " ".join(old[a:b])))
            continue
        if b > a:
            made.append(Words("removed", " ".join(old[a:b])))
        if d > c:
            made.append(Words("added", " ".join(new[c:d])))
    return tuple(made)


def voice_diff(child: VoiceHistory | None, parent: VoiceHistory | None) -> VoiceDiff:
    """Two voices side by side."""
    before, after = voice_label(parent), voice_label(child)
    if child is None or parent is None:
        return VoiceDiff(before, after, child is parent, None, None)
    if child.sha256 == parent.sha256:
        return VoiceDiff(before, after, True, 1.0, 1.0)
    semantic = equal_share(parent.semantic.tolist(), child.semantic.tolist())
    frames = equal_share([one.tobytes() for one in parent.fine.T], [one.tobytes() for one in child.fine.T])
    return VoiceDiff(before, after, False, semantic, frames)


def equal_share(before: Sequence[Hashable], after: Sequence[Hashable]) -> float:
    """Share of ``after`` that stands in ``before`` too, in the same order; 0 when it is empty."""
    matcher = difflib.SequenceMatcher(None, before, after, autojunk=False)
    return sum(block.size for block in matcher.get_matching_blocks()) / max(len(after), 1)


def voice_label(voice: VoiceHistory | None) -> str:
    """What to call a voice: its label and the beginning of its hash."""
    if voice is None:
        return "none"
    return voice.label if voice.label.startswith("sha256:") else f"{voice.label} ({voice.sha256[:8]})"


def said(value: object) -> str:
    """A setting's value as people read it."""
    if value is None:
        return "off"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:g}" if isinstance(value, float) else str(value)
