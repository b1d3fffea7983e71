"""Meters of a node's power and energy: measured or estimated, with the error, or the reason why there is none.

    channel      Channel (what a meter reads), Meter, and counters or powers as one rising series of joules
    power_trace  PowerTrace, `window` (one task's energy), `share` (concurrent tasks' energies): pure computing
    cpu          RAPL's package counters, else an estimate from load and TDP; processor name and TDP
    gpu          NVML's energy counter, else its power; UUIDs and indexes of CUDA_VISIBLE_DEVICES
    gpu_state    the GPU memory that processes hold, and GPUs that are full or lost
    sampler      Sampler: one thread for a node that keeps the trace
    replay       every meter's twin, which plays back a recorded trace; recording one

All times are `time.time()` seconds of the node. What was not measured is None, never 0.
"""

from placement.hardware.meters.channel import Channel, Meter, MeterLostError, wrapped_difference
from placement.hardware.meters.cpu import cpu_meters, cpu_name, cpu_tdp_w
from placement.hardware.meters.gpu import Gpu, find_gpus, free_gb, gpu_meters, visible_gpus
from placement.hardware.meters.power_trace import Energy, PowerTrace, Series, TaskWindow, share, window
from placement.hardware.meters.replay import ReplayMeter, read_recording, record, replay, write_recording
from placement.hardware.meters.sampler import Sampler, node_meters

__all__ = [
    "Channel",
    "Energy",
    "Gpu",
    "Meter",
    "MeterLostError",
    "PowerTrace",
    "ReplayMeter",
    "Sampler",
    "Series",
    "TaskWindow",
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
