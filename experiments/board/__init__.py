"""What the window shows, as values: made from events, without widgets, models or files.

* `model`: what every part has: `apply(event)` and a `revision`
* `births`: the facts of every birth, once, for all parts; `register`: what never changes of them, once for all boards;
  `scores`: full judgements of the latest
* `board`: `Board`, all parts together, which can be laid by and taken up again
* `cards`, `compare`, `run_state`, `log`: the board of cards, comparing by ear, the state of the run, what happened
* `curves`, `voice_map`, `tree`, `detail`, `library`: the other panels
* `text`: prompts as runs of one script and one meaning
"""
