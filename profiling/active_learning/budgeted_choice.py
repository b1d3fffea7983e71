"""BudgetedChoice: what a sweep measures next where its time is short."""

from __future__ import annotations

import os
from collections.abc import Sequence
from functools import cached_property

import numpy as np

from placement.errors import LogError
from placement.log import read_log
from placement.prediction.selector import Selector
from placement.prediction.speedup_selector import SpeedupSelector
from placement.spec.joint_threshold import JointThreshold
from placement.spec.node import NodeSpec
from placement.spec.task import TaskSpec
from profiling.active_learning.acquisition import drawn_pairs, next_pairs, round_size, unsureness
from profiling.active_learning.traffic import production_counts, traffic
from profiling.dataset.frames import of_labelled
from profiling.dataset.pairs import labelled, pairs
from profiling.learning.fit_power import fit_power
from profiling.learning.fit_residuals import fit_residuals
from profiling.sweep.cell_jobs import Job
from profiling.sweep.measurable import Measurable
from profiling.sweep.preset_grid import work_of_presets

TINY = 1e-9
"""The traffic of work that makes no pair, as a share of what it has: it comes after all that does."""


class BudgetedChoice:
    """Chooses the jobs of a sweep's next round: those of the pairs that `acquisition` takes.

    Before each round a selector is fitted to the log's pairs. No cell runs meanwhile, so the fit disturbs no
    measurement. Work that runs on CPUs alone is measured last.
    """

    def __init__(self, log: str | os.PathLike[str], rule: JointThreshold | None = None) -> None:
        self._log = log
        self._rule = rule or JointThreshold()
        self._chosen = 0
        self._specs: dict[str, TaskSpec] = {}

    def __call__(self, jobs: Sequence[Job]) -> tuple[list[Job], list[Job]]:
        """(jobs of the next round, most valuable first, the others); the two devices of a pair come together."""
        units: dict[tuple[str, str, float], list[Job]] = {}
        for job in jobs:
            units.setdefault((job.preset.name, job.site.spec.config, job.cell.cpus), []).append(job)
        each = list(units.values())
        presets = {job.preset.name: job.preset for job in jobs}
        names = list(presets)
        work = np.array([names.index(unit[0].preset.name) for unit in each])
        shares = traffic(
            [self._spec(one) for one in presets.values()],
            [one.function_key for one in presets.values()],
            self._production,
        )
        pairs_of = [_pairs_of(unit) for unit in each]
        shares = shares[work] * np.array([bool(some) or TINY for some in pairs_of])
        selector, count = selector_of_log(self._log, self._rule), round_size(self._chosen)
        if selector is None:
            taken = drawn_pairs(shares, count)
        else:
            unsure = [self._unsureness(unit, some, selector) for unit, some in zip(each, pairs_of, strict=True)]
            taken = next_pairs(np.array(unsure) * shares, work, count)
        self._chosen += len(taken)
        now = [job for at in taken for job in each[at]]
        others = [job for at in sorted(set(range(len(each))) - set(taken.tolist())) for job in each[at]]
        return now, others

    @cached_property
    def _production(self) -> list[dict[str, object]]:
        return production_counts(self._log)

    def _unsureness(self, unit: Sequence[Job], some: set[tuple[NodeSpec, float]], selector: Selector) -> float:
        """The sum over the pairs that the unit's jobs measure or compute."""
        spec = self._spec(unit[0].preset)
        estimates = [selector.estimate(spec, node, cpus) for node, cpus in some]
        return float(unsureness(np.array([np.nan if one is None else one.p_gpu for one in estimates])).sum())

    def _spec(self, preset: Measurable) -> TaskSpec:
        """A preset's spec; tracing all of the catalogue's would take minutes, so these are read from the file."""
        if not self._specs:
            self._specs = {work.preset: work.spec for work in work_of_presets()}
        if preset.name not in self._specs:
            self._specs[preset.name] = preset.spec()
        return self._specs[preset.name]


def _pairs_of(unit: Sequence[Job]) -> set[tuple[NodeSpec, float]]:
    """The kinds of node, with the CPUs granted, whose pairs the jobs complete."""
    computed = {(node, cell.cpus) for job in unit for cell, node in job.computed if cell.device == "gpu"}
    one = unit[0]
    measured = {(one.site.spec, one.cell.cpus)} if one.site.spec.gpus and one.preset.has_gpu else set()
    return measured | computed


def selector_of_log(log: str | os.PathLike[str], rule: JointThreshold) -> Selector | None:
    """The roofline with trees fitted to the log's pairs; None where these are too few."""
    try:
        frame = of_labelled(labelled(pairs(read_log(log)), rule))
    except LogError:
        return None
    trees = fit_residuals(frame) if len(frame) else None
    return trees and SpeedupSelector("of this sweep", None, rule, trees=trees, share=1.0, power=fit_power(frame))


def choice_for(log: str | os.PathLike[str], budget_s: float | None) -> BudgetedChoice | None:
    """The choice of a sweep: by what is least sure where it has a budget; None, the grid's order, where it has not."""
    return None if budget_s is None else BudgetedChoice(log)
