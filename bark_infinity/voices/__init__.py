"""Voice histories: what a voice is, how its file is read safely, and where voices are found.

* `history`: `VoiceHistory`, one voice
* `rules`: what makes tokens a valid voice, and repair
* `metadata`: name, provenance and token space inside the file
* `bounded_npz`: .npz files read within a fixed amount of memory
* `catalogue`: voices by name over all folders
"""
