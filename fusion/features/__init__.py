"""Acoustic features: what a clip is like, measured in one pass, in physical units.

* `spectra`: the one pass, in blocks
* `pitch`: fundamental frequency
* `features`: `AcousticFeatures`, the summary of a clip
"""
