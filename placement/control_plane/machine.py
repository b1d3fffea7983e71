"""Ray's share of this machine: the CPUs, GPUs and memory that Ray may grant here."""

from __future__ import annotations

import os
from pathlib import Path

from placement.hardware.probe import MachineShare, granted_devices, probe
from placement.ray_internals.machine import detected_cpus, system_memory_bytes
from placement.spec.node import NodeSpec


def machine_share(cpus: float, gpus: float) -> MachineShare:
    """The share of a node that may grant so many CPUs and GPUs, from inside a worker of that node."""
    return MachineShare(cpus, gpus, granted_devices(raylet_visible_devices(), gpus), usable_memory_gb())


def this_machine_share() -> MachineShare:
    """The share that a node would have that `ray start` starts in this process's environment."""
    return MachineShare(detected_cpus(), None, os.environ.get("CUDA_VISIBLE_DEVICES"), usable_memory_gb())


def probe_node(config: str | None, cpus: float, gpus: float) -> NodeSpec:
    """Probes the node that this worker runs on, of which Ray may grant so many CPUs and GPUs."""
    return probe(config, machine_share(cpus, gpus))


def usable_memory_gb() -> float:
    """The memory of this machine, or of this container where that has less, 1e9 bytes."""
    return system_memory_bytes() / 1e9


def raylet_visible_devices(proc: Path = Path("/proc")) -> str | None:
    """The CUDA_VISIBLE_DEVICES that the node was started with: its raylet's, which is the parent of every worker.

    A worker's own value tells of the worker alone.
    """
    try:
        environment = (proc / str(os.getppid()) / "environ").read_bytes()
    except OSError:  # of another user, say
        return os.environ.get("CUDA_VISIBLE_DEVICES") or None
    variables = dict(line.split(b"=", 1) for line in environment.split(b"\0") if b"=" in line)
    value = variables.get(b"CUDA_VISIBLE_DEVICES")
    return None if value is None else value.decode(errors="replace")
