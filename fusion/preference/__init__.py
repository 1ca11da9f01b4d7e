"""Learning what people like from their choices.

* `judgements`: what people said, append-only, with undo
* `candidates`: what is known about what they heard, and the frozen reference it is measured against
* `consistency`: how far they agree with themselves and each other
* `pairs`, `bradley_terry`: a Bayesian linear model of their choices; `sequential` keeps up with answer after answer
* `heads`: an ensemble of small networks that learns what the linear model cannot
* `ladder`: which model may speak: the smallest that no bigger one beats on held-out choices
* `ask`: which pair to ask about next
* `model`: `PreferenceModel`, all of it behind one object
* `learner`: `PreferenceLearner`, what a run keeps of its listeners; `answers` puts what they say in order, `leanings`
  says what was learned in words
* `usual_speech`: what the features of a run are measured against; `experts`: what encoders add to them
"""

from fusion.preference.ask import Question
from fusion.preference.candidates import CandidateTable, Reference
from fusion.preference.judgements import Judgement, JudgementLog, Shown
from fusion.preference.model import PreferenceModel, Utilities

__all__ = [
    "CandidateTable",
    "Judgement",
    "JudgementLog",
    "PreferenceModel",
    "Question",
    "Reference",
    "Shown",
    "Utilities",
]
