"""EnCodec: codes to audio, whole or as a stream, and audio to codes.

* `codec`: `Codec`
* `stream`: decoding piece by piece, with carried state
* `original`: Meta's own file of the 24 kHz codec
"""
