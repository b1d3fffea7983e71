"""Confidence sequences: bounds on a mean that hold at all times at once, so that looking all the time is sound.

The predictable plug-in empirical-Bernstein sequence of Waudby-Smith and Ramdas (Estimating means of bounded random
variables by betting, JRSS B 2024, Theorem 2), one-sided. It stands on the inequality of Howard, Ramdas, McAuliffe and
Sekhon (Annals of Statistics 2021, Theorem 4), which does not ask that the mean stays the same: what is bounded is the
mean of the values' conditional means, weighted by bets that are fixed before each value is seen.
"""

from __future__ import annotations

import math

LARGEST_GUESS = 0.25  # of the mean, by which a value is centred
SCALE = 1.0 + LARGEST_GUESS  # the most by which a value between -1 and 1 lies below its guess
LARGEST_BET = 0.75
FIRST_VARIANCE = 0.25  # taken for the variance before there are values


class ConfidenceSequence:
    """One-sided bounds of the mean of values between -1 and 1.

    alpha: the probability with which `lower` ever exceeds the mean; `upper` errs with the same.
    """

    __slots__ = ("_bets", "_bound", "_penalty", "_square", "_weighted", "count", "total")

    def __init__(self, alpha: float) -> None:
        self._bound = math.log(1.0 / alpha)
        self.count = 0
        self.total = 0.0
        self._square = FIRST_VARIANCE
        self._bets = self._weighted = self._penalty = 0.0

    def add(self, value: float) -> None:
        """Takes one value. Raises ValueError where it is not from -1 to 1."""
        if not -1.0 <= value <= 1.0:
            raise ValueError(f"value {value!r} must be from -1 to 1.")
        guess = min(max(self.mean, -LARGEST_GUESS), LARGEST_GUESS)  # of the values before this one alone
        bet = self._bet()
        self._bets += bet
        self._weighted += bet * value
        self._penalty += ((value - guess) / SCALE) ** 2 * (-math.log1p(-bet) - bet)
        self._square += (value - guess) ** 2
        self.total += value
        self.count += 1

    def _bet(self) -> float:
        """The next value's bet, in units of 1 / SCALE: by the variance of the values before it."""
        n = self.count + 1
        variance = self._square / n / SCALE**2
        return min(LARGEST_BET, math.sqrt(2.0 * self._bound / (variance * n * math.log1p(n))))

    @property
    def mean(self) -> float:
        """The mean of the values; 0.0 before the first."""
        return self.total / self.count if self.count else 0.0

    @property
    def lower(self) -> float:
        """The lower bound of the mean; -infinity before the first value."""
        return (self._weighted - self._width()) / self._bets if self.count else -math.inf

    @property
    def upper(self) -> float:
        """The upper bound of the mean; infinity before the first value."""
        return (self._weighted + self._width()) / self._bets if self.count else math.inf

    def _width(self) -> float:
        return SCALE * (self._bound + self._penalty)
