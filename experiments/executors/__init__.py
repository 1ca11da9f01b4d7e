"""Where candidates are evaluated: the executors of `experiments.evaluation`'s contract.

* `in_process.InProcess`: on threads of this process; what a laptop and one GPU need.
* `process_pool.ProcessPool`: in worker processes; survives crashes and hangs, one process per GPU.

Whichever is taken, a candidate's outcome is the same. `attempts` keeps one bad candidate from costing its batch,
`worker` is what runs in a worker process, `worker_process` is the pool's hold on one, `frames` is how they talk, `gpus`
shares out devices, `in_words` tells people what is going on.
"""
