"""Which pairs to measure next: those that the selector is least sure of and that come most often.

Uncertainty sampling (Lewis and Gale 1994), weighted by traffic, in rounds that double what is measured. Within a round
further pairs of the same piece of work count less and less: one of them tells most of what the others would. Before
there is enough to fit a selector to, pairs are drawn by traffic alone.
"""

from __future__ import annotations

from collections import Counter

import numpy as np

REPEATED = 0.5
"""The factor by which each further pair of the same piece of work counts less in a round."""
FIRST_ROUND = 40
"""Pairs of the first round, as many as a fit takes; each later round is as large as all before it together."""


def unsureness(p_gpu: np.ndarray) -> np.ndarray:
    """(n,): 1 where either device is as likely the better one, 0 where one is certain. Unknown (NaN) counts as 1."""
    return 1.0 - np.abs(2.0 * np.nan_to_num(p_gpu, nan=0.5) - 1.0)


def next_pairs(value: np.ndarray, work: np.ndarray, count: int) -> np.ndarray:
    """The indices of the pairs of the next round, at most `count`, most valuable first.

    value: (n,) unsureness times traffic.  work: (n,) codes; pairs of the same piece of work have the same.
    """
    met: Counter[int] = Counter()
    discounted = np.empty(len(value))
    for at in np.argsort(-value, kind="stable"):
        discounted[at] = value[at] * REPEATED ** met[int(work[at])]
        met[int(work[at])] += 1
    return np.argsort(-discounted, kind="stable")[:count]


def drawn_pairs(traffic: np.ndarray, count: int, seed: int = 0) -> np.ndarray:
    """The indices of at most `count` pairs, drawn without replacement in proportion to their traffic, (n,)."""
    noise = np.random.default_rng(seed).gumbel(size=len(traffic))
    return np.argsort(-(np.log(traffic) + noise), kind="stable")[:count]


def round_size(measured: int) -> int:
    """Pairs of the next round, after so many."""
    return max(FIRST_ROUND, measured)
