"""Simulation of a cluster's queues, with a bound that no schedule beats.

simulator    replays a trace through decide() and the policies that run live
arrivals     traces: mixes, Alibaba's, a user's file
runtimes     times of each type of task on each device: the emulator's
measured_times  those of a log in their place
estimator    a selector that decides in place of the true times
cluster      the simulated nodes, in the order of Ray's scheduler
gpu_sharing  whole GPUs and shares of them, side by side
tariff       a day under a price of a joule that changes
decision_times  a decision of balanced, timed among few and many kinds of node
lp_bound     the lower bound of the makespan
live_replay  one trace on an emulated Ray cluster beside the simulator
"""
