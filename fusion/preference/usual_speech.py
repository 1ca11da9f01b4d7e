"""What usual speech measures: the frozen reference that people's likings are learned against.

Middle and spread (one deviation) of every acoustic feature over good clips by eight espeak-ng voices, six languages,
whispers, and micro-Bark's voices, half of each; ``python -m experiments.calibrate_gates`` prints them anew. Frozen, so
that a utility means the same from a run's first birth to its last and in the next run; wide, so that another Bark's
voices lie inside. Other numbers need a new `VERSION`, and what was learned against the old ones is learned again.

Most of the 80 features say the same again, or what nobody hears by itself (a cepstral coefficient). Those that people
have a word for are in `HEARD`; the spread of the others is stretched, so that a liking is first looked for in what can
be heard. With that, 50 answers for low voices of micro-Bark predict 75 % of choices among other voices instead
of 69 %, and for bright and fast ones 81 % instead of 76 % (`experiments.benchmarks.preference`, table ``voices``).
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

import numpy as np

from fusion.features.features import AcousticFeatures
from fusion.preference.candidates import Block

VERSION = 1
"""Of what likings are measured against; see `fusion.preference.learner.PreferenceLearner.version`."""

USUAL: Mapping[str, tuple[float, float]] = MappingProxyType(
    {
        "duration_s": (3.48, 0.911),
        "sound_share": (0.989, 0.112),
        "pause_share": (0, 0.0243),
        "pause_count": (0, 0.334),
        "pause_longest_s": (0, 0.0852),
        "leading_silence_s": (0, 0.15),
        "trailing_silence_s": (0, 0.312),
        "rms_db": (-23.8, 6.37),
        "rms_std_db": (6.92, 2.44),
        "rms_range_db": (22.1, 8.76),
        "peak_db": (-4.43, 6.36),
        "true_peak_db": (-4.4, 6.35),
        "clipped_share": (0, 0.001),
        "dc_offset": (0.000554, 0.005),
        "zero_crossing_rate_hz": (4.14e03, 2.42e03),
        "f0_median_hz": (96.6, 94.2),
        "f0_iqr_hz": (17.4, 69.3),
        "f0_iqr_st": (2.24, 6.64),
        "f0_step_st": (0.0979, 1.02),
        "voiced_share": (0.573, 0.392),
        "harmonicity_db": (4.91, 6.6),
        "centroid_hz": (2.81e03, 1.01e03),
        "centroid_std_hz": (1.44e03, 248),
        "bandwidth_hz": (2.57e03, 770),
        "bandwidth_std_hz": (596, 176),
        "rolloff_hz": (5.23e03, 1.99e03),
        "rolloff_std_hz": (2.46e03, 424),
        "flatness": (0.051, 0.0542),
        "flatness_std": (0.0838, 0.0766),
        "high_band_share": (0.0166, 0.0316),
        "tilt_db_per_octave": (-4.34, 1.82),
        "onset_rate_hz": (5.7, 1.33),
        "speaking_rate_cps": (11.5, 3.01),
        "contrast_db_00": (16.7, 2.12),
        "contrast_db_01": (11.4, 3.94),
        "contrast_db_02": (17.4, 3.57),
        "contrast_db_03": (17.7, 2.17),
        "contrast_db_04": (17.1, 2.61),
        "contrast_db_05": (20.1, 1.56),
        "contrast_db_06": (17.9, 3.54),
        "mfcc_mean_00": (-253, 71.3),
        "mfcc_mean_01": (77, 59.2),
        "mfcc_mean_02": (-0.612, 18.9),
        "mfcc_mean_03": (34.3, 14),
        "mfcc_mean_04": (1.06, 13.8),
        "mfcc_mean_05": (-7.71, 7.99),
        "mfcc_mean_06": (-10.5, 6.64),
        "mfcc_mean_07": (-6.06, 8.61),
        "mfcc_mean_08": (-21.3, 9.25),
        "mfcc_mean_09": (0.0265, 8.49),
        "mfcc_mean_10": (-7.49, 5.4),
        "mfcc_mean_11": (0.275, 4.09),
        "mfcc_mean_12": (-3.67, 4.79),
        "mfcc_mean_13": (-3.91, 2.88),
        "mfcc_mean_14": (-2.34, 2.92),
        "mfcc_mean_15": (-0.716, 5.06),
        "mfcc_mean_16": (-4.62, 2.76),
        "mfcc_mean_17": (-2.94, 3.33),
        "mfcc_mean_18": (-3.1, 4.26),
        "mfcc_mean_19": (-1.08, 3.1),
        "mfcc_std_00": (68.3, 17.8),
        "mfcc_std_01": (56.8, 21.9),
        "mfcc_std_02": (25.5, 5.78),
        "mfcc_std_03": (28.5, 5.96),
        "mfcc_std_04": (26.2, 6.18),
        "mfcc_std_05": (23, 4.93),
        "mfcc_std_06": (18.6, 3.72),
        "mfcc_std_07": (17.1, 4.2),
        "mfcc_std_08": (16.3, 3.71),
        "mfcc_std_09": (14.5, 3.27),
        "mfcc_std_10": (10.4, 4.59),
        "mfcc_std_11": (8.7, 4.39),
        "mfcc_std_12": (9.5, 2.26),
        "mfcc_std_13": (8.48, 2.87),
        "mfcc_std_14": (6.51, 3.49),
        "mfcc_std_15": (6.96, 3.18),
        "mfcc_std_16": (6, 3.48),
        "mfcc_std_17": (6.47, 3.02),
        "mfcc_std_18": (6, 3.31),
        "mfcc_std_19": (5.57, 2.47),
    }
)

HEARD = frozenset(
    {
        "duration_s", "pause_share", "rms_db", "rms_range_db", "f0_median_hz", "f0_iqr_st", "f0_step_st",
        "voiced_share", "harmonicity_db", "centroid_hz", "bandwidth_hz", "flatness", "high_band_share",
        "tilt_db_per_octave", "onset_rate_hz", "speaking_rate_cps",
    }
)  # fmt: skip
STRETCHED = 3.0

_middle, _spread = np.array([USUAL[name] for name in AcousticFeatures.NAMES]).T
FEATURES = Block(_middle, _spread * np.array([1.0 if name in HEARD else STRETCHED for name in AcousticFeatures.NAMES]))
