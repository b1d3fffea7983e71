"""Estimator: a selector that decides in the simulator in place of the true times, with what it knows and does not know.

The times of tasks stay the emulator's, or a log's. What a policy expects of a task is the selector's estimate, moved by
the runs that have ended where the history is kept, as on a cluster. Tasks without a spec that the selector understands
have no estimate: a cold start decides for them, as on a cluster.
"""

from __future__ import annotations

import math
import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from placement.errors import OptionError
from placement.prediction.runtime_history import History, Place
from placement.prediction.selector import Selector
from placement.prediction.selector_file import parse_selector, shipped_selector
from placement.scheduling.candidate_set import CandidateSet
from placement.spec.node import Inventory
from placement.spec.task import Device
from profiling.simulation.arrivals import ArrivalTrace, TaskType
from profiling.simulation.runtimes import GPU

SHIPPED = "shipped"
PERFECT = "perfect"


@dataclass(frozen=True, slots=True)
class Estimator:
    """A selector by whose estimates policies decide. learns: runs that end are kept as history."""

    selector: Selector
    learns: bool = False

    @classmethod
    def of(cls, name: str, learns: bool = False) -> Estimator | None:
        """Of "shipped" or a selector file; None for "perfect": the true times. OptionError where it is neither."""
        if name == PERFECT:
            if learns:
                raise OptionError("simulate: --history needs --selector shipped or a file: perfect times have no more.")
            return None
        if name == SHIPPED:
            return cls(shipped_selector(), learns)
        if not Path(name).is_file():
            raise OptionError(f"simulate: selector {name!r} is no file; valid are {PERFECT}, {SHIPPED} and a file.")
        return cls(parse_selector(Path(name).read_bytes(), os.fspath(name)), learns)


def expected_seconds(found: CandidateSet, config: str, device: Device) -> float | None:
    """Seconds that the estimates tell of a config's device; None where they tell none."""
    for at, group in enumerate(found.groups):
        if config in group.configs:
            estimate = found.estimate(at)
            seconds = None if estimate is None else estimate.seconds_on(device)
            return seconds if seconds is not None and math.isfinite(seconds) else None
    return None


def observe(
    history: History, one: TaskType, inventory: Inventory, trace: ArrivalTrace, kind: int, on: int, seconds: float,
    joules: float,
) -> None:  # fmt: skip
    """Keeps a run that ended, as a cluster's history does."""
    from placement.scheduling.decision import key_of

    device: Device = "gpu" if on == GPU else "cpu"
    place = Place(inventory.kinds[kind].spec.config, device, trace.cpus[device])
    history.observe(key_of(one.preset, one.spec), place, seconds, joules if np.isfinite(joules) and joules else None)
