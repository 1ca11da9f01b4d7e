"""Fusion: listening to renderings and judging them.

* `score`: what a judgement is: a status first, then named terms
* `features`: acoustic features of a clip, in physical units
* `gates`: what is rejected, with reason and evidence
* `intelligibility`, `speaker`: does it say the text, is it the same voice
* `transformer`: FusionTransformer, a mixture of experts over Hugging Face encoders
* `preference`: learning what people like from pairwise choices
* `critic`: all of it in order, cheapest first
"""
