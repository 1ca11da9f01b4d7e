"""What evolves, and how: the parts that a `digital_evolution.Swarm` is made of, and imports to where you need them.

* `genome`: what is heritable, and what is born
* `variation`: how children are made
* `individuals`: what came of a birth, and those that selection may see
* `selection`: who survives and who has children
* `credit`, `contest`: which operator is next; does evolution beat chance
* `interventions`: what people do to a running swarm

Light package: numpy and deap, no torch, no files. It sees only bark_infinity's light modules.
"""
