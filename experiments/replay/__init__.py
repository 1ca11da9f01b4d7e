"""A recorded run, seen again: as events at any speed, as sound, rendered anew, as the start of another run, compared.

* `history`: the events of a run, from any of them on; `following`: what is new while another process writes.
* `player`: at any speed, by births or by time, forward and back; `boards`: what the window shows of any moment.
* `regenerating`: a birth decoded, or rendered again and compared with what was recorded.
* `branching`: another run that begins with an individual; `comparing`: two runs side by side.

What is read from a lineage's event log, and what the runner therefore has to record, beside births and results:

=============  =====================================================  ============================================
kind           payload                                                becomes
=============  =====================================================  ============================================
``asked``      (`Lineage.record_asked`)                               `Asked`
``told``       (`Lineage.record_told`, replicate 0)                   `Told`
``committed``  ``{"step": 3, "became": [2, 0, 1, 0], "in": [17, 19],  `Committed`; population = the one before,
               "out": [4], "best": 17, "generation_best": 0.81}``,    without ``out``, with ``in``, in birth order
               with ``birth=`` the step's first birth
``judged``,    (`people.judge`, `people.withdraw`)                    `Judged`
``withdrawn``
``intervened`` ``{"step": 4, "intervention": {...}}``                 `Intervened`
``rescored``   ``{"totals": {"17": 0.62, "19": 0.4}}``                `Rescored`
=============  =====================================================  ============================================

``committed`` is recorded once for every step of the swarm, numbered from 1, in the order of steps: best in one
transaction with the result that completed it (`Lineage.transaction`); otherwise a resumed run records what is missing
before anything else, and never a step twice. ``became`` are `AddStatus` numbers of the step's births in birth order.
``in`` and ``out`` are births that joined and left `algorithm.members()`, so a step costs the same in a long run or a
large population. ``best`` is the best birth so far, ``generation_best`` the best fitness in this step; None is null.

All of these are the same however often a run was killed and resumed, so they belong to the content hash. What differs
between sittings is not in the log: a run's state is read from ``runs.state``, and from whether anybody still writes.
Other kinds are passed over. What the preference model has learned (`Taught`) is not in the log: answers are, and teach
it again. Objectives and weights of `Begun` are those of `Run.weights`, in that order.
"""
