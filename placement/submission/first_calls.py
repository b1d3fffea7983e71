"""Calls on an event loop before this process has a snapshot of the cluster: sent at once, and never waited for.

An async actor, a Serve replica or a notebook's loop stands still while `.remote()` waits. So until the first snapshot
has come, which is fetched by a thread, a call is decided by the user's own options alone: the device they name, else
the CPU. Nothing of what a decision takes is imported for it. A CPU task sees no GPU even then.
"""

from __future__ import annotations

import logging
import sys
import threading
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from placement.messages.packing import pack
from placement.ray_internals.connection import connection
from placement.submission.event_loop import on_event_loop
from placement.submission.options import PlacementOptions, own_options
from placement.submission.spec_reader import SpecReader
from placement.worker.device import holds_gpu

if TYPE_CHECKING:
    from placement.spec.task import Device
    from placement.submission.variants import Way

REASON = POLICY = "no_snapshot_yet"
CLIENT = "placement.submission.snapshot_client"

logger = logging.getLogger("placement")
_fetching = threading.Lock()


def must_not_wait(fetch: Callable[[], Any]) -> bool:
    """This thread runs an event loop, and the process has no snapshot yet; a thread fetches it from now on.

    fetch: waits for the snapshot, and imports what that takes.
    """
    if not on_event_loop():
        return False
    client: Any = sys.modules.get(CLIENT)
    if client is not None and hasattr(client, "caller") and client.caller().snapshot is not None:
        return False
    if connection.connected and _fetching.acquire(blocking=False):
        threading.Thread(target=_fetch, args=(fetch,), name="placement-snapshot", daemon=True).start()
    return True


def _fetch(fetch: Callable[[], Any]) -> None:
    try:
        fetch()
    except Exception as error:  # the next call fetches again
        logger.debug("no snapshot yet: %s", error)
    finally:
        _fetching.release()


def device_by_options(options: PlacementOptions, ray_options: Mapping[str, Any]) -> Device:
    """The device that the user's options name; the CPU where they leave it open."""
    if options.device is not None:
        return "gpu" if options.device == "gpu" else "cpu"
    gpus = ray_options.get("num_gpus")
    if gpus:
        return "gpu"
    if gpus is not None or options.policy != "gpu_only":
        return "cpu"
    # A placement group that captures children may have no GPU, and a caller that holds one does not release it.
    return "cpu" if connection.should_capture_child_tasks_in_placement_group or holds_gpu() else "gpu"


def options_by_device(options: PlacementOptions, ray_options: Mapping[str, Any], device: Device) -> dict[str, Any]:
    """Ray's options of a task or actor on a device."""
    given = own_options(options, ray_options, device)
    if device == "gpu":
        return {**given, "num_gpus": given.get("num_gpus") or 1}
    return {name: value for name, value in given.items() if name != "num_gpus"}


class FirstCalls:
    """Submits the first calls of a placed function under one set of options."""

    def __init__(self, function: Any, options: PlacementOptions, ray_options: Mapping[str, Any]) -> None:
        self._function = function
        self._spec = SpecReader(function.name, options, function.check_arguments)
        self._options = options
        self._device = device_by_options(options, ray_options)
        self._ray_options = options_by_device(options, ray_options, self._device)
        self._task_name = ray_options.get("name")
        self._submit: Callable[..., Any] | None = None

    def submit(self, args: Any, kwargs: Any) -> Any:
        """An ObjectRef like any other. Raises SpecError, or the TypeError of wrong arguments."""
        function = self._function
        key = function.captured.history_key(function.name, function.code_hash(), self._task_name)
        if self._submit is None:
            way: Way = "cpu" if self._device == "cpu" else "gpu_once"
            self._submit = self._function.variant(way).submitter(self._ray_options)
        task = self._spec.task(args, kwargs)
        cpus = self._ray_options.get("num_cpus")
        gpus = float(self._ray_options["num_gpus"]) if self._device == "gpu" else 0.0
        decision = (
            self._device, None, (), 1.0 if cpus is None else float(cpus), gpus, REASON, POLICY, REASON, 0, None, 1.0,
        )  # fmt: skip
        repeatable = not (self._options.strict or self._options.side_effects)
        return self._submit(args, kwargs, pack(task, decision, repeatable, key))
