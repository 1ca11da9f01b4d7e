"""Checkpoints: from what a user names to configuration and tensors, executing nothing.

* `sources`: where a checkpoint's files are, and its text front end (light: no torch)
* `digests`: hashes of files, of large ones only once
* `checkpoint`: `load_checkpoint` and `Checkpoint`, its numbers now, its tensors on request
* `transformers_format`, `legacy`: directories saved by transformers, and suno's ``.pt`` files
* `state_shapes`: which tensors a configuration promises
* `random_tiny`: weights made in memory, for trying the program out
"""
