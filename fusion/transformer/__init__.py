"""FusionTransformer: a mixture of experts over Hugging Face encoders.

* `model`: `FusionTransformer`, its configuration, saving and loading
* `experts` (`hugging_face`, `bark`): one encoder each, with its own tokenizer or feature extractor
* `alignment`, `aligned_states`, `passages`: experts of any vocabulary and frame rate on one grid
* `gate`: who is listened to, learned
* `embedding_cache`: what frozen experts said before
"""
