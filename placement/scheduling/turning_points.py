"""What would turn a decision: another batch or size of the task, a longer or shorter wait for the other device. Pure.

Each point is found by asking decide() itself again, with one thing changed, and halving the distance. Decisions are
taken to turn once along the way; where they turn more often one of the points is found.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from copy import copy, deepcopy
from dataclasses import replace

from placement.prediction.runtime_history import RunHistory
from placement.scheduling.candidate_set import CandidateSet
from placement.scheduling.candidates import Policy, Queue, Waits, has
from placement.scheduling.decision import COLD_START, Decision, decide_among
from placement.scheduling.feasibility import Limits
from placement.scheduling.policies.registry import NAMES as NAMES_OF_POLICIES
from placement.scheduling.snapshot import Snapshot
from placement.spec.task import Device, TaskSpec

STEPS = 14  # halvings: of a range of a factor of a million, to a thousandth of the logarithm
FARTHEST = 4096.0  # a batch, or a size, so many times as large or as small is looked at
LONGEST_S = 1e5  # of a wait
SHORTEST_S = 1e-3
NAMES: dict[Device, str] = {"cpu": "CPU", "gpu": "GPU"}


def turning_points(
    decision: Decision, task: TaskSpec, seen: RunHistory | None, limits: Limits, snapshot: Snapshot, policy: Policy
) -> tuple[str, ...]:
    """Sentences such as "CPU below batch 12" and "GPU once it waits less than 3 s"; empty where nothing turns it."""
    if type(policy) not in NAMES_OF_POLICIES or decision.reason.startswith((COLD_START, "no_candidate", "only_device")):
        return ()  # a user's own policy is not asked again and again: it may keep count
    policy = deepcopy(policy) if has(policy, "draws") else policy
    table = snapshot.candidate_table(limits)

    def device_of(other: TaskSpec) -> Device:
        found = table.candidates(other, None)
        return decide_among(found, other, None, limits, snapshot, policy, lambda: 1.0).device

    def device_at(waits: Waits) -> Device:
        found = copy(table.candidates(task, seen))
        found.waits = waits
        return decide_among(found, task, seen, limits, snapshot, policy, lambda: 1.0).device

    found = table.candidates(task, seen)
    return (*_by_size(decision.device, task, device_of), *_by_wait(decision.device, found, device_at))


def _by_size(device: Device, task: TaskSpec, device_of: Callable[[TaskSpec], Device]) -> list[str]:
    """The batch, or the FLOPs of a step, at which the device changes. What was timed does not count here."""
    if not task.flops or device_of(task) != device:
        return []  # history or queues decided, not the size
    points = []
    for below in (True, False):
        factor = _turn(lambda f: device_of(scaled(task, f)) != device, 1.0, 1 / FARTHEST if below else FARTHEST)
        if factor is None:
            continue
        name = NAMES["cpu" if device == "gpu" else "gpu"]
        if task.batch_size is None:
            points.append(f"{name} {'below' if below else 'above'} {task.flops * factor:.2g} FLOPs a step")
            continue
        batch = task.batch_size * factor
        if below and batch >= 1:
            points.append(f"{name} below batch {math.ceil(batch)}")
        elif not below:
            points.append(f"{name} from batch {math.ceil(batch)}")
    return points


def scaled(task: TaskSpec, factor: float) -> TaskSpec:
    """The task with a batch so many times as large: its FLOPs, input and, as far as it is the input's, memory."""
    times = {name: value * factor for name in ("flops", "input_bytes") if (value := getattr(task, name)) is not None}
    batch = None if task.batch_size is None else max(1, round(task.batch_size * factor))
    return replace(task, **times, batch_size=batch, operations=None)


def _by_wait(device: Device, found: CandidateSet, device_at: Callable[[Waits], Device]) -> list[str]:
    """The wait for the GPUs at which the device changes."""
    waits = found.waits
    if waits is None or not found.gpu or not found.cpu_configs:
        return []
    if device == "gpu":
        longest = _turn(lambda s: device_at(GpuWaits(waits, s, math.inf)) != "gpu", SHORTEST_S, LONGEST_S)
        return [] if longest is None else [f"CPU once the GPUs are waited for longer than {_seconds(longest)}"]
    own = [wait for config in found.gpu_configs() if (wait := waits.wait_s(config, "gpu")) is not None]
    if not own or min(own) <= SHORTEST_S:
        return []
    shortest = _turn(lambda s: device_at(GpuWaits(waits, 0.0, s)) == "gpu", min(own), SHORTEST_S)
    return [] if shortest is None else [f"GPU once it waits less than {_seconds(shortest)}"]


class GpuWaits:
    """The waits of a cluster, those for GPUs kept between two bounds."""

    __slots__ = ("_least", "_most", "_waits")

    def __init__(self, waits: Waits, least: float, most: float) -> None:
        self._waits, self._least, self._most = waits, least, most

    @property
    def age_s(self) -> float | None:
        """Seconds since the last poll."""
        return self._waits.age_s

    @property
    def gpu_price(self) -> float | None:
        """The price of a second of GPU."""
        return self._waits.gpu_price

    @property
    def draw_w(self) -> float:
        """Watts that the running tasks draw."""
        return self._waits.draw_w

    def wait_s(self, config: str, device: Device, /) -> float | None:
        """Seconds until a task starts there."""
        return self.waits_s(((config, device),))[0]

    def waits_s(self, queues: Sequence[Queue], /) -> list[float | None]:
        """The result of wait_s for each of many queues."""
        each = zip(queues, self._waits.waits_s(queues), strict=True)
        return [self._kept(wait) if device == "gpu" else wait for (_, device), wait in each]

    def _kept(self, wait: float | None) -> float:
        return min(max(wait or 0.0, self._least), self._most)


def _turn(turned: Callable[[float], bool], start: float, end: float) -> float | None:
    """The value between start and end, in logarithms, from which on `turned` holds; None where it does not at the end,
    or holds at the start."""
    if not turned(end) or turned(start):
        return None
    a, b = math.log(start), math.log(end)
    for _ in range(STEPS):
        middle = (a + b) / 2
        a, b = (a, middle) if turned(math.exp(middle)) else (middle, b)
    return math.exp(b)


def _seconds(seconds: float) -> str:
    return f"{seconds:.2g} s" if seconds < 100 else f"{seconds:,.0f} s"
