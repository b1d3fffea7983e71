"""`placement bench-learning`: the scenarios with every way of learning, as figures, a table and plain data.

Regret is that of a task over the rule's device on the true times, at the rule's prices (`beliefs`), as a share of the
oracle's cost. A way has recovered once the regret of the kind's tasks, plus ALLOWED of the oracle's, is within FACTOR
of what it was before the change, and stays there on the mean of the tasks that follow.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from typing import Any, Literal

import numpy as np

from placement.errors import OptionError
from profiling.learning_loop.scenarios import SCENARIOS, World, world_of
from profiling.learning_loop.simulated_arm import ArmRun, SimulatedArm, Way

ALLOWED = 0.01
FACTOR = 1.2
WINDOW = 100  # tasks of the kind
BEFORE_SHARE = 2 / 3
BEFORE = 10_000  # tasks before the change whose regret is the one before
CURVE_POINTS = 24
WAYS: tuple[Way, ...] = ("learning", "history alone", "no learning")
Part = Literal["regret", "by_trial", "by_swap"]


@dataclass(frozen=True, slots=True)
class Recovery:
    """A scenario with a change, means over seeds. Regrets are shares of the oracle's cost.

    tasks_to_recover: of the kind, None where it did not within the run.  regret_after: of the kind's tasks after those.
    regret_of_first: of the kind's first 500 tasks after the change.
    without_learning, history_alone: the regret of the other ways over the same tasks as regret_after.
    over_time: way -> regret of the kind's tasks after the change, in CURVE_POINTS windows of equal length.
    """

    tasks_to_recover: int | None
    regret_before: float
    regret_after: float
    regret_of_first: float
    without_learning: float
    history_alone: float
    swaps: int
    harmful_swaps: int
    rollbacks: int
    over_time: dict[str, list[float]]


@dataclass(frozen=True, slots=True)
class Unchanged:
    """Scenario (a): nothing changes. Regrets are shares of the oracle's cost over all tasks, the same for all ways.

    by_trials, by_swaps: the parts of the regret that are the cost of exploration, and of the swaps (see `ArmRun`).
    """

    tasks: int
    seeds: int
    swaps: int
    harmful_swaps: int
    rollbacks: int
    drifts: int
    regret: float
    by_trials: float
    by_swaps: float
    without_learning: float
    history_alone: float


def benchmark(
    scenarios: Sequence[str] = SCENARIOS, *, tasks: int = 200_000, seeds: int = 20, changed_tasks: int = 60_000,
    changed_seeds: int = 3, advance: Callable[[str], None] = lambda _: None,
) -> dict[str, Any]:  # fmt: skip
    """Every scenario as plain data. tasks, seeds: of (a); the changed_ ones: of each of the others.

    Raises OptionError on an unknown scenario.
    """
    unknown = sorted(set(scenarios) - set(SCENARIOS))
    if unknown:
        raise OptionError(f"scenarios {unknown} are not among {', '.join(SCENARIOS)}.")
    found: dict[str, Any] = {}
    for scenario in scenarios:
        advance(f"scenario {scenario}")
        if scenario == "a":
            found[scenario] = asdict(unchanged(tasks, seeds))
        else:
            found[scenario] = asdict(recovery(scenario, changed_tasks, changed_seeds))
    return found


def unchanged(tasks: int, seeds: int) -> Unchanged:
    """Scenario (a). Without learning the history stays as it is after a tenth of the tasks."""
    by_way = _runs("a", tasks, tasks // 10, seeds)
    runs, every = by_way["learning"], [slice(None)] * seeds
    shares = {way: share(by_way[way], every) for way in WAYS}
    return Unchanged(
        tasks, seeds, sum(r.swaps for r in runs), sum(r.harmful for r in runs), _count(runs, "rollback"),
        _count(runs, "drift"), shares["learning"], share(runs, every, "by_trial"), share(runs, every, "by_swap"),
        shares["no learning"], shares["history alone"],
    )  # fmt: skip


def recovery(scenario: str, tasks: int, seeds: int) -> Recovery:
    """One of (b) to (e); the change comes after BEFORE_SHARE of the tasks."""
    change = int(BEFORE_SHARE * tasks)
    by_way = _runs(scenario, tasks, change, seeds)
    learning, kinds = by_way["learning"], [world_of(scenario, seed).kind for seed in range(seeds)]
    of_kind = [np.flatnonzero(kind[run.cell]) for kind, run in zip(kinds, learning, strict=True)]
    after = [tasks_of[tasks_of >= change] for tasks_of in of_kind]
    before = share(learning, [_before(tasks_of, change) for tasks_of in of_kind])
    needed = tasks_to_recover(learning, after, before)
    since = [one[needed or 0 :] for one in after]
    shares = {way: share(by_way[way], since) for way in WAYS}
    return Recovery(
        needed, before, shares["learning"], share(learning, [one[:500] for one in after]), shares["no learning"],
        shares["history alone"], sum(r.swaps for r in learning), sum(r.harmful for r in learning),
        _count(learning, "rollback"), {way: _over_time(by_way[way], after) for way in WAYS},
    )  # fmt: skip


def share(runs: Sequence[ArmRun], tasks: Sequence[Any], part: Part = "regret") -> float:
    """The regret of some tasks of each run, or a part of it, as a share of the oracle's cost of them."""
    regret = sum(float(getattr(run, part)[some].sum()) for run, some in zip(runs, tasks, strict=True))
    return regret / max(1e-12, sum(float(run.oracle[some].sum()) for run, some in zip(runs, tasks, strict=True)))


def tasks_to_recover(runs: Sequence[ArmRun], after: Sequence[np.ndarray], before: float) -> int | None:
    """The least number of the kind's tasks, in WINDOWs, after which the regret of all that follow is back."""
    shortest = min(len(one) for one in after)
    for first in range(0, shortest - WINDOW, WINDOW):
        window = share(runs, [one[first : first + WINDOW] for one in after])
        rest = share(runs, [one[first:shortest] for one in after])
        if max(window, rest) + ALLOWED <= FACTOR * (before + ALLOWED):
            return first
    return None


def _before(of_kind: np.ndarray, change: int) -> Any:
    """The kind's tasks of before the change; all tasks then, where the kind did not exist."""
    last = of_kind[(of_kind < change) & (of_kind >= change - BEFORE)]
    return last if len(last) else slice(max(0, change - BEFORE), change)


def _over_time(runs: Sequence[ArmRun], after: Sequence[np.ndarray]) -> list[float]:
    shortest = min(len(one) for one in after)
    edges = np.linspace(0, shortest, CURVE_POINTS + 1).astype(int)
    return [share(runs, [one[a:b] for one in after]) for a, b in pairwise(edges)]


def _count(runs: Sequence[ArmRun], kind: str) -> int:
    return sum(event.kind == kind for run in runs for _, event in run.events)


def _runs(scenario: str, tasks: int, change: int, seeds: int) -> dict[Way, list[ArmRun]]:
    from joblib import Parallel, delayed

    runs = Parallel(n_jobs=-1)(
        delayed(_run)(scenario, way, tasks, change, seed) for way in WAYS for seed in range(seeds)
    )
    return {way: runs[i * seeds : (i + 1) * seeds] for i, way in enumerate(WAYS)}


def _run(scenario: str, way: Way, tasks: int, change: int, seed: int) -> ArmRun:
    world: World = world_of(scenario, seed)
    return SimulatedArm(world, way, change, seed).run(tasks)
