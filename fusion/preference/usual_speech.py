"""What usual speech measures: the frozen reference that people's likings are learned against.

Middle and spread (one deviation) of every acoustic feature over good clips by eight espeak-ng voices, six languages,
whispers, and micro-Bark's voices, half of each; ``python -m experiments.calibrate_gates`` prints them anew. Frozen, so
that a utility means the same from a run's first birth to its last and in the next run; wide, so that another Bark's
voices lie inside. Other numbers need a new `VERSION`, and what was learned against the old ones is learned again.

Most of the 80 features say the same again, or what nobody hears by itself (a cepstral coefficient). Those that people
have a word for are in `HEARD`; the spread of the others is stretched, so that a liking is first looked for in what can
be heard. With that, 50 answers for low voices predict 77 % of other choices instead of 75 %, and for bright and fast
ones 82 % instead of 75 %; a taste of all features in equal parts is learned a little later (69 instead of 71 %).
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
        "duration_s": (3.28, 1.07),
        "sound_share": (0.986, 0.112),
        "pause_share": (0, 0.0257),
        "pause_count": (0, 0.3),
        "pause_longest_s": (0, 0.0731),
        "leading_silence_s": (0, 0.151),
        "trailing_silence_s": (0, 0.311),
        "rms_db": (-23.8, 6.36),
        "rms_std_db": (7.24, 2.41),
        "rms_range_db": (22.2, 8.67),
        "peak_db": (-4.47, 6.3),
        "true_peak_db": (-4.42, 6.29),
        "clipped_share": (0, 0.001),
        "dc_offset": (0.000544, 0.005),
        "zero_crossing_rate_hz": (3460, 2440),
        "f0_median_hz": (95.8, 98.4),
        "f0_iqr_hz": (17.2, 53.7),
        "f0_iqr_st": (2.24, 5.51),
        "f0_step_st": (0.0962, 1.37),
        "voiced_share": (0.564, 0.39),
        "harmonicity_db": (4.1, 6.63),
        "centroid_hz": (2700, 1010),
        "centroid_std_hz": (1470, 262),
        "bandwidth_hz": (2410, 797),
        "bandwidth_std_hz": (605, 151),
        "rolloff_hz": (5100, 2010),
        "rolloff_std_hz": (2480, 381),
        "flatness": (0.0506, 0.0542),
        "flatness_std": (0.0838, 0.0765),
        "high_band_share": (0.0164, 0.0204),
        "tilt_db_per_octave": (-4.52, 1.71),
        "onset_rate_hz": (6.03, 1.25),
        "speaking_rate_cps": (11.6, 3.27),
        "contrast_db_00": (16.5, 2),
        "contrast_db_01": (11.8, 4.14),
        "contrast_db_02": (17.6, 3.48),
        "contrast_db_03": (17.7, 2.31),
        "contrast_db_04": (17.1, 2.73),
        "contrast_db_05": (20.1, 1.51),
        "contrast_db_06": (17.9, 3.53),
        "mfcc_mean_00": (-256, 68.2),
        "mfcc_mean_01": (84.2, 58.3),
        "mfcc_mean_02": (-0.409, 17.6),
        "mfcc_mean_03": (35.5, 13.4),
        "mfcc_mean_04": (0.763, 16.2),
        "mfcc_mean_05": (-7.42, 8.02),
        "mfcc_mean_06": (-9.5, 6.23),
        "mfcc_mean_07": (-5.46, 8.83),
        "mfcc_mean_08": (-21, 9.93),
        "mfcc_mean_09": (-0.374, 7.56),
        "mfcc_mean_10": (-7.47, 5.28),
        "mfcc_mean_11": (-0.248, 4.62),
        "mfcc_mean_12": (-3.81, 4.87),
        "mfcc_mean_13": (-3.76, 2.77),
        "mfcc_mean_14": (-2.48, 2.92),
        "mfcc_mean_15": (-0.595, 5.06),
        "mfcc_mean_16": (-4.5, 2.67),
        "mfcc_mean_17": (-2.74, 3.18),
        "mfcc_mean_18": (-2.88, 4.28),
        "mfcc_mean_19": (-1, 2.94),
        "mfcc_std_00": (70.5, 16.6),
        "mfcc_std_01": (58.4, 21.8),
        "mfcc_std_02": (24.9, 5.24),
        "mfcc_std_03": (29.2, 6.29),
        "mfcc_std_04": (27.7, 5.74),
        "mfcc_std_05": (22.9, 4.8),
        "mfcc_std_06": (18.5, 3.24),
        "mfcc_std_07": (17.2, 3.85),
        "mfcc_std_08": (16.8, 3.42),
        "mfcc_std_09": (14.2, 3.07),
        "mfcc_std_10": (10.8, 4.47),
        "mfcc_std_11": (9.02, 4.31),
        "mfcc_std_12": (9.46, 2.26),
        "mfcc_std_13": (8.35, 2.75),
        "mfcc_std_14": (6.77, 3.42),
        "mfcc_std_15": (7.09, 3.21),
        "mfcc_std_16": (6.09, 3.4),
        "mfcc_std_17": (6.45, 2.93),
        "mfcc_std_18": (5.92, 3.23),
        "mfcc_std_19": (5.6, 2.46),
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
