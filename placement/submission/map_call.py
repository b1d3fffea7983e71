"""mapped(): a call of `.map`, from its arguments to the Results that fit the function's policy."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import ray

from placement.errors import OptionError
from placement.ray_internals.connection import auto_init_ray
from placement.submission.map_results import IN_FLIGHT_PER_CPU, Results

LEAST_IN_FLIGHT = 256
"""Tasks in flight unless told otherwise: short tasks must be waiting where a CPU gets free, or it idles for the time of
a submission (some 50 us) and of a result's way back (some 1 ms)."""


def mapped(
    function: Any, iterable: Iterable[Any], ordered: bool, in_flight: int | None, return_exceptions: bool
) -> Results:
    """Results of function.remote(item) for each item. Raises OptionError on an in_flight that is no positive number."""
    if in_flight is not None and not (isinstance(in_flight, int) and in_flight > 0):
        raise OptionError(f"map: in_flight={in_flight!r} must be a positive number of tasks, or left out.")
    auto_init_ray()
    if in_flight is None:
        in_flight = max(LEAST_IN_FLIGHT, int(IN_FLIGHT_PER_CPU * ray.cluster_resources().get("CPU", 0)))
    # Imported here, for it brings in all that a decision takes.
    from placement.submission.map_by_gain import ResultsByGain, device_queues_of

    queues = device_queues_of(function)
    if queues is not None:
        return ResultsByGain(queues, function.remote, iter(iterable), ordered, in_flight, return_exceptions)
    return Results(function.remote, iter(iterable), ordered, in_flight, return_exceptions)
