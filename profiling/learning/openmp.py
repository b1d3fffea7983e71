"""One OpenMP thread for a fit of trees: these are small, and their threads wait for each other at every split.

An OpenMP thread that waits spins. Where another process has its core, a fit of a second takes minutes: with two threads
beside two busy processes on two cores, 3,000 rows and 100 trees took 107 s, with one thread 0.9 s.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
R = TypeVar("R")


def one_openmp_thread(fit: Callable[P, R]) -> Callable[P, R]:
    """The function, run with one OpenMP thread in this process."""

    @functools.wraps(fit)
    def limited(*args: P.args, **kwargs: P.kwargs) -> R:
        import sklearn.ensemble  # noqa: F401  # loads the OpenMP library that is limited
        from threadpoolctl import threadpool_limits

        with threadpool_limits(1, user_api="openmp"):
            return fit(*args, **kwargs)

    return limited
