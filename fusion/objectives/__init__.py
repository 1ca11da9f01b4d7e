"""Objectives: what a recipe can ask for, as monotone versioned terms in [0, 1].

* `objectives`: the kinds there are
* `spec`: reading them from text such as ``f0_median_hz = 110 ± 20``
* `novelty`: distance in a frozen space to what exists
"""
