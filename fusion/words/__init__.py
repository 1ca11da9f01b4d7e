"""Words: does a clip say its text?

* `recognisers`: programs that hear words
* `spoken`: a text as the words a recogniser could hear
* `alignment`: which words were said, missing, invented
* `intelligibility`: the comparison, and its gate
"""
