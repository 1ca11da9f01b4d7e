"""The three token stages: text to semantic, semantic to coarse, coarse to fine.

* `semantic`, `coarse`, `fine`: one stage each, for many utterances at once
* `model`: the GPTs they run
* `linear`: products whose rows do not depend on their neighbours
* `sampling`: filters, and one counter-based random number per row and step
"""
