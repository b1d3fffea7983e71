"""The order of a map: GPUs take the tasks that gain most from one, CPUs those that gain least, until they meet. Pure.

A burst of `.remote` calls must be placed one by one; of a map many tasks are known at once. Each task belongs to the
side that the paper's threshold names. Where a device has room and its own side is empty, it steals from its end of the
other's tasks, if it ends the task sooner than the other device, which has all the rest to do before.
"""

from __future__ import annotations

import math
from bisect import insort
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from placement.prediction.posterior import prior_spread
from placement.scheduling.candidate_set import THRESHOLDS, CandidateSet, candidate_set
from placement.scheduling.candidates import Candidate, Choice
from placement.scheduling.cost_model import SECONDS_PER_JOULE, Option, geometric_mean
from placement.scheduling.policies.queue_aware import CostTable, MinScorePolicy, MinTime, priced_options
from placement.scheduling.policies.selector_policy import pick
from placement.spec.task import OTHER_DEVICE, Device, TaskSpec


class Gain(NamedTuple):
    """Gain of a task on a GPU. side: the threshold's device.  gain: log of CPU cost / GPU cost, joules priced in.

    cpu, gpu: expected seconds; None = not known, and then the task is never stolen.
    """

    gain: float
    side: Device
    cpu: float | None
    gpu: float | None


class Order:
    """Tasks that are to be sent, by their gain. slots: how many tasks each device runs at once."""

    def __init__(self, slots: Mapping[Device, float]) -> None:
        self._slots = slots
        self._tasks: list[tuple[float, int]] = []
        self._gains: dict[int, Gain] = {}
        self._left: dict[Device, float] = {"cpu": 0.0, "gpu": 0.0}

    def __len__(self) -> int:
        return len(self._tasks)

    def add(self, position: int, gain: Gain) -> None:
        """One more task, by its position in the map."""
        insort(self._tasks, (gain.gain, position))
        self._gains[position] = gain
        self._left["cpu"] += gain.cpu or 0.0
        self._left["gpu"] += gain.gpu or 0.0

    def take(self, device: Device) -> int | None:
        """The task that this device should run next; None where the rest is better left to the other."""
        if not self._tasks:
            return None
        at = -1 if device == "gpu" else 0
        position = self._tasks[at][1]
        gain = self._gains[position]
        if gain.side != device and not self._ends_sooner(device, gain):
            return None
        self.remove(position, at)
        return position

    def remove(self, position: int, at: int | None = None) -> Gain:
        """Takes a task out, whoever runs it."""
        gain = self._gains.pop(position)
        if at is None:
            self._tasks.remove((gain.gain, position))
        else:
            self._tasks.pop(at)
        empty = not self._tasks
        for device, seconds in (("cpu", gain.cpu), ("gpu", gain.gpu)):
            self._left[device] = 0.0 if empty else self._left[device] - (seconds or 0.0)  # type: ignore[index]
        return gain

    def _ends_sooner(self, device: Device, gain: Gain) -> bool:
        other = OTHER_DEVICE[device]
        mine, others = (gain.gpu, gain.cpu) if device == "gpu" else (gain.cpu, gain.gpu)
        if mine is None or others is None:
            return False
        slots = self._slots.get(other) or 0.0
        return not slots or mine < others + (self._left[other] - others) / slots


def gain_of(found: CandidateSet, threshold: Choice, options: Sequence[Option] | None) -> Gain | None:
    """The gain of a task; None where it can run on one device only, or nothing is known of it."""
    if not found.gpu or not found.cpu_configs or not found.known():
        return None
    if options is None:
        beliefs = [prior_spread(e, THRESHOLDS) for i in found.gpu if (e := found.estimate(i)) is not None]
        return Gain(max((b.mean for b in beliefs if b), default=0.0), threshold.device, None, None)
    cpu, gpu = ([o for o in options if o.device == device] for device in ("cpu", "gpu"))
    if not cpu or not gpu:
        return None
    seconds = [geometric_mean([o.seconds for o in side]) or 1e-9 for side in (cpu, gpu)]
    costs = [geometric_mean([o.seconds + SECONDS_PER_JOULE * o.joules for o in side]) or 1e-9 for side in (cpu, gpu)]
    return Gain(math.log(costs[0]) - math.log(costs[1]), threshold.device, seconds[0], seconds[1])


@dataclass
class DeviceOfMap(MinScorePolicy):
    """The policy of a task that a map has given to one device: the config there that ends it first."""

    device: Device = "cpu"

    def choose(self, task: TaskSpec, candidates: Sequence[Candidate]) -> Choice:
        """The best config of this policy's device."""
        found = candidate_set(candidates)
        plan = self._plan(task, found)
        mine = [option for option in (plan.all.options if plan.all else ()) if option.device == self.device]
        if not mine:
            return pick(self.device, found, self._reason(self.device, 0.0, plan.threshold))
        return self._least(priced_options(mine), found.waits, plan)

    _scores = MinTime._scores

    def gain(self, task: TaskSpec, found: CandidateSet) -> Gain | None:
        """Gain of a task on a GPU; None where it has no choice of device, or nothing is known of it."""
        plan: CostTable = self._plan(task, found)
        return gain_of(found, plan.threshold, plan.all and plan.all.options)

    def _reason(self, device: Device, wait: float, threshold: Choice) -> str:
        side = "its side" if device == threshold.device else "stolen"
        return f"map: the {device}s' end, {side}"
