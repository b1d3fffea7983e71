"""The loop of learning: refit, judge, swap, watch, without a person.

confidence_sequence     bounds on a mean that hold at all times
drift                   the sequential test on prediction errors
beliefs                 selectors' beliefs about cells, sharpened by their runs
trial                   the off-policy comparison of two selectors
events, refit_schedule, drift_watch, service
                        the parts of the loop: what it says, when it refits, what drifts, who serves and who is tried
loop                    the state of it all: runs in, events out; no clock, no Ray, no files
scenarios               the worlds of `placement bench-learning` and what changes in them
simulated_arm           one way of learning through a scenario
learner, learner_actor  the loop on a cluster's log, and its Ray actor
log_follower, log_runs  new rows of the log, and the runs that they are
learner_cost            what a shadow decision and a full learner cost
queue_coupling          gains task by task beside gains under load
benchmark, tables       the figures of all ways, and how they are shown
"""
