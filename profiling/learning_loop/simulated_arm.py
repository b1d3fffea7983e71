"""One way of learning through a scenario: every task is decided, runs, and teaches what that way learns from.

no learning     the selector and the history stay as they are when the change comes
history alone   runs are kept by function, size and place; nothing is explored and nothing refitted
learning        the whole loop: exploration with a budget, drift, refits, trials, swaps and rollbacks
oracle          takes the rule's device on the true times: its regret is 0
"""

from __future__ import annotations

import math
from bisect import bisect
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from placement.scheduling.candidates import Choice
from placement.scheduling.exploration import (
    Trial,
    drawn,
    expected_s,
    may_explore,
    reserve_of,
    threshold_probability,
    trial_seconds,
)
from placement.scheduling.trial_budget import DEFAULT_SHARE, TrialBudget
from placement.spec.joint_threshold import JointThreshold
from placement.spec.task import DEVICES, OTHER_DEVICE
from profiling.learning_loop.beliefs import SelectorView, cost
from profiling.learning_loop.events import Event
from profiling.learning_loop.loop import LearningLoop
from profiling.learning_loop.scenarios import RUN_NOISE, World, fitted, measured_pairs

Way = Literal["no learning", "history alone", "learning"]

HARM = 0.01  # a swap hurts where it raises the true regret by more than this share
BLOCK = 2048


@dataclass
class ArmRun:
    """The results of one way. (tasks,) of each task: seconds at the rule's prices.

    oracle: the oracle's cost.  regret: beyond it, in three parts.  by_trial: of the device tried over the champion's.
    by_swap: of the champion's device over that of the first selector, had that the same history. The rest of the regret
    is that selector's.  cell: index.  events: (task, event).  harmful: swaps that raised the true regret by more than
    HARM.
    """

    regret: np.ndarray
    oracle: np.ndarray
    by_trial: np.ndarray
    by_swap: np.ndarray
    cell: np.ndarray
    events: list[tuple[int, Event]] = field(default_factory=list)
    harmful: int = 0

    @property
    def swaps(self) -> int:
        """Swaps in all."""
        return sum(event.kind == "swap" for _, event in self.events)


class SimulatedArm:
    """One way of learning, run through one scenario. change: the task before which the world changes."""

    def __init__(self, world: World, way: Way, change: int, seed: int) -> None:
        self.world, self.way, self.change, self.seed = world, way, change, seed
        self.rule = JointThreshold()
        swept = np.flatnonzero(world.swept)
        pairs = measured_pairs(world, swept, world.log_seconds[0][swept], world.joules[0][swept], self.rule)
        champion = fitted(pairs, self.rule, seed, "first")
        if champion is None:
            raise ValueError(f"{len(pairs)} pairs are too few for a first selector.")
        self.loop = LearningLoop(champion)
        self._first = self.loop.history.view(champion)
        for cell in world.cells:
            self.loop.history.index(cell)
        self.costs = [costs_of(self.rule, np.exp(log), joules) for log, joules in zip(world.log_seconds, world.joules,
                                                                                      strict=True)]  # fmt: skip
        self._cumulative = [np.cumsum(share).tolist() for share in world.share]
        self._log_seconds = [one.tolist() for one in world.log_seconds]
        self._joules = [one.tolist() for one in world.joules]
        self._budget = TrialBudget()
        self._refits = 0

    def run(self, tasks: int) -> ArmRun:
        """Runs so many tasks, drawn by the seed alike for all ways."""
        found = ArmRun(*(np.zeros(tasks) for _ in range(4)), np.zeros(tasks, int))
        chance = np.random.default_rng(self.seed)
        for first in range(0, tasks, BLOCK):
            last = min(tasks, first + BLOCK)
            drawn = chance.random((2, last - first))
            noise = chance.normal(0.0, RUN_NOISE, last - first).tolist()
            for task in range(first, last):
                u, v = drawn[:, task - first].tolist()
                self._task(found, task, u, v, noise[task - first])
        return found

    def _task(self, found: ArmRun, task: int, u: float, v: float, noise: float) -> None:
        when = int(task >= self.change)
        at = bisect(self._cumulative[when], u * self._cumulative[when][-1])
        gpu, propensity = self._device(at, v)
        self._account(found, task, at, gpu, self.costs[when][at])
        if self.way == "no learning" and when:
            return
        seconds = math.exp(self._log_seconds[when][at][gpu] + noise)
        self._budget.granted_s += DEFAULT_SHARE * seconds
        joules = self._joules[when][at][gpu] * math.exp(noise)
        if self.way != "learning":
            self.loop.history.add(at, DEVICES[gpu], seconds, joules)
            return
        before = self.loop.champion
        events = self.loop.add(at, DEVICES[gpu], seconds, joules, propensity)
        if self.loop.refit_due:
            events = [*events, *self._refit()]
        for event in events:
            found.events.append((task, event))
            if event.kind == "swap":
                found.harmful += self._true_regret(self.loop.champion, when) > (1 + HARM) * self._true_regret(
                    before, when
                )

    def _account(self, found: ArmRun, task: int, at: int, gpu: int, both: tuple[float, float]) -> None:
        best, view = min(both), self.loop.champion
        champion = both[view.belief(at).device == "gpu"]
        found.oracle[task], found.regret[task], found.cell[task] = best, both[gpu] - best, at
        found.by_trial[task] = both[gpu] - champion
        if view.selector is not self._first.selector:
            found.by_swap[task] = champion - both[self._first.belief(at).device == "gpu"]

    def _device(self, at: int, v: float) -> tuple[int, float]:
        """(1 for the GPU, its propensity): the rule's device by the belief, or by Thompson sampling the other one."""
        belief = self.loop.served.belief(at)
        device = belief.device
        if self.way != "learning" or not may_explore(belief.p_gpu):
            return int(device == "gpu"), 1.0
        choice, other = Choice(device, (), "selector", belief.p_gpu), OTHER_DEVICE[device]
        estimate = belief.estimate
        seconds = estimate and estimate.seconds_on(other)
        replaced = estimate and estimate.seconds_on(device)
        if not estimate or not seconds or not replaced or not estimate.speedup:
            return int(device == "gpu"), 1.0
        trial = Trial(
            other, (), threshold_probability(choice, other), seconds,
            trial_seconds(other, expected_s(seconds, estimate.speedup.std, estimate), replaced, self.rule),
            reserve_of(estimate),
        )  # fmt: skip
        chosen = drawn(choice, trial, f"tries_{other}", self._budget, lambda: v)
        self._budget.spend(chosen.trial)
        return int(chosen.device == "gpu"), chosen.propensity

    def _refit(self) -> list[Event]:
        """A refit to the cells that ran, on one device or both, and to those swept."""
        timings, world = self.loop.history.timings, self.world
        rows = [at for at, both in enumerate(timings) if any(one.runs for one in both) or world.swept[at]]
        log_seconds, joules = world.log_seconds[0][rows], world.joules[0][rows]
        for row, at in enumerate(rows):
            for on, timed in enumerate(timings[at]):
                if timed.runs:
                    log_seconds[row, on], joules[row, on] = timed.mean, timed.joules or math.nan
                elif not world.swept[at]:
                    log_seconds[row, on] = joules[row, on] = math.nan
        self._refits += 1
        pairs = measured_pairs(world, rows, log_seconds, joules, self.rule)
        made = fitted(pairs, self.rule, self.seed, f"refit-{self._refits}")
        return self.loop.challenge(made) if made else self.loop.refit_failed(f"{len(pairs)} pairs are too few")

    def _true_regret(self, view: SelectorView, when: int) -> float:
        """Mean regret of a task by a selector's beliefs as they are now, by the true times."""
        shares = self.world.share[when]
        regrets = [
            (both[view.belief(at).device == "gpu"] - min(both)) * shares[at]
            for at, both in enumerate(self.costs[when])
            if shares[at]
        ]
        return math.fsum(regrets)


def costs_of(rule: JointThreshold, seconds: np.ndarray, joules: np.ndarray) -> list[tuple[float, float]]:
    """The true costs of each cell on the CPU and the GPU. seconds, joules: (n, 2)."""
    found = []
    for (cpu, gpu), (cpu_joules, gpu_joules) in zip(seconds.tolist(), joules.tolist(), strict=True):
        found.append((cpu, cost(rule, "gpu", gpu, gpu_joules, cpu_joules / cpu)))
    return found
