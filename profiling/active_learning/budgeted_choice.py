"""BudgetedChoice: what a sweep measures next where its time is short."""

from __future__ import annotations

import os
from collections.abc import Sequence
from functools import cached_property
from typing import NamedTuple

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


class Unit(NamedTuple):
    """The jobs of one preset that are chosen together.

    pairs: the kinds of node, with the CPUs granted, whose pairs its jobs complete.
    """

    preset: Measurable
    jobs: list[Job]
    pairs: list[tuple[NodeSpec, float]]


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
        units = _units_of(jobs)
        presets = {unit.preset.name: unit.preset for unit in units}
        work = np.array([list(presets).index(unit.preset.name) for unit in units])
        keys = [one.function_key for one in presets.values()]
        shares = traffic([self._spec(one) for one in presets.values()], keys, self._production)[work]
        shares = shares * np.array([bool(unit.pairs) or TINY for unit in units])
        selector, count = selector_of_log(self._log, self._rule), round_size(self._chosen)
        if selector is None:
            taken = drawn_pairs(shares, count)
        else:
            unsure = np.array([self._unsureness(unit, selector) for unit in units])
            taken = next_pairs(unsure * shares, work, count)
        self._chosen += len(taken)
        others = np.setdiff1d(np.arange(len(units)), taken)
        return [job for at in taken for job in units[at].jobs], [job for at in others for job in units[at].jobs]

    @cached_property
    def _production(self) -> list[dict[str, object]]:
        return production_counts(self._log)

    def _unsureness(self, unit: Unit, selector: Selector) -> float:
        """The sum over the unit's pairs."""
        spec = self._spec(unit.preset)
        estimates = [selector.estimate(spec, node, cpus) for node, cpus in unit.pairs]
        return float(unsureness(np.array([np.nan if one is None else one.p_gpu for one in estimates])).sum())

    def _spec(self, preset: Measurable) -> TaskSpec:
        """A preset's spec; tracing all of the catalogue's would take minutes, so these are read from the file."""
        if not self._specs:
            self._specs = {work.preset: work.spec for work in work_of_presets()}
        if preset.name not in self._specs:
            self._specs[preset.name] = preset.spec()
        return self._specs[preset.name]


def _units_of(jobs: Sequence[Job]) -> list[Unit]:
    """The jobs of a preset with the same CPUs on a kind of node together."""
    together: dict[tuple[str, str, float], list[Job]] = {}
    for job in jobs:
        together.setdefault((job.preset.name, job.site.spec.config, job.cell.cpus), []).append(job)
    units = []
    for (_, _, cpus), some in together.items():
        site, preset = some[0].site, some[0].preset
        measured = [(site.spec, cpus)] if site.spec.gpus and preset.has_gpu else []
        computed = [(node, cell.cpus) for job in some for cell, node in job.computed if cell.device == "gpu"]
        units.append(Unit(preset, some, measured + computed))
    return units


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
