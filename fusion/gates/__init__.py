"""Gates: what is certainly no voice is rejected, with reason and evidence; a gate never gives a score.

* `verdict`: what a gate answers
* `tokens`, `audio`: gates on tokens and on sound
* `thresholds`: every limit, in one versioned table, with its reason
* `speaking_time`: how long a text takes to say
"""
