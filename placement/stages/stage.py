"""Stage: what a stage runs and under which options. Plain data that travels to every process of the stage."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from placement.spec.task import Device
from placement.submission.options import PlacementOptions, own_options

TO_WORKERS = (
    "num_cpus", "num_gpus", "memory", "resources", "label_selector", "fallback_strategy", "accelerator_type",
    "runtime_env", "scheduling_strategy",
)  # fmt: skip
"""The options of map_batches that hold for the workers which compute; the others are Ray Data's own."""


@dataclass(frozen=True)
class Stage:
    """A stage of one dataset.

    id: names its broker.  name, key: of the user's function, in the log and in the history of runs.
    rows: largest batch on each device; None: as it comes.  writable: a batch may be changed in place.
    most: the user's bound on the workers of each device; None: what the cluster has.
    """

    id: str
    name: str
    key: str
    function: Callable[..., Any]
    options: PlacementOptions
    ray_options: Mapping[str, Any]
    fn_args: tuple[Any, ...] = ()
    fn_kwargs: Mapping[str, Any] = field(default_factory=dict)
    constructor_args: tuple[Any, ...] = ()
    constructor_kwargs: Mapping[str, Any] = field(default_factory=dict)
    rows: Mapping[Device, int | None] = field(default_factory=dict)
    writable: bool = False
    least: Mapping[Device, int] = field(default_factory=dict)
    most: Mapping[Device, int] = field(default_factory=dict)

    def worker_options(self, device: Device) -> dict[str, Any]:
        """Ray's options of a worker. Without num_cpus of its own a worker on a GPU takes no CPU, as in Ray Data."""
        own = own_options(self.options, self.ray_options, device)
        options = {name: own[name] for name in TO_WORKERS if own.get(name) is not None}
        options.setdefault("num_cpus", 1 if device == "cpu" else 0)
        options.pop("num_gpus", None)  # num_gpus=0 would hold a CPU for the worker's whole life
        if device == "gpu":
            options["num_gpus"] = own.get("num_gpus") or 1
        return options

    def need(self, device: Device) -> dict[str, float]:
        """The resources that a worker takes."""
        options = self.worker_options(device)
        named = {"CPU": options["num_cpus"], "GPU": options.get("num_gpus", 0), **options.get("resources", {})}
        return {name: float(amount) for name, amount in named.items() if amount}
