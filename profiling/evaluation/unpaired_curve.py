"""Accuracy against rows of a production log in which each task ran on one device only.

    python -m profiling.evaluation.unpaired_curve [--json F]

The pairs of the emulated grid are replayed: tasks are drawn at random from four fifths of the work, the policy
`selector` sends each to a device, trying the other one under the budget of exploration, and the run on the device that
was not taken is hidden. At each length of the log the same rows are learned from with one side hidden and with both.
Accuracy is that on the fifth of the work that no row shows; beside it stands that on the other work.
"""

from __future__ import annotations

from collections.abc import Sequence
from json import dumps
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
import typer

from placement.prediction.estimate import Estimate
from placement.prediction.posterior import posterior
from placement.prediction.timings import Timings
from placement.scheduling.candidates import Choice
from placement.scheduling.exploration import (
    Trial,
    drawn,
    threshold_probability,
)
from placement.scheduling.trial_budget import DEFAULT_SHARE, TrialBudget, TrialSeconds
from placement.spec.joint_threshold import JointThreshold
from placement.spec.task import DEVICES, OTHER_DEVICE, Device
from profiling.dataset.runs import LARGEST_WEIGHT
from profiling.learning.counterfactuals import completed
from profiling.learning.fit_residuals import fit_residuals
from profiling.learning.history_replay import NOISE
from profiling.learning.speedup import FittedModels

if TYPE_CHECKING:
    import pandas as pd

    from placement.prediction.residual_trees import ResidualTrees
    from placement.prediction.speedup_selector import SpeedupSelector

ROWS = (200, 500, 1_000, 2_000, 5_000, 10_000, 20_000)
NEW_WORK = 5
"""One in so many pieces of work is in no row of the log."""
FIGURES = ("unpaired", "pairs", "history", "shipped")


def accuracy_curve(
    rows: Sequence[int] = ROWS, *, seed: int = 0, frame: pd.DataFrame | None = None,
    selector: SpeedupSelector | None = None, exploration: float = DEFAULT_SHARE,
) -> list[dict[str, Any]]:  # fmt: skip
    """One dict for each number of rows: rows, and the accuracies of FIGURES over the pairs of work that is in no row;
    `<figure>_seen` are those over the work that rows were drawn from.  trials: rows that tried a device.

    unpaired: trees learned from the rows as they are.  pairs: from the same rows, both sides kept.  history: the CPU
    unless the rows hold two runs on both devices.  shipped: `selector`, by which the policy decided; the one that ships
    was fitted to pairs of this grid.
    frame: of `profiling.dataset.frames`; None = the full emulated grid.  selector: None = the one that ships.
    exploration: share of the device seconds that trials may take.
    """
    from placement.prediction.selector_file import shipped_selector
    from profiling.learning.fit_shipped import emulated_grid

    frame = emulated_grid() if frame is None else frame
    policy: Any = shipped_selector() if selector is None else selector
    rule, chance = JointThreshold(), np.random.default_rng(seed)
    by_policy = _p_gpu(policy.trees, frame, rule)
    work = frame["preset"].astype(object).fillna("unknown").factorize()[0]
    new = chance.permutation(int(work.max()) + 1)[work] % NEW_WORK == 0
    log = replayed(frame, by_policy, np.flatnonzero(~new), max(rows), exploration, chance)
    gpu = (frame["label"] == "gpu").to_numpy()
    curve = []
    for count in rows:
        part = log.head(count)
        answers = {
            "unpaired": _p_gpu(fit_residuals(completed(one_sided(frame, part), seed), seed), frame, rule),
            "pairs": _p_gpu(fit_residuals(both_sides(frame, part), seed), frame, rule),
            "history": by_history(frame, part, rule),
            "shipped": by_policy,
        }
        right = {name: (answers[name] >= 0.5) == gpu for name in FIGURES}
        curve.append(
            {"rows": count, "trials": int(part["trial"].sum())}
            | {name: float(right[name][new].mean()) for name in FIGURES}
            | {f"{name}_seen": float(right[name][~new].mean()) for name in FIGURES}
        )
    return curve


def replayed(
    frame: pd.DataFrame, p_gpu: np.ndarray, tasks: np.ndarray, count: int, share: float, chance: np.random.Generator
) -> pd.DataFrame:
    """The rows of a log, in order: pair (its index in the frame), gpu, propensity, trial, cpu_factor, gpu_factor.

    p_gpu: by which the policy decides.  tasks: the pairs that are drawn from.  The factors are the noise of the run on
    either device. All devices idle, and a trial is charged with all its true seconds.
    """
    import pandas as pd

    seconds = {device: frame[f"{device}_seconds"].to_numpy(float) for device in DEVICES}
    pairs = chance.choice(tasks, count)
    budget = TrialBudget()
    choices = []
    for pair in pairs.tolist():
        chosen = _choice(
            float(p_gpu[pair]), {device: float(seconds[device][pair]) for device in DEVICES}, budget, chance
        )
        budget.spend(chosen.trial)
        budget.granted_s += share * float(seconds[chosen.device][pair])
        choices.append(chosen)
    factors = np.exp(chance.normal(0.0, NOISE, (count, 2)))
    return pd.DataFrame({
        "pair": pairs,
        "gpu": [one.device == "gpu" for one in choices],
        "propensity": [one.propensity for one in choices],
        "trial": [one.trial.expected_s > 0 for one in choices],
        "cpu_factor": factors[:, 0],
        "gpu_factor": factors[:, 1],
    })  # fmt: skip


def _choice(p_gpu: float, seconds: dict[Device, float], budget: TrialBudget, chance: np.random.Generator) -> Choice:
    choice = Choice("gpu" if p_gpu >= 0.5 else "cpu", (), "selector", p_gpu)
    other = OTHER_DEVICE[choice.device]
    costs = TrialSeconds(seconds[other], seconds[other])
    trial = Trial(other, (), threshold_probability(choice, other), seconds[other], costs)
    return drawn(choice, trial, f"tries_{other}", budget, chance.random)


def one_sided(frame: pd.DataFrame, log: pd.DataFrame) -> pd.DataFrame:
    """The pairs of a log's rows, with NaN for the runs that no row shows."""
    return _runs(frame, log, {"cpu": ~log["gpu"], "gpu": log["gpu"]})


def both_sides(frame: pd.DataFrame, log: pd.DataFrame) -> pd.DataFrame:
    """The pairs of a log's rows, as if each task had run on both devices."""
    return _runs(frame, log, {device: log["gpu"].notna() for device in DEVICES})


def _runs(frame: pd.DataFrame, log: pd.DataFrame, made: dict[Device, pd.Series]) -> pd.DataFrame:
    """The pairs of some rows, a device's seconds and joules the means of the runs that were made on it."""
    found = frame.iloc[np.unique(log["pair"])].copy()
    for device in DEVICES:
        rows = log[made[device]]
        weight = (1.0 / rows["propensity"]).clip(upper=LARGEST_WEIGHT)
        runs = rows.assign(weight=weight).groupby("pair")[[f"{device}_factor", "weight"]].mean().reindex(found.index)
        for figure in ("seconds", "joules"):
            found[f"{device}_{figure}"] = found[f"{device}_{figure}"] * runs[f"{device}_factor"]
        found[f"{device}_weight"] = runs["weight"].fillna(1.0)
    found["energy_ratio"] = found["gpu_joules"] / found["cpu_joules"]
    return found.reset_index(drop=True)


def by_history(frame: pd.DataFrame, log: pd.DataFrame, rule: JointThreshold) -> np.ndarray:
    """(n,): P(GPU) of each pair by the log's runs of this very task; 0 where they are not of both devices."""
    found = np.zeros(len(frame))
    for pair, runs in log.groupby("pair"):
        sides = [Timings(), Timings()]
        row = frame.iloc[int(pair)]
        for gpu, *factors in zip(runs["gpu"], runs["cpu_factor"], runs["gpu_factor"], strict=True):
            device, factor = DEVICES[int(gpu)], factors[int(gpu)]
            sides[int(gpu)] = sides[int(gpu)].add(row[f"{device}_seconds"] * factor, row[f"{device}_joules"] * factor)
        known = posterior(Estimate(0.0), *sides, rule) if all(side.runs for side in sides) else None
        found[int(pair)] = 0.0 if known is None else known.p_gpu
    return found


def _p_gpu(trees: ResidualTrees | None, frame: pd.DataFrame, rule: JointThreshold) -> np.ndarray:
    """(n,): P(GPU) of each pair by trees; of too few rows for trees, the CPU."""
    return np.zeros(len(frame)) if trees is None else FittedModels(None, trees, 1.0).p_gpu(frame, rule)


def print_curve(
    rows: Annotated[str, typer.Option(help="Lengths of the log, N,...")] = ",".join(map(str, ROWS)),
    seed: Annotated[int, typer.Option(help="Of the tasks drawn, of trials and of noise.")] = 0,
    json: Annotated[Path | None, typer.Option(help="Write the figures to this file.")] = None,
) -> None:
    """Prints accuracy against rows of a log without pairs, beside the same rows with both sides."""
    curve = accuracy_curve([int(one) for one in rows.split(",")], seed=seed)
    names = [name for name in curve[0] if name not in ("rows", "trials")]
    typer.echo(" ".join(["  rows", "trials", *(f"{name:>12}" for name in names)]))
    for one in curve:
        figures = (f"{100 * one[name]:12.1f}" for name in names)
        typer.echo(" ".join([f"{one['rows']:6}", f"{one['trials']:6}", *figures]))
    if json is not None:
        json.write_text(dumps({"curve": curve}, indent=1) + "\n")


if __name__ == "__main__":
    typer.run(print_curve)
