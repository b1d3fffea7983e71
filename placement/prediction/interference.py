"""Interference: how much longer a task takes on a GPU that others keep busy as well. Pure.

    slowdown = 1 + contention * others + queueing * max(0, own + others - 1)

own, others: the share of the time that the task, and its neighbours together, keep the GPU busy where each is alone.
`contention` is what caches, memory bandwidth and switching cost while there is room for all; `queueing` is what it
costs that the GPU has no more than all of its time to give: 1 where it shares that time out evenly.

ASSUMED is a cautious guess: one network measured on an H200 was slowed less (docs, Evaluation). `fitted` moves it to
runs with neighbours.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

from placement.errors import SelectorError
from placement.prediction.selector_checks import REFIT, array_of, mapping_of

STRENGTH = 10.0
"""Runs that the guess counts as, in the least squares."""


@dataclass(frozen=True, slots=True)
class Interference:
    """The slowdown of a task by its neighbours on a GPU. runs: with neighbours, from which it was fitted."""

    contention: float = 0.2
    queueing: float = 1.0
    runs: int = 0

    def slowdown(self, own: float, others: float) -> float:
        """Seconds beside neighbours over seconds alone, at least 1."""
        return 1.0 + self.contention * others + self.queueing * over(own, others)

    def to_dict(self) -> dict[str, Any] | None:
        """The content of a selector file under "interference"; None where nothing was learned."""
        return asdict(self) if self.runs else None


ASSUMED = Interference()


def over(own: float, others: float) -> float:
    """The part of the busy shares that a GPU has no time for; 0 where they fit. own, others: as in the module."""
    return max(0.0, own + others - 1.0)


def interference_of(data: Any) -> Interference:
    """The model of a selector file's "interference" (None: assumed); SelectorError names the first fault."""
    if data is None:
        return ASSUMED
    model = mapping_of({"interference": data}, "interference")
    contention, queueing, runs = (
        float(array_of(model.get(name), (), f"interference.{name}")) for name in ("contention", "queueing", "runs")
    )
    if min(contention, queueing, runs) < 0:
        raise SelectorError(f"selector file: the numbers of interference must be 0 or more. {REFIT}")
    return Interference(contention, queueing, int(runs))


def fitted(runs: Iterable[tuple[float, float, float]], prior: Interference = ASSUMED) -> Interference:
    """The model of runs with neighbours: (own, others, slowdown) each. Least squares, drawn to the prior.

    Coefficients below 0, of neighbours that would make a task faster, are noise and become 0.
    """
    rows = [(others, over(own, others), slowdown - 1.0) for own, others, slowdown in runs]
    aa, ab, bb = STRENGTH, 0.0, STRENGTH
    ay, by = STRENGTH * prior.contention, STRENGTH * prior.queueing
    for a, b, y in rows:
        aa, ab, bb = aa + a * a, ab + a * b, bb + b * b
        ay, by = ay + a * y, by + b * y
    determinant = aa * bb - ab * ab  # above 0: the prior's part alone makes it so
    contention, queueing = (bb * ay - ab * by) / determinant, (aa * by - ab * ay) / determinant
    return Interference(max(0.0, contention), max(0.0, queueing), len(rows))
