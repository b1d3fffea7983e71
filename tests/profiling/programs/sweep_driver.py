"""A driver that sweeps until it is killed. Arguments: the cluster, the log, the data, seconds of a window, presets."""

from __future__ import annotations

import sys

import ray

import workloads
from profiling.sweep.measure_cell import Protocol
from profiling.sweep.sweep import sweep

address, log, data, window_s, *names = sys.argv[1:]
ray.init(address=address, log_to_driver=False, logging_level="ERROR")
sweep(log, [workloads.preset(name) for name in names], data, protocol=Protocol(float(window_s), 1))
