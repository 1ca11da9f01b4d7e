"""How the pitch of a voice moves: its melody, without what the pitch tracker made up.

A tracker errs in two ways. It takes an octave more or less for a while, and where there is hardly a voice it finds a
pitch by chance. A voice does neither of what that looks like: no voice jumps by several semitones between two frames,
and none has a pitch for less than a syllable's core. So the frames that are surely voiced are cut into pieces wherever
neighbours are further apart than a voice can glide, short pieces are left out, and a piece that lies about an octave
from where the voice usually is counts as that octave's mistake and is moved. Within a piece nothing is changed, so a
glide keeps its whole range.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fusion.features.pitch import FMAX_HZ, FMIN_HZ
from fusion.features.spectra import FRAME_RATE_HZ, VOICED_PERIODICITY, Frames

SURE_PERIODICITY = VOICED_PERIODICITY
LIMITS_HZ = (1.02 * FMIN_HZ, 0.98 * FMAX_HZ)  # what lies beyond is the edge of the search, not a pitch
LARGEST_STEP_ST = 3.0  # in a frame of 21 ms, 140 semitones a second; people reach about 100 (Xu and Sun 2002)
HUM_STEP_ST = 0.02  # a pitch that stands this still is a machine's: mains, or a codec that repeats a frame
SHORTEST_FRAMES = 4  # 85 ms: a short vowel
FARTHEST_ST = 8.0  # from the median; from there on the next octave is nearer by 4 semitones or more


@dataclass(frozen=True)
class Melody:
    """What is left of a pitch track.

    Attributes:
        range_st: Interquartile range in semitones, over time; 0 without a voice.
        step_st: Median change from frame to frame in semitones; 0 without a voice.
        voiced_s: Time with a sure pitch.
        voiced_share: Of the frames with sound.
    """

    range_st: float
    step_st: float
    voiced_s: float
    voiced_share: float


def melody_of(frames: Frames) -> Melody:
    """The melody of a clip that `fusion.features.spectra.analyse` has looked at."""
    at = np.flatnonzero(frames.sound)  # (N,) frame numbers
    # Where no lag fits, the best one is often the first or the last that was tried.
    inside = (frames.f0_hz > LIMITS_HZ[0]) & (frames.f0_hz < LIMITS_HZ[1])
    sure = (frames.periodicity >= SURE_PERIODICITY) & inside
    pieces = _pieces(at[sure], 12 * np.log2(frames.f0_hz[sure].astype(np.float64)))
    if not pieces:
        return Melody(0.0, 0.0, 0.0, 0.0)
    # The lower of two middles: half of the time an octave up is still one of the two pitches, not one between them.
    usual = float(np.percentile(np.concatenate(pieces), 50, method="lower"))
    pitch = np.concatenate([_in_octave(piece, usual) for piece in pieces])
    low, high = np.percentile(pitch, (25, 75))
    steps = np.concatenate([np.abs(np.diff(piece)) for piece in pieces])
    return Melody(
        range_st=float(high - low),
        step_st=float(np.median(steps)),
        voiced_s=len(pitch) / FRAME_RATE_HZ,
        voiced_share=len(pitch) / len(at),
    )


def _pieces(at: NDArray[np.int64], semitones: NDArray[np.float64]) -> list[NDArray[np.float64]]:
    """Pitch in semitones where it goes on without a gap or a jump, for long enough."""
    breaks = (np.diff(at) > 1) | (np.abs(np.diff(semitones)) > LARGEST_STEP_ST)
    pieces = np.split(semitones, np.flatnonzero(breaks) + 1)
    long = [piece for piece in pieces if len(piece) >= SHORTEST_FRAMES]
    return [piece for piece in long if np.median(np.abs(np.diff(piece))) > HUM_STEP_ST]


def _in_octave(piece: NDArray[np.float64], usual: float) -> NDArray[np.float64]:
    away = float(np.median(piece)) - usual
    return piece if abs(away) <= FARTHEST_ST else piece - 12 * np.rint(away / 12)
