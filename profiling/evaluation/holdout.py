"""Held-out evaluation: every learner on pairs whose device, work, family or source is held out of its fit.

    workload   new work, in FOLDS parts, on known devices
    gpu, cpu   a new device, on new work: the work is cut in two halves, the learners fit
               on one half on the other devices, are tested on the other half on the device held out, and the reverse
    config     likewise, a CPU and a GPU together
    family     one family of work at a time
    source     one source of measurements at a time, its devices and its work
    random     pairs at random, in FOLDS parts: flatters, for the same work on the same device stands on both sides

On a device that nobody has seen there are no timings to learn its speed from; what a node's agent probes is not in
published tables. There, at most `probes` tasks timed on the held-out device stand for its probes: drawn by the seed
from the work learned from, given to all learners as further rows, and never tested. Test work is in no learner's train
rows, on any device: its CPU time would hold the noise of the label.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from placement.errors import LogError, OptionError
from placement.spec.joint_threshold import JointThreshold
from profiling.evaluation.holdout_scores import Answers, LearnerScore, score
from profiling.learning.history_replay import NOISE, RUNS, after_runs
from profiling.learning.learner import Fold
from profiling.learning.registry import SELECTORS, learners

if TYPE_CHECKING:
    import pandas as pd

COLUMNS: dict[str, str] = {
    "gpu": "gpu_device", "cpu": "cpu_device", "config": "config", "workload": "workload", "family": "family",
    "source": "source_name", "random": "config",
}  # fmt: skip
"""Kind of part that is held out -> the column that names the parts."""

FOLDS = 5
SEEDS = (0, 1, 2)
PROBES = 8
WORK = "workload"
WITH_PROBES = ("gpu", "cpu", "config", "source")


@dataclass(frozen=True)
class Result:
    """The result of `holdout`. rows: pairs tested, each once a seed.  learners: by name, weakest first.

    history: of the default with the runs that `profiling.learning.history_replay` replays; no learner, for it knows
    tasks by name, and shown apart. None where the default was left out.
    """

    holdout: str
    sources: tuple[str, ...] | None
    rows: int
    rows_gpu: int
    seeds: tuple[int, ...]
    probes: int
    rule: JointThreshold
    learners: dict[str, LearnerScore]
    history: LearnerScore | None = None

    @property
    def default(self) -> str:
        """The learner of SELECTORS that is right more often: the default by this evidence."""
        return better(self.learners)

    def to_json(self) -> dict[str, Any]:
        """Plain data for `--json`."""
        return {
            "holdout": self.holdout,
            "sources": list(self.sources) if self.sources else None,
            "rows": self.rows,
            "rows_gpu": self.rows_gpu,
            "seeds": list(self.seeds),
            "probes": self.probes,
            "thresholds": asdict(self.rule),
            "default": self.default,
            "learners": {name: asdict(one) | {"worst_device": one.worst} for name, one in self.learners.items()},
            "history": None if self.history is None else {"prior": self.default, "runs": RUNS, "noise": NOISE,
                                                          **asdict(self.history)},
        }  # fmt: skip


def better(scores: Mapping[str, LearnerScore]) -> str:
    """The learner of SELECTORS with the higher accuracy; among equals, with the lower Brier score."""
    asked = [name for name in SELECTORS if name in scores]
    return max(asked or scores, key=lambda name: (scores[name].accuracy, -scores[name].brier))


def holdout(
    frame: pd.DataFrame, by: str, sources: Sequence[str] | None = None, seeds: Sequence[int] = SEEDS,
    probes: int = PROBES, rule: JointThreshold | None = None, only: Sequence[str] | None = None,
) -> Result:  # fmt: skip
    """Evaluates every learner on `frame` (see `profiling.dataset.frames`) with parts of the column `by` names held out.

    sources: only pairs of these.  seeds: of the parts and probes; scores are means over them.  only: these learners.
    Raises OptionError for an unknown `by` or source, LogError where nothing can be held out.
    """
    frame = chosen_sources(frame, sources)
    each = [list(folds(frame, by, seed, probes)) for seed in seeds]
    if not all(each):
        raise LogError(
            f"cannot hold out a {by}: the log's {len(frame)} pairs have {frame[COLUMNS[by]].nunique()} of them, and "
            "training and testing both need some. Choose another --holdout, or sweep more."
        )
    asked, rule = learners(), rule or JointThreshold()
    scores, pooled = {}, {}
    for name in only or asked:
        answers = asked[name].held_out(frame, [fold for some in each for fold in some], rule)
        pooled[name] = list(_pooled(frame, by, each, answers))
        scores[name] = score(frame, pooled[name])
    seen = [
        replace(one, p_gpu=after_runs(frame.iloc[one.rows], one.p_gpu, rule, seed))
        for seed, one in zip(seeds, pooled[better(scores)], strict=True)
    ]
    tested = np.concatenate([fold.test for fold in each[0]])
    gpu = int((frame["label"].to_numpy()[tested] == "gpu").sum())
    return Result(
        by, tuple(sources) if sources else None, len(tested), gpu, tuple(seeds),
        probes if by in WITH_PROBES else 0, rule, scores, score(frame, seen),
    )  # fmt: skip


def chosen_sources(frame: pd.DataFrame, sources: Sequence[str] | None) -> pd.DataFrame:
    """The pairs of those sources; OptionError lists the valid ones."""
    if not sources:
        return frame.reset_index(drop=True)
    known = sorted(frame["source_name"].dropna().unique())
    if missing := sorted(set(sources) - set(known)):
        raise OptionError(f"--source {','.join(missing)}: the log has no such source; it has {', '.join(known)}.")
    return frame[frame["source_name"].isin(list(sources))].reset_index(drop=True)


def _pooled(
    frame: pd.DataFrame, by: str, each: Sequence[Sequence[Fold]], answers: Sequence[np.ndarray]
) -> Iterator[Answers]:
    """The answers of each seed, all its folds together."""
    place = iter(answers)
    for some in each:
        rows = np.concatenate([fold.test for fold in some])
        names = [np.full(len(fold.test), fold.name, object) for fold in some]
        # Parts of workloads have no name worth printing: there, and at random, scores are listed by config.
        told = frame["config"].fillna("unknown").to_numpy(object)[rows] if by in ("workload", "random") else None
        yield Answers(
            rows, np.concatenate([next(place) for _ in some]), np.concatenate(names) if told is None else told
        )


def folds(frame: pd.DataFrame, by: str, seed: int = 0, probes: int = PROBES) -> Iterator[Fold]:
    """The folds of one seed. Train and test share no row and, `random` aside, no piece of work."""
    if by not in COLUMNS:
        raise OptionError(f"--holdout {by!r} is none; valid are {', '.join(COLUMNS)}.")
    chance = np.random.default_rng(seed)
    work = _codes(frame, WORK)
    if by == "random":
        parts = chance.permutation(len(frame)) % FOLDS
    elif by == "workload":
        parts = _parts(work, FOLDS, chance)
    else:
        parts = _codes(frame, COLUMNS[by])
    if len(np.unique(parts)) < 2:
        return
    halves = _parts(work, 2, chance) if by in ("gpu", "cpu", "config") else None
    for number in np.unique(parts):
        held = parts == number
        name = str(frame[COLUMNS[by]].fillna("unknown").iloc[int(np.argmax(held))])
        for fold in _within(name, held, halves, work, by, chance, probes):
            if len(fold.test) and len(fold.train):
                yield fold._replace(seed=seed)


def _within(
    name: str, held: np.ndarray, halves: np.ndarray | None, work: np.ndarray, by: str, chance: np.random.Generator,
    probes: int,
) -> Iterator[Fold]:  # fmt: skip
    """The folds of one thing held out."""
    if halves is not None:
        for half in (0, 1):
            learned = halves == half
            timed = _drawn(work[held & learned], probes, chance)
            train = learned & (~held | np.isin(work, timed))
            yield Fold(name, np.flatnonzero(train), np.flatnonzero(held & ~learned))
        return
    timed = _drawn(work[held], probes, chance) if by in WITH_PROBES else np.array([], int)
    probed = held & np.isin(work, timed)
    test = held & ~probed
    shared = np.isin(work, work[test]) & (by != "random")  # the same work elsewhere: out of the fit too
    yield Fold(name, np.flatnonzero((~held & ~shared) | probed), np.flatnonzero(test))


def _drawn(work: np.ndarray, probes: int, chance: np.random.Generator) -> np.ndarray:
    """At most so many different pieces of work, and never all."""
    there = np.unique(work)
    return chance.choice(there, min(probes, max(0, len(there) - 1)), replace=False)


def _codes(frame: pd.DataFrame, column: str) -> np.ndarray:
    """A number for each different value, in the order of first appearance: names themselves play no part."""
    return frame[column].astype(object).where(frame[column].notna(), "unknown").factorize()[0]


def _parts(codes: np.ndarray, count: int, chance: np.random.Generator) -> np.ndarray:
    """The part of each row, rows of one code together; parts hold equally many codes."""
    kinds = int(codes.max()) + 1
    return (chance.permutation(kinds) % count)[codes]
