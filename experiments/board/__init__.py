"""What the window shows, as values: made from events, without widgets, models or files.

* `model`: what every part has: `apply(event)` and a `revision`
* `births`: the facts of every birth, once, for all parts
* `board`: `Board`, all parts together
* `cards`, `compare`, `run_state`, `log`: the board of cards, comparing by ear, the state of the run, what happened
* `curves`, `voice_map`, `tree`, `detail`, `library`: the other panels
* `text`: prompts as runs of one script and one meaning
"""
