"""ClassOptions: a placed class with options, the same by the fast way and by Ray's public API."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from placement.submission.options import PlacementOptions

if TYPE_CHECKING:
    from placement.scheduling.explanation import Explanation


class ClassOptions:
    """The base of what `.options()` of a placed class returns."""

    def __init__(self, placed: Any, options: PlacementOptions, ray_options: dict[str, Any]) -> None:
        self._placed = placed
        self._options = options
        self._ray_options = ray_options

    def explain(self, /, *args: Any, **kwargs: Any) -> Explanation:
        """The decision for these constructor arguments as it would be now; every candidate, and why (not) taken."""
        found: Explanation = self._placed._placer(self._options, self._ray_options).explain(args, kwargs)
        return found
