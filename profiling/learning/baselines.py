"""Baselines: the majority class, a threshold on FLOPs, logistic regression, boosted trees."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from placement.spec.features import FEATURES
from profiling.learning.learner import Fold
from profiling.learning.openmp import one_openmp_thread

if TYPE_CHECKING:
    import pandas as pd

    from placement.spec.joint_threshold import JointThreshold

NUMBERS = (*FEATURES, "kernels")


def numbers(frame: pd.DataFrame) -> np.ndarray:
    """(n, 10): logs of NUMBERS; NaN where unknown or not positive."""
    values = frame[list(NUMBERS)].to_numpy(float)
    return np.log(np.where(values > 0, values, np.nan))


def one_hot(frame: pd.DataFrame, names: Sequence[str]) -> np.ndarray:
    """(n, len(names)) one-hot frameworks; all zero for one that is unknown or not in `names`."""
    given = frame["framework"].to_numpy(object)
    return np.stack([given == name for name in names], axis=1).astype(float) if names else np.zeros((len(frame), 0))


class _EachFold(ABC):
    """Fits fold by fold; where the train rows have one class, that class is the answer."""

    name: str

    def held_out(self, frame: pd.DataFrame, folds: Sequence[Fold], rule: JointThreshold) -> list[np.ndarray]:
        """P(GPU) of each fold's test rows; see `Learner`."""
        del rule  # unused: the labels were made by it
        answers = []
        for fold in folds:
            train, test = frame.iloc[fold.train], frame.iloc[fold.test]
            gpu = (train["label"] == "gpu").to_numpy()
            one_class = gpu.all() or not gpu.any()
            answers.append(np.full(len(test), gpu.mean()) if one_class else self.p_gpu(train, gpu, test))
        return answers

    @abstractmethod
    def p_gpu(self, train: pd.DataFrame, gpu: np.ndarray, test: pd.DataFrame) -> np.ndarray:
        """P(GPU) of the test rows; `gpu` holds the train rows' labels, both of them."""


class Majority(_EachFold):
    """The share of GPU labels, for every task."""

    name = "majority"

    def p_gpu(self, train: pd.DataFrame, gpu: np.ndarray, test: pd.DataFrame) -> np.ndarray:
        """The share of GPU labels, for every row."""
        del train
        return np.full(len(test), gpu.mean())


class FlopsThreshold(_EachFold):
    """GPU above a threshold of FLOPs, the most accurate on the train rows. Unknown FLOPs: the majority."""

    name = "flops_rule"

    def p_gpu(self, train: pd.DataFrame, gpu: np.ndarray, test: pd.DataFrame) -> np.ndarray:
        """The share of GPU labels on that side of the threshold."""
        flops = train["flops"].to_numpy(float)
        order = np.argsort(np.where(np.isfinite(flops), flops, -1.0), kind="stable")
        values, labels = flops[order], gpu[order]
        # Right with the cut before row i: CPU labels below it and GPU labels from it on.
        right = np.r_[0, np.cumsum(~labels)] + np.r_[np.cumsum(labels[::-1])[::-1], 0]
        between = np.r_[True, values[1:] > values[:-1], True]
        cut = int(np.argmax(np.where(between, right, -1)))
        threshold = values[cut] if cut < len(values) else np.inf
        above = flops >= threshold
        shares = [float(gpu[side].mean()) if side.any() else float(gpu.mean()) for side in (~above, above)]
        asked = test["flops"].to_numpy(float)
        return np.where(np.isfinite(asked), np.where(asked >= threshold, shares[1], shares[0]), gpu.mean())


class Logistic(_EachFold):
    """Logistic regression on the logs, standardised; unknown values count as the mean and are marked by a column."""

    name = "logistic"

    def p_gpu(self, train: pd.DataFrame, gpu: np.ndarray, test: pd.DataFrame) -> np.ndarray:
        """P(GPU) by scikit-learn's LogisticRegression with its default regularisation."""
        from sklearn.linear_model import LogisticRegression

        seen, asked = numbers(train), numbers(test)
        known = np.isfinite(seen).any(axis=0)
        mean = np.nanmean(seen[:, known], axis=0)
        std = np.nanstd(seen[:, known], axis=0)
        names = sorted(train["framework"].dropna().unique())

        def inputs(logs: np.ndarray, frame: pd.DataFrame) -> np.ndarray:
            scaled = (logs[:, known] - mean) / np.where(std > 0, std, 1.0)
            return np.hstack([np.nan_to_num(scaled), np.isnan(scaled), one_hot(frame, names)])

        model = LogisticRegression(max_iter=1000).fit(inputs(seen, train), gpu)
        return model.predict_proba(inputs(asked, test))[:, 1]


class BoostedTreesBaseline(_EachFold):
    """Histogram gradient boosting, scikit-learn's defaults."""

    name = "boosted_trees"

    @one_openmp_thread
    def p_gpu(self, train: pd.DataFrame, gpu: np.ndarray, test: pd.DataFrame) -> np.ndarray:
        """P(GPU) by scikit-learn's trees, which handle unknown values."""
        from sklearn.ensemble import HistGradientBoostingClassifier

        names = sorted(train["framework"].dropna().unique())
        seen, asked = (np.hstack([numbers(frame), one_hot(frame, names)]) for frame in (train, test))
        known: Any = np.isfinite(seen).any(axis=0)  # a column without any value cannot be binned
        model = HistGradientBoostingClassifier(random_state=0).fit(seen[:, known], gpu)
        return model.predict_proba(asked[:, known])[:, 1]
