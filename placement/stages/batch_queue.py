"""BatchQueue: the batches of a stage that wait for a worker, and which of them a free worker takes. Pure.

GPUs take the batches that gain most from one, CPUs those that gain least; among batches alike GPUs take the oldest. A
CPU takes a batch only where that shortens the stage: where it ends the batch before the GPUs would get to it, or while
the stage is in full flow, all the CPUs together add a share worth having to what the GPUs do, and the stage has run
for as long as the batch would take there. How much more will come is not known; a stage is expected to last as long
again as it has lasted, so that a short one does not end by waiting for a CPU. At the end of the flow a GPU without work
runs a batch again that a CPU will need much longer for, or that another GPU is long overdue with, since its data does
not come, say (a backup run, as MapReduce has them); the first result counts.
"""

from __future__ import annotations

import math
from bisect import insort
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import takewhile
from typing import NamedTuple

from placement.spec.task import DEVICES, OTHER_DEVICE, Device

LEAST_SHARE = 0.05
"""CPUs that together add less than this share to the GPUs' throughput are left to others, and save the energy."""
FULL_FLOW, LEAST_FLOW = 2.0, 4
"""Batches that wait for each GPU worker while the stage is in full flow, and at least: more follow than are waiting."""
LATEST = 0.2
"""Weight of the latest batch in the mean seconds per row of a device."""
BACKUP_GAIN = 2.0
"""A backup run must be expected to take less than the rest of the first run by this factor."""
OVERDUE = 0.25
"""A run that has taken longer than expected takes this share of its time longer yet: devices differ by such factors."""
SHORTEST_BACKUP_S = 0.2
ALIKE = 0.1
"""Step of a logarithm of a gain: batches of one step are alike."""
NEAR = 16
"""A batch on a worker's own node goes before one alike whose number is smaller by less than this."""


class Request(NamedTuple):
    """A batch that waits. gain: logarithm of its cost on a CPU over that on a GPU, joules priced in; None = unknown.

    cpu_s, gpu_s: estimated seconds, None = unknown.  devices: where the policy lets it run.  possible: where it could
    run at all, for the case that the others fail.  node: where its data is, None = unknown.
    """

    rows: int
    gain: float | None = None
    cpu_s: float | None = None
    gpu_s: float | None = None
    devices: tuple[Device, ...] = DEVICES
    possible: tuple[Device, ...] = DEVICES
    node: str | None = None


class Capacity(NamedTuple):
    """The workers of a stage, by device. ready: those that take batches, and GPU workers on their way.

    most: those that could run on what is free now.  flow_s: seconds since the stage's first batch.  startup_s: until a
    new worker takes a batch; 0.0 for one that is there.
    """

    ready: Mapping[Device, float]
    most: Mapping[Device, float]
    flow_s: float = math.inf
    startup_s: float = 0.0


@dataclass
class BatchQueue:
    """The batches that wait, by number, and the speed of each device as measured."""

    waiting: dict[int, Request] = field(default_factory=dict)
    pace: dict[Device, float] = field(default_factory=dict)  # seconds per row
    off: dict[Device, float] = field(default_factory=dict)  # measured over estimated seconds
    _both: list[tuple[int, int, int]] = field(default_factory=list)  # (gain in steps, -number, number)

    def add(self, number: int, request: Request) -> None:
        """One more batch."""
        self.waiting[number] = request
        if len(request.devices) > 1:
            insort(self._both, _place(number, request))

    def remove(self, number: int) -> Request | None:
        """Takes a batch out, whoever runs it; None where it does not wait."""
        request = self.waiting.pop(number, None)
        if request is not None and len(request.devices) > 1:
            self._both.remove(_place(number, request))
        return request

    def take(self, device: Device, capacity: Capacity, node: str | None = None) -> int | None:
        """The batch that a free worker of this device, on this node, runs next; None where it had better run none."""
        own = next((n for n, request in self.waiting.items() if request.devices == (device,)), None)
        if own is not None:
            self.remove(own)
            return own
        if not self._both:
            return None
        number = self._next(device, node)
        if device == "cpu" and not self._cpu_pays(self.waiting[number], capacity):
            return None
        self.remove(number)
        return number

    def _next(self, device: Device, node: str | None) -> int:
        """The first batch in a device's order; where its data is on another node, one alike that needs no transfer."""
        places = iter(self._both) if device == "cpu" else reversed(self._both)
        step, _, first = next(places)
        if node is None or self.waiting[first].node == node:
            return first
        alike = (number for _, _, number in takewhile(lambda place: place[0] == step, places))
        near = (n for n in alike if self.waiting[n].node == node and abs(n - first) < NEAR)
        return next(near, first)

    def wants(self, device: Device, capacity: Capacity) -> int:
        """Batches that one more worker of this device could take now."""
        own = sum(request.devices == (device,) for request in self.waiting.values())
        if not self._both:
            return own
        if device == "cpu" and not self._cpu_pays(self.waiting[self._both[0][2]], capacity):
            return own
        return own + len(self._both)

    def expected(self, device: Device, request: Request) -> float | None:
        """Expected seconds of a batch on a device; None = unknown.

        As measured; else as estimated, and by as much longer as the other device's estimates are found to be off, for
        measured and estimated seconds are compared with each other; else from the other device's and the gain.
        """
        pace, other = self.pace.get(device), OTHER_DEVICE[device]
        if pace is not None:
            return pace * request.rows
        estimated = request.gpu_s if device == "gpu" else request.cpu_s
        if estimated is not None:
            return estimated * self.off.get(other, 1.0)
        if request.gain is None or other not in self.pace:
            return None
        return self.pace[other] * request.rows * math.exp(request.gain if device == "cpu" else -request.gain)

    def measured(self, device: Device, request: Request, seconds: float) -> None:
        """A batch has taken so long on a device."""
        _follow(self.pace, device, seconds / max(request.rows, 1))
        estimated = request.gpu_s if device == "gpu" else request.cpu_s
        if estimated:
            _follow(self.off, device, seconds / estimated)

    def _cpu_pays(self, request: Request, capacity: Capacity) -> bool:
        cpu, gpu = self.expected("cpu", request), self.expected("gpu", request)
        gpus = capacity.ready.get("gpu", 0)
        if not gpus:
            return True
        ratio = self._ratio(request, cpu, gpu)
        if ratio is None:
            return True  # nothing is known of one of them: it is tried
        if ratio < len(self._both) / gpus + 1:
            return True
        full = len(self._both) >= max(LEAST_FLOW, FULL_FLOW * gpus)
        lasts = cpu is None or cpu + capacity.startup_s <= capacity.flow_s
        return full and lasts and capacity.most.get("cpu", 0) / ratio >= LEAST_SHARE * gpus

    def _ratio(self, request: Request, cpu: float | None, gpu: float | None) -> float | None:
        """Cost on a CPU over that on a GPU. Measured seconds are surer than estimates."""
        if cpu is not None and gpu is not None:
            return cpu / max(gpu, 1e-9)
        return None if request.gain is None else math.exp(request.gain)

    def needs_backup(self, on: Device, request: Request, ran_s: float) -> bool:
        """A GPU without work would end a batch that another worker has run for `ran_s` well before that one does."""
        whole, gpu = self.expected(on, request), self.expected("gpu", request)
        if gpu is None or "gpu" not in request.devices:
            return False
        if whole is None:
            rest = ran_s  # nothing else is known of it
        elif ran_s < whole:
            rest = whole - ran_s
        else:
            rest = OVERDUE * ran_s
        return rest > max(BACKUP_GAIN * gpu, SHORTEST_BACKUP_S)

    def backup_after_s(self, on: Device, request: Request) -> float | None:
        """Seconds of a run on a device before which it needs no backup; None where it has none, whatever it takes.

        A run on a GPU has one only where it is measured how long others took: an estimate may be far too short.
        """
        if "gpu" not in request.devices:
            return None
        if on == "cpu":
            return 0.0
        pace = self.pace.get("gpu")
        return None if pace is None else max(BACKUP_GAIN * pace * request.rows, SHORTEST_BACKUP_S) / OVERDUE


def _follow(means: dict[Device, float], device: Device, value: float) -> None:
    old = means.get(device)
    means[device] = value if old is None else old + LATEST * (value - old)


def _place(number: int, request: Request) -> tuple[int, int, int]:
    return round((request.gain or 0.0) / ALIKE), -number, number
