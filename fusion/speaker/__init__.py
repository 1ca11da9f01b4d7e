"""Speaker: is it the same voice, in two clips or inside one?

* `voice_print`: the embedded measure, from features
* `encoders`: Hugging Face speaker encoders
"""
