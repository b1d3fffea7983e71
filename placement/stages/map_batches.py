"""map_batches: a stage of a Ray Data dataset on CPUs and GPUs at once, each batch where it ends sooner at its price.

    placement.map_batches(dataset, Model, spec=spec, batch_size={"cpu": 16, "gpu": 64}).write_parquet(...)

Where a cluster leaves nothing to choose the stage is Ray Data's own map_batches, with a row of the log for each batch.
"""

from __future__ import annotations

import functools
import inspect
import math
import uuid
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

from ray.data import ActorPoolStrategy

from placement.errors import OptionError
from placement.ray_internals.connection import auto_init_ray
from placement.ray_internals.way import places
from placement.spec.task import DEVICES, Device, TaskSpec
from placement.stages.batch_queue import LEAST_FLOW
from placement.stages.requests import Requests
from placement.stages.stage import TO_WORKERS, Stage
from placement.stages.stage_stats import with_stats
from placement.submission.captured_function import CapturedFunction
from placement.submission.options import PlacementOptions, own_options, split

if TYPE_CHECKING:
    from ray.data import Dataset

FEWEST, MOST = 6, 32
"""Batches that a router process has under way: more than `MOST` take one more router, and so do more than `FEWEST`
where a node has none, since Ray Data gives a batch to a router on the batch's own node."""
IN_FLIGHT: Mapping[Device, int] = {"cpu": 1, "gpu": 4}
"""Batches under way for each worker that the cluster could run, beside `LEAST_FLOW`: one at work; for a GPU one on its
way and two that wait. Each is a block in the object store, for which Ray Data holds the stages before this one back:
there are no more than show that the stage is in full flow."""
REFUSED = {
    "compute": "bound the workers by concurrency=, for each device where it differs",
    "ray_remote_args_fn": "give cpu_options= and gpu_options=",
    "max_calls": "workers of a stage are actors",
}

Concurrency = int | tuple[int, int]


def map_batches(
    dataset: Dataset,
    fn: Callable[..., Any],
    *,
    spec: TaskSpec | Callable[..., TaskSpec | None] | None = None,
    batch_size: int | Mapping[Device, int] | None = None,
    batch_format: str | None = "default",
    zero_copy_batch: bool = True,
    concurrency: Concurrency | Mapping[Device, Concurrency] | None = None,
    fn_args: Iterable[Any] | None = None,
    fn_kwargs: Mapping[str, Any] | None = None,
    fn_constructor_args: Iterable[Any] | None = None,
    fn_constructor_kwargs: Mapping[str, Any] | None = None,
    **options: Any,
) -> Dataset:
    """A Dataset with one more stage, whose batches run on CPUs and GPUs at once. Nothing runs until it is consumed.

    fn: a function of a batch, or a class whose instances are called with one, as Ray Data's map_batches takes them. It
    asks `placement.current_device()` where it runs.  spec: a TaskSpec of a batch, or a function of the batch and of
    fn_args and fn_kwargs that gives one (None: nothing known).
    batch_size: rows of a batch, or of each device's: {"cpu": 16, "gpu": 64}.
    concurrency: most workers, or (least, most), of each device or by device; None: what the cluster has.
    options: those of placed_remote (device=, policy=, strict=, side_effects=, cpu_options=, gpu_options=) and those of
    Ray Data's map_batches.
    Raises OptionError on what is not valid; SpecError, while it runs, on a spec that makes no sense for a batch.
    """
    ours, rays = split(options)
    stage = _stage(
        fn, PlacementOptions(spec=TaskSpec() if spec is None else spec).with_(ours), rays,
        batch_size, concurrency, (fn_args, fn_kwargs, fn_constructor_args, fn_constructor_kwargs),
        writable=not zero_copy_batch,
    )  # fmt: skip
    auto_init_ray()
    plain = {name: value for name, value in rays.items() if name not in TO_WORKERS}
    common = {"batch_size": _largest(stage), "batch_format": batch_format, **plain}
    requests = Requests(stage) if places() else None
    choices = requests.choices() if requests is not None else ()
    if len(choices) == len(DEVICES) and requests is not None:
        return _placed(dataset, stage, *pool_of_routers(requests.slots(), requests.nodes()), common)
    device: Device = choices[0] if choices else _device_by_options(stage)
    common["zero_copy_batch"] = zero_copy_batch
    return _plain(dataset, stage, device, requests, common)


def pool_of_routers(slots: Mapping[Device, float], nodes: int) -> tuple[int, int]:
    """(routers, batches that each has under way). slots: workers that the cluster could run at once, by device."""
    in_flight = LEAST_FLOW + math.ceil(sum(IN_FLIGHT[device] * workers for device, workers in slots.items()))
    routers = max(math.ceil(in_flight / MOST), min(nodes, in_flight // FEWEST), 1)
    return routers, math.ceil(in_flight / routers)


def _placed(dataset: Dataset, stage: Stage, routers: int, threads: int, common: dict[str, Any]) -> Dataset:
    """The stage of routers, and of the workers that they call."""
    from placement.stages.router import Router

    name = getattr(stage.function, "__name__", type(stage.function).__name__)
    made = dataset.map_batches(
        type(name, (Router,), {"__module__": Router.__module__}),
        fn_constructor_args=(stage,),
        zero_copy_batch=True,
        num_cpus=0,
        **_threaded(routers, threads),
        **common,
    )
    return with_stats(made, stage)


def _threaded(actors: int, threads: int) -> dict[str, Any]:
    """The options of a pool of actors that are called by several threads at once; Ray 2.60 has a name for it."""
    pool: dict[str, Any] = {
        "size": actors, "max_tasks_in_flight_per_actor": threads, "enable_true_multi_threading": True,
    }  # fmt: skip
    if "max_concurrent_calls_per_actor" in inspect.signature(ActorPoolStrategy).parameters:
        return {"compute": ActorPoolStrategy(**pool, max_concurrent_calls_per_actor=threads)}
    return {"compute": ActorPoolStrategy(**pool), "max_concurrency": threads}


def _plain(
    dataset: Dataset, stage: Stage, device: Device, requests: Requests | None, common: dict[str, Any]
) -> Dataset:
    """Ray Data's own stage on the one device that there is."""
    from placement.stages.single_device import with_records

    function = stage.function if requests is None else with_records(stage, device, requests.only_decision(device))
    given: dict[str, Any] = {"fn_args": stage.fn_args or None, "fn_kwargs": dict(stage.fn_kwargs) or None}
    if inspect.isclass(stage.function):
        given["fn_constructor_args"] = stage.constructor_args or None
        given["fn_constructor_kwargs"] = dict(stage.constructor_kwargs) or None
        least = stage.least.get(device) or 1
        given["compute"] = ActorPoolStrategy(min_size=least, max_size=stage.most.get(device))
    elif device in stage.most:
        from ray.data import TaskPoolStrategy

        given["compute"] = TaskPoolStrategy(stage.most[device])
    own = own_options(stage.options, stage.ray_options, device)
    resources = {name: own[name] for name in TO_WORKERS if own.get(name) is not None}
    if device == "gpu":
        resources["num_gpus"] = own.get("num_gpus") or 1
    return dataset.map_batches(function, **given, **common, **resources)


def _stage(
    fn: Any, options: PlacementOptions, rays: dict[str, Any], batch_size: Any, concurrency: Any,
    arguments: tuple[Any, Any, Any, Any], *, writable: bool,
) -> Stage:  # fmt: skip
    """The stage of these arguments. Raises OptionError that names every fault at once."""
    faults = [f"{name}= cannot be given: {why}" for name, why in REFUSED.items() if rays.get(name) is not None]
    if options.gpus is not None:
        faults.append(
            "gpus= cannot be given: the workers of a stage hold what they have; give num_gpus in gpu_options="
        )
    if not callable(fn):
        faults.append(f"fn={fn!r} must be a function or a class whose instances can be called")
    rows, bad_rows = _by_device("batch_size", batch_size, _whole)
    bounds, bad_bounds = _by_device("concurrency", concurrency, _bound)
    fn_args, fn_kwargs, args, kwargs = arguments
    if (args or kwargs) and not inspect.isclass(fn):
        faults.append("fn_constructor_args and fn_constructor_kwargs need a class for fn")
    call = fn.__call__ if inspect.isclass(fn) else fn
    if inspect.iscoroutinefunction(call) or inspect.isasyncgenfunction(call):
        faults.append(f"{fn!r} is asynchronous; a batch on its device is computed by an ordinary function")
    faults += bad_rows + bad_bounds
    if faults:
        raise OptionError("placement.map_batches: " + "; ".join(faults) + ".")
    function = fn.func if isinstance(fn, functools.partial) else fn
    home = function if hasattr(function, "__qualname__") else type(function)
    name = f"{home.__module__}.{home.__qualname__}"
    captured = CapturedFunction(fn)
    return Stage(
        uuid.uuid4().hex, name, captured.history_key(name, captured.code_hash()), fn, options,
        {key: value for key, value in rays.items() if key in TO_WORKERS},
        tuple(fn_args or ()), dict(fn_kwargs or {}), tuple(args or ()), dict(kwargs or {}), rows, writable,
        {d: bound[0] for d, bound in bounds.items()}, {d: bound[1] for d, bound in bounds.items()},
    )  # fmt: skip


def _by_device(name: str, given: Any, read: Callable[[Any], Any]) -> tuple[dict[Device, Any], list[str]]:
    """(the value for each device, the faults in words). Devices that are left out have none."""
    found: dict[Device, Any] = {}
    values = given if isinstance(given, Mapping) else dict.fromkeys(DEVICES, given)
    faults = [f"{name} knows the devices {DEVICES}, not {d!r}" for d in values if d not in DEVICES]
    for device in DEVICES:
        value = values.get(device)
        if value is None:
            continue
        try:
            found[device] = read(value)
        except (TypeError, ValueError) as error:
            faults.append(f"{name}={value!r} {error}")
    return found, list(dict.fromkeys(faults))


def _whole(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise ValueError("must be a whole number of at least 1")
    return value


def _bound(value: Any) -> tuple[int, int]:
    least, most = value if isinstance(value, tuple) else (0, value)
    if _whole(most) < least or least < 0:
        raise ValueError("must be the most workers, or (least, most) of them")
    return least, most


def _largest(stage: Stage) -> int | None:
    return max((rows for rows in stage.rows.values() if rows is not None), default=None)


def _device_by_options(stage: Stage) -> Device:
    """The device of a cluster of which nothing is known."""
    return "gpu" if stage.options.device == "gpu" or stage.ray_options.get("num_gpus") else "cpu"
