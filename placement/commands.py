"""The commands of a user: start, swap, rollback, flush, status, inventory, read_log, profile."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

from placement.control_plane.client import START_TIMEOUT_S, call
from placement.errors import ControlPlaneError, MissingExtraError, OptionError, SelectorError
from placement.messages.control import NODES_WAIT_S, Settings
from placement.prediction.selector import Selector
from placement.prediction.selector_file import parse_selector, selector_of
from placement.scheduling.candidates import Policy
from placement.scheduling.energy_price import PriceSchedule, data_of_price, joule_price
from placement.scheduling.policies.registry import policy_of
from placement.spec.autoscaler_types import checked, is_complete
from placement.spec.node import Inventory

QUIET_S = 0.85  # an outbox sends twice a second at least; the records of tasks that finished before have then arrived

LEARNER = "profiling.learning_loop.learner_actor"
NOT_PLACED = "not-placed"
"""The version of the selector in service, where this Ray lacks what placing takes and none is."""


def start(
    *,
    log: str | os.PathLike[str] | None = None,
    selector: str | os.PathLike[str] | Mapping[str, Any] | Selector | None = None,
    policy: str | Policy | None = None,
    emulator: str | Callable[..., Any] | None = None,
    compression: float | None = None,
    keep_days: float | None = None,
    node_types: Mapping[str, Any] | str | os.PathLike[str] | None = None,
    exploration: float | None = None,
    learn: bool | None = None,
    seconds_per_joule: float | str | os.PathLike[str] | PriceSchedule | None = None,
    timeout_s: float = START_TIMEOUT_S,
) -> str:
    """Sets the settings of the whole cluster, and starts the placement actor where there is none.

    It waits two seconds at most for nodes that are being probed; they serve meanwhile, and `wait_for_probes` waits
    longer.

    Each setting that is None stays as it was; what follows says what holds at first.

    log: where production records go: a path (on the head) or any pyarrow filesystem URI. At first: no log.
    selector: a selector file. At first: the shipped one.
    policy: a policy's name or an object with choose(). At first: `balanced`.
    emulator: for emulated nodes only: "module:function" or that function, which takes (TaskSpec, NodeSpec, device,
        cpus, and of a task that shares its GPU how busy the others keep it) and gives an Emulated.
    compression: tasks on emulated nodes take their emulated seconds divided by this. At first: they do not wait.
    keep_days: days for which production rows of the log are kept (default 30; math.inf: for ever); rows of sweeps are
        always kept. Small files of the log are merged now and then.
    node_types: types that the autoscaler may start, as in a cluster file's `available_node_types`, or that file: a task
        that only one of them could serve waits for it. At first: tasks are placed on nodes that run.
    exploration: share of the cluster's device seconds, from 0 to 1, that runs may take which try the other device
        because it could be the better one (see Concepts). At first: tasks of which nothing is known try a GPU, for
        0.01 at most, and with `learn=True` others too. strict=True explores nothing.
    learn: True starts a learner, which watches the log, refits the selector and swaps it where that is surely better
        (see Learn from production); it takes a log and the extra `profiling`. False ends it. At first: none runs.
    seconds_per_joule: the price of a joule, of policies that price joules (`balanced`): a number, or a schedule of a
        tariff, of carbon intensity or of a cap in watts: its CSV file, or a PriceSchedule. At first: 1/500.
    Returns the version of the selector in service; NOT_PLACED on a Ray on which nothing can be placed. Raises
    SelectorError, OptionError, MissingExtraError or ControlPlaneError.
    """
    from placement.ray_internals.way import places

    if policy is not None:
        policy_of(policy)
    _check_numbers(compression, keep_days, exploration)
    price = None if seconds_per_joule is None else data_of_price(joule_price(seconds_per_joule))
    types = None if node_types is None else read_node_types(node_types)
    complete = None if types is None else is_complete(types)
    data = None if selector is None else read_selector(selector).to_dict()
    settings = Settings(
        None if log is None else log_uri(log), policy, importable(emulator), compression, keep_days,
        None if types is None else checked(types), complete, exploration, learn, price,
    )  # fmt: skip
    if learn is not None:
        profiling_module(LEARNER, "learn=")
    if not places():
        return NOT_PLACED
    if learn and settings.log is None and call("status", timeout_s=timeout_s)["log"] is None:
        raise OptionError(
            "learn=True needs a log to learn from; give log= too: a path on the head, or s3://bucket/log."
        )
    call("configure", settings, data, timeout_s=timeout_s)
    _set_learner(learn, log is not None, timeout_s)
    _wait_for_nodes(timeout_s)
    _refresh_caller()
    return str(call("ready", timeout_s=timeout_s))


def _check_numbers(compression: float | None, keep_days: float | None, exploration: float | None) -> None:
    """Raises OptionError on a number that `start` does not take."""
    if compression is not None and not compression > 0:
        raise OptionError(f"compression={compression!r} must be a positive number: emulated seconds are divided by it.")
    if keep_days is not None and not keep_days > 0:
        raise OptionError(f"keep_days={keep_days!r} must be a positive number of days; math.inf keeps rows for ever.")
    if exploration is not None and not 0 <= exploration <= 1:
        raise OptionError(
            f"exploration={exploration!r} must be a share of the device seconds, from 0 to 1; 0.01 is usual."
        )


def _wait_for_nodes(timeout_s: float) -> None:
    """Waits for nodes that are being probed, NODES_WAIT_S at most."""
    deadline = time.monotonic() + min(NODES_WAIT_S, timeout_s)
    while call("update", None, 0.0, timeout_s=timeout_s).pending_nodes and time.monotonic() < deadline:
        time.sleep(0.1)


def wait_for_probes(timeout_s: float = START_TIMEOUT_S) -> int:
    """Waits until the first probe of every node has ended, and returns the number of those that still run."""
    deadline = time.monotonic() + timeout_s
    while True:
        pending = int(call("status", timeout_s=timeout_s)["pending_nodes"])
        if not pending or time.monotonic() > deadline:
            return pending
        time.sleep(0.1)


def swap(selector: str | os.PathLike[str] | Mapping[str, Any] | Selector) -> str:
    """Puts a selector in service, without a restart; its version.

    A broken file raises SelectorError, and the selector in service stays.
    """
    version = str(call("swap", read_selector(selector).to_dict()))
    _refresh_caller()
    return version


def rollback() -> str:
    """Puts the selector before this one back in service; its version."""
    version = str(call("rollback"))
    _refresh_caller()
    return version


def flush(timeout_s: float = 10.0) -> dict[str, int]:
    """Waits until the records of all tasks that have finished are in the log; the counts.

    Raises ControlPlaneError where that takes longer.
    """
    from placement.ray_internals.way import places

    if not places():
        return {}
    deadline = time.monotonic() + timeout_s
    before = -1
    while True:
        # Each time: a worker whose batch is being written sends no other one until it is.
        counts: dict[str, int] = call("flush", timeout_s=max(0.1, deadline - time.monotonic()))
        if counts["rows_received"] == before and not call("status", timeout_s=timeout_s)["settling_s"]:
            return counts
        before = counts["rows_received"]
        if time.monotonic() + QUIET_S > deadline:
            raise ControlPlaneError(f"flush: records were still coming after {timeout_s:g} s; give a longer timeout_s.")
        time.sleep(QUIET_S)


def status() -> dict[str, Any]:
    """Counts, versions and nodes of the control plane."""
    return dict(call("status"))


def inventory() -> Inventory:
    """The kinds of node of the cluster."""
    found: Inventory = call("update", None, 0.0).inventory
    return found


def read_log(uri: str | os.PathLike[str]) -> Any:
    """The log as a pyarrow Table of one fixed schema; corrupt and foreign files are named, skipped and counted."""
    from placement.log import read_log as read

    return read(uri)


def profile(
    placed_function: Any,
    inputs: Iterable[Any],
    *,
    log: str | os.PathLike[str],
    configs: Sequence[str] | None = None,
    cpus: Sequence[float] = (1, 4),
    budget_s: float | None = None,
    cell_budget_s: float = 60.0,
    star: bool = False,
) -> dict[str, Any]:
    """Measures a placed function on every kind of node and device of the cluster, as a sweep measures presets.

    Each input is run alone on a node, warmed up, repeated and metered. What the function returns is thrown away. Rows
    of source "sweep", with the user's spec, go to the log as they come; killed and called again it goes on where it
    stopped. An input that fails on a device is a row with its error, which the next call measures again. All runs of a
    cell are given the same input: a function that changes it in place finds it changed.

    inputs: each the one argument of a call, as in `.map`; put into Ray's object store.  star: each a tuple of the
    arguments of a call.  log: a path or URI.  configs: names of kinds of node; None: all.  cpus: granted to a call.
    budget_s: seconds of all; what it leaves is left to the next call, and what tells most is measured first.
    cell_budget_s: seconds of one input on one device; a run that takes longer is stopped and logged as censored.
    Returns counts: cells done, found done, failed and left, rows written, seconds. Raises OptionError where the
    function is not placed, has side effects or is pinned to a device; MissingExtraError without the extra `profiling`.
    """
    module = profiling_module("profiling.active_learning.profile_function", "placement.profile")
    done = module.profile(
        placed_function, inputs, log=log, configs=configs, cpus=cpus, budget_s=budget_s,
        protocol=module.Protocol(budget_s=cell_budget_s), star=star,
    )  # fmt: skip
    return dict(done.to_dict())


def profiling_module(name: str, what: str) -> Any:
    """A module of the profiling package, imported when it is called for. what: names the call in the error.

    Raises MissingExtraError where a library of the extra is not installed.
    """
    try:
        return import_module(name)
    except ModuleNotFoundError as error:
        raise MissingExtraError.of_profiling(what, error.name) from error


def _set_learner(learn: bool | None, new_log: bool, timeout_s: float) -> None:
    """Starts or ends the learner; one that runs begins anew on a new log."""
    if learn is None and not new_log:
        return
    status = call("status", timeout_s=timeout_s)
    if learn is False:
        profiling_module(LEARNER, "learn=").stop_learner()
    elif status["learn"]:
        profiling_module(LEARNER, "learn=").start_learner(status["log"])


def read_selector(selector: str | os.PathLike[str] | Mapping[str, Any] | Selector) -> Selector:
    """A Selector from a file (a path, or a URI that pyarrow knows), from a file's content, or as it is.

    Raises SelectorError.
    """
    if isinstance(selector, str | os.PathLike):
        text = os.fspath(selector)
        try:
            return parse_selector(_read_file(text), text)
        except OSError as error:
            raise SelectorError(
                f"{text}: cannot be read ({error.strerror or error}). Write one with: placement refit LOG -o FILE."
            ) from None
    return selector_of(selector) if isinstance(selector, Mapping) else selector


def _read_file(path: str) -> bytes:
    if "://" not in path:
        return Path(path).read_bytes()
    from placement.log.whole_file import read_whole  # pyarrow, which a local file does without

    return read_whole(path)


def read_node_types(node_types: Mapping[str, Any] | str | os.PathLike[str]) -> Mapping[str, Any]:
    """The content of a cluster file, or the types as they are; checked. Raises OptionError."""
    types: Any = node_types
    if isinstance(node_types, str | os.PathLike):
        import yaml

        try:
            types = yaml.safe_load(Path(node_types).expanduser().read_text())
        except (OSError, yaml.YAMLError) as error:
            raise OptionError(f"node_types={os.fspath(node_types)!r} cannot be read: {error}.") from None
    checked(types)
    return dict(types)


def importable(function: str | Callable[..., Any] | None) -> str | None:
    """The name of a function as "module:name", which outlives its process and is not pickled. Raises OptionError."""
    if function is None or isinstance(function, str):
        return function
    name = f"{function.__module__}:{function.__qualname__}"
    if function.__module__ == "__main__" or "<" in name:
        raise OptionError(f"emulator={name}: must be a module's own function, which workers can import.")
    return name


def log_uri(log: str | os.PathLike[str]) -> str:
    """The URI of a log: a local path made absolute, so that it means the same in the actor; a URI as it is."""
    text = os.fspath(log)
    return text if "://" in text else str(Path(text).absolute())


def _refresh_caller() -> None:
    from placement.submission.snapshot_client import caller

    caller().renew()
