"""Power and energy of a node: what was measured, by what, how well, and why not where it was not.

    channel   Channel (what a meter reads), Meter, and counters or powers as one rising series of joules
    trace     Trace, `window` (one task's energy), `share` (concurrent tasks' energies): pure computing
    cpu       RAPL's package counters, else an estimate from load and TDP; processor name and TDP
    gpu       NVML's energy counter, else its power; UUIDs and indexes of CUDA_VISIBLE_DEVICES
    sampler   Sampler: one thread for a node that keeps the trace
    replay    every meter's twin, which plays back a recorded trace; recording one

All times are `time.time()` seconds of the node. What was not measured is None, never 0.
"""

from placement.meters.channel import Channel, Meter, MeterLostError, wrapped_difference
from placement.meters.cpu import cpu_meters, cpu_name, cpu_tdp_w
from placement.meters.gpu import Gpu, find_gpus, free_gb, gpu_meters, visible_gpus
from placement.meters.replay import ReplayMeter, read_recording, record, replay, write_recording
from placement.meters.sampler import Sampler, node_meters
from placement.meters.trace import Energy, Series, TaskWindow, Trace, share, window

__all__ = [
    "Channel",
    "Energy",
    "Gpu",
    "Meter",
    "MeterLostError",
    "ReplayMeter",
    "Sampler",
    "Series",
    "TaskWindow",
    "Trace",
    "cpu_meters",
    "cpu_name",
    "cpu_tdp_w",
    "find_gpus",
    "free_gb",
    "gpu_meters",
    "node_meters",
    "read_recording",
    "record",
    "replay",
    "share",
    "visible_gpus",
    "window",
    "wrapped_difference",
    "write_recording",
]
