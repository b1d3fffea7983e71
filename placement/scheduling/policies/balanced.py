"""`balanced`, the policy of a cluster: GPUs that idle are used, GPUs that are wanted are kept for who gains most.

Every candidate competes with a score, and the least is taken:

    grown(wait, cost)            on a CPU
    grown(0, price * cost)       on a GPU that is free; those that are not free are then left out
    price * grown(wait, cost)    on a GPU where none is free

    grown(wait, cost) = (wait + cost) ** POWER - wait ** POWER
    cost              = seconds + seconds_per_joule * joules            on a CPU
                        seconds + seconds_per_joule * joules / price    on a GPU

So a free GPU is taken where it ends sooner even at its price. Where devices must be waited for, a moment on one is the
dearer, the longer its queue is by then, and a task pays for all its moments (the greedy rule of Awerbuch et al., Load
Balancing in the L_p Norm, FOCS 1995): the earliest end alone would fill a queue with whatever came first, by this rule
the tasks that gain most from a device have it. Where a CPU is free and no GPU, a task for which the paper's threshold
names the CPU waits for no GPU.

The price is that of a second of GPU in seconds of CPU, and says how much the GPUs are wanted. It begins at the paper's
T_t, falls to 1 while a GPU idles, and rises while the GPUs' queue is the longer one. It is of seconds alone: a joule
counts the same on both devices, however dear their seconds are; multiplied by the price, a dearer joule would send work
from wanted GPUs to CPUs that draw more for it. The caller keeps the price beside its queues (`Waits.gpu_price`); each
choice tells the next one (`Choice.gpu_price`). Read as a threshold, it is one that moves with the queues: where they
are long the GPU is taken where cost_cpu / cost_gpu is at least price * (wait_gpu / wait_cpu) ** (POWER - 1). At the
price where the queues stay level each device holds the tasks it is best at: it is then the dual price of the linear
programme of `profiling.simulation.lp_bound`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

from placement.scheduling.candidate_set import THRESHOLDS, candidate_set
from placement.scheduling.candidates import Candidate, Choice
from placement.scheduling.cost_model import Places
from placement.scheduling.policies.queue_aware import NEAR, CostTable, MinScorePolicy, stale
from placement.spec.task import Device, TaskSpec

POWER = 9  # written out in `grown`; of 3, 5, 7, 9, 17 and 33 the best in simulation: low ones let long tasks begin late
LEARNING = 0.05  # step of the logarithm of the price at each decision; half or twice as large did as well
IDLE_STEP = math.exp(-LEARNING)
LARGEST_LOG_PRICE = math.log(18.0)
"""Either way. Of 15, 17, 18, 20 and 30 a middle: on four nodes 20 does best in simulation, on sixteen 15. The bound has
prices of 21 to 36 there; but while many nodes fill up at once the price would rise far beyond what any task gains, and
long tasks that begin late on CPUs would then end last."""


@dataclass
class Balanced(MinScorePolicy):
    """A free GPU where that ends sooner at its price; else where the sum of powers of the loads grows the least.

    The formulas stand above, in the module. seconds_per_joule: the price of a joule; 0 leaves energy to the threshold.
    """

    _near: ClassVar[float] = NEAR ** (POWER - 1)

    def choose(self, task: TaskSpec, candidates: Sequence[Candidate]) -> Choice:
        """The best by its queues and costs; the threshold's where either is not known."""
        found = candidate_set(candidates)
        plan, waits = self._plan(task, found), found.waits
        threshold = plan.threshold
        if waits is None or (waits.age_s is None and waits.wait_s(*plan.first) is None):
            return threshold
        if stale(waits):
            return replace(threshold, reason=f"{threshold.reason}, load_stale")
        if plan.all is None:
            return replace(threshold, reason=f"{threshold.reason}, seconds_unknown")
        return self._least(plan.all, waits, plan)

    def _reason(self, device: Device, wait: float, threshold: Choice) -> str:
        if device != threshold.device:
            return f"{device}_ends_sooner"
        return f"{threshold.reason}, waits" if wait else threshold.reason

    def _moved_price(
        self, price: float | None, waits: Sequence[float], places: Places, plan: CostTable
    ) -> float | None:
        price, cpus = THRESHOLDS.speedup if price is None else price, places.cpus
        if not 0 < cpus < len(waits):
            return price
        cpu, gpu = min(waits[:cpus]), min(waits[cpus:])
        return next_price(price, cpu + plan.floor, gpu + plan.floor) if gpu else idle_price(price)

    def _repriced(self, waits: Sequence[float], places: Places, gpu_price: float) -> Places:
        cpus, costs, seconds = places.cpus, places.costs, places.seconds
        if not 0 < cpus < len(waits):
            return places
        price = gpu_price if min(waits[cpus:]) else max(1.0, gpu_price)
        on_gpu = [own + (cost - own) / price for own, cost in zip(seconds[cpus:], costs[cpus:], strict=True)]
        return places._replace(costs=(*costs[:cpus], *on_gpu))

    def _scores(self, waits: Sequence[float], places: Places, gpu_price: float, named: Device) -> list[float]:
        cpus, costs = places.cpus, places.costs
        if not 0 < cpus < len(waits):
            return list(map(grown, waits, costs))
        scores = list(map(grown, waits[:cpus], costs))
        gpus = list(zip(waits[cpus:], costs[cpus:], strict=True))
        if not min(waits[cpus:]):
            price = max(1.0, gpu_price)
            return scores + [math.inf if wait else grown(0.0, price * cost) for wait, cost in gpus]
        if named == "cpu" and not min(waits[:cpus]):
            return scores + [math.inf] * len(gpus)
        return scores + [gpu_price * grown(wait, cost) for wait, cost in gpus]


def idle_price(price: float) -> float:
    """The price of a second of GPU after a look at which one was free: a step towards that of a CPU's."""
    return max(1.0, price * IDLE_STEP) if price > 1.0 else price


def next_price(price: float, cpu_wait_s: float, gpu_wait_s: float) -> float:
    """The price of a second of GPU, moved a step towards the longer queue: the shortest of the CPUs' and the GPUs'."""
    log = math.log(price) + LEARNING * min(1.0, max(-1.0, math.log(gpu_wait_s / cpu_wait_s)))
    return math.exp(min(LARGEST_LOG_PRICE, max(-LARGEST_LOG_PRICE, log)))


def grown(wait: float, cost: float) -> float:
    """(wait + cost) ** POWER - wait ** POWER, without the difference: a short task after a long queue would be lost."""
    end = wait + cost
    end3, wait3 = end * end * end, wait * wait * wait
    # a**9 - b**9 = (a - b) (a**2 + ab + b**2) (a**6 + a**3 b**3 + b**6)
    return cost * (end * (end + wait) + wait * wait) * (end3 * (end3 + wait3) + wait3 * wait3)


def score(wait: float, cost: float, on_gpu: bool, gpu_price: float) -> float:
    """The score that `balanced` minimises, from the figures in a row of the log; of nodes alike any is taken
    up to NEAR ** (POWER - 1)."""
    if on_gpu and not wait:
        return grown(0.0, max(1.0, gpu_price) * cost)
    return grown(wait, cost) * (gpu_price if on_gpu else 1.0)
