"""`bark-lab`: the lab at the command line.

`main` has the parser and the exit codes; every other module has one group of verbs, a function ``add`` that
describes them to the parser, and one function per verb. What `--help` needs is light: everything heavier is imported
by the verb that uses it.
"""
