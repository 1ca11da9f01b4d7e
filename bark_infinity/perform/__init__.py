"""``bark_perform``, the command line.

* `main`: what it does, and its exit codes
* `flags`: the one table of flags, from which parser, help and documentation are made
* `plan`: prompts, seeds, file names and token counts, before any work
* `record`: what is written for every clip
* `bars`: progress with time left
"""
