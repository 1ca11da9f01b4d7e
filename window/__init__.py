"""The window: everything that touches Dear PyGui or a sound device.

* `panel`: the contract of panels (`Panel`) and what they may do (`Desk`)
* `palette`, `theme`, `fonts`, `metrics`: how it looks
* `presenter`, `app`: what commands and clicks do; the loop
* `player`, `settings`: hearing clips; what is remembered
* `panels`: one file each

Nothing here decides anything about a run: that is `experiments.board` (values) and `experiments.runner` (work).
"""
