"""Posterior P(GPU) of the default selector after runs of the same task. It has a row of its own in the tables, since
it alone knows tasks by name.

Published pairs have one time for each device. So RUNS warm runs on each device are replayed: the pair's own seconds
times log-normal noise of NOISE, drawn by the seed; a first, cold run is set aside, as in service. The answer is
`placement.prediction.posterior.posterior` with the held-out P(GPU) as prior. The label stays that of the pair as
it was measured.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from placement.prediction.estimate import Estimate
from placement.prediction.posterior import posterior
from placement.prediction.timings import Timings

if TYPE_CHECKING:
    import pandas as pd

    from placement.spec.joint_threshold import JointThreshold

RUNS = 5
NOISE = 0.1
"""Standard deviation of the logarithm of a replayed run's seconds."""


def after_runs(frame: pd.DataFrame, p_gpu: np.ndarray, rule: JointThreshold, seed: int) -> np.ndarray:
    """(n,): P(GPU) of each row after RUNS runs on each device. p_gpu (n,): the prior's."""
    chance = np.random.default_rng(seed)
    noise = np.exp(chance.normal(0.0, NOISE, (len(frame), 2, RUNS)))
    asked = zip(frame.to_dict("records"), p_gpu, noise, strict=True)
    return np.array([_one(pair, float(p), drawn, rule) for pair, p, drawn in asked])


def _one(pair: dict[str, Any], p_gpu: float, noise: np.ndarray, rule: JointThreshold) -> float:
    sides = []
    for device, factors in zip(("cpu", "gpu"), noise, strict=True):
        seconds, joules = pair[f"{device}_seconds"], pair[f"{device}_joules"]
        known = joules is not None and math.isfinite(joules)
        timings = Timings().add(seconds)  # the cold one
        for factor in factors:
            timings = timings.add(seconds * factor, joules * factor if known else None)
        sides.append(timings)
    told = posterior(Estimate(p_gpu), sides[0], sides[1], rule)
    return p_gpu if told is None else told.p_gpu
