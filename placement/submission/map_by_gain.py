"""A map over both devices: of the items read so far GPUs take those that gain most, CPUs those that gain least.

At most `in_flight` items are read and not yet handed back, sent or not. Each device has a little more in flight than it
runs at once; what is not sent yet is ordered anew with each item read. With results in order an item is not passed over
for ever: once it is the oldest and half of the window was read after it, it is sent next.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import ray

from placement.scheduling.decision_table import DecisionTable
from placement.scheduling.policies.balanced import Balanced
from placement.scheduling.policies.map_order import DeviceOfMap, Gain, Order
from placement.scheduling.snapshot import Snapshot
from placement.spec.task import DEVICES, Device
from placement.submission.map_results import NO_MORE, Failure, Results, _refs, _values
from placement.submission.ray_constraints import caller_context
from placement.submission.snapshot_client import caller

FEED_S = 0.5  # of work kept waiting for each slot, so that it does not idle for the time of a submission
LEAST_FEED = 2  # tasks for each slot


class DeviceQueues:
    """The two devices' queues of one function's tasks. slots: tasks that each device runs at once."""

    def __init__(self, handle: Any) -> None:
        self._placer, self._context = handle._placer, caller_context()
        self._placer.key = handle.history_key()
        caller().current().history.mark_current(self._placer.key)
        self._snapshot: Snapshot | None = None
        self._policies = {device: DeviceOfMap(device=device) for device in DEVICES}
        self.remote = {
            device: type(handle)(handle._function, replace(handle._options, policy=policy), handle._ray_options).remote
            for device, policy in self._policies.items()
        }
        self.slots: dict[Device, float] = {}
        self._table()

    def gain(self, item: Any) -> Gain | None:
        """The gain of a GPU on an item; None where it must be decided by itself. Raises SpecError as .remote does."""
        task = self._placer.task((item,), {})
        table = self._table()
        found = table.candidates(task)
        if found.shares is not None:  # as many tasks of this size as run on the GPUs at once
            kinds = (kind for kind in table.snapshot.inventory.kinds if kind.spec.config in found.shares)
            self.slots["gpu"] = sum(k.count * k.grants_gpus / found.shares[k.spec.config].gpus for k in kinds)
        gain: Gain | None = self._policies["gpu"].gain(task, found)
        return gain

    def _table(self) -> DecisionTable:
        """The decisions on the cluster as it is now; the slots are counted anew where it has changed."""
        snapshot = caller().current()
        table = self._placer.table_for(snapshot, self._context)
        limits, can = table.limits, table.candidate_table.can
        if snapshot is not self._snapshot:
            self._snapshot = snapshot
            self.slots |= {"cpu": 0.0, "gpu": 0.0}
            for kind in snapshot.inventory.kinds:
                if can[kind.spec.config, "cpu"]:
                    self.slots["cpu"] += kind.count * kind.grants_cpus / max(limits.cpus["cpu"], 0.01)
                if can[kind.spec.config, "gpu"]:
                    self.slots["gpu"] += kind.count * kind.grants_gpus / max(limits.gpus, 0.01)
        return table


def device_queues_of(function: Any) -> DeviceQueues | None:
    """The DeviceQueues of a placed function; None where there is no choice of device, or a policy without queues."""
    placer = getattr(function, "_placer", None)
    if placer is None or function._options.device is not None:
        return None
    if not isinstance(placer._policy or caller().current().policy, Balanced):
        return None
    queues = DeviceQueues(function)
    return queues if all(queues.slots.values()) else None


class _Entry:
    """An item that was read. sent: its refs or a Failure, once `is_sent`."""

    __slots__ = ("device", "done", "is_sent", "item", "sent")

    def __init__(self, item: Any) -> None:
        self.item = item
        self.sent: Any = None
        self.device: Device | None = None
        self.is_sent = self.done = False

    def ended(self, sent: Any) -> None:
        """It has been sent, and nothing need be waited for."""
        self.sent, self.item, self.is_sent, self.done = sent, None, True, True


class ResultsByGain(Results):
    """The results of a map whose tasks are ordered by what a GPU gains on them."""

    def __init__(
        self, queues: DeviceQueues, remote: Any, items: Iterator[Any], ordered: bool, in_flight: int, exceptions: bool
    ) -> None:
        super().__init__(remote, items, ordered, in_flight, exceptions)
        self._queues = queues
        self._order = Order(queues.slots)
        self._read_so_far = self._handed_back = 0
        self._entries: dict[int, _Entry] = {}  # by position; those handed back are gone
        self._on: dict[Device | None, int] = {"cpu": 0, "gpu": 0, None: 0}
        self._mean: dict[Device, float] = {"cpu": math.inf, "gpu": math.inf}

    def _holds(self) -> bool:
        return bool(self._entries)

    def _send(self) -> None:
        """Reads items while the window has room, and sends what the devices have room for."""
        self._read()
        self._send_oldest()
        for device in DEVICES:
            while self._on[device] < self._room(device):
                position = self._order.take(device)
                if position is None:
                    break
                self._submit(position, device)
        if len(self._order) and not any(self._on.values()):
            self._send_next()  # nothing is under way that could make room

    def _read(self) -> None:
        while self._items is not None and len(self._entries) + len(self._ready) < self._in_flight:
            item = self._next_item()
            if item is NO_MORE:
                return
            entry = _Entry(item)
            position, self._read_so_far = self._read_so_far, self._read_so_far + 1
            self._entries[position] = entry
            try:
                gain = self._queues.gain(entry.item)
            except Exception as error:  # of this item alone: its spec, its arguments
                entry.ended(Failure(error))
                continue
            if gain is None:
                self._submit(position, None)
            else:
                self._order.add(position, gain)
                self._learn(gain)

    def _learn(self, gain: Gain) -> None:
        sides: tuple[tuple[Device, float | None], ...] = (("cpu", gain.cpu), ("gpu", gain.gpu))
        for device, seconds in sides:
            if seconds is not None:
                mean = self._mean[device]
                self._mean[device] = seconds if mean == math.inf else mean + 0.1 * (seconds - mean)

    def _room(self, device: Device) -> int:
        feed = max(LEAST_FEED, math.ceil(FEED_S / max(self._mean[device], 1e-4)))
        return max(1, int(self._queues.slots[device] * feed)) if self._queues.slots[device] else 0

    def _send_oldest(self) -> None:
        """In order, the oldest item holds all results up: it goes first once half of the window was read after it."""
        late = 2 * (len(self._entries) + len(self._ready)) >= self._in_flight or self._items is None
        if self._ordered and late and self._entries and not self._entries[self._handed_back].is_sent:
            self._send_next()

    def _send_next(self) -> None:
        position = next(p for p, entry in self._entries.items() if not entry.is_sent)
        self._submit(position, self._order.remove(position).side)

    def _submit(self, position: int, device: Device | None) -> None:
        entry = self._entries[position]
        try:
            refs = (self._remote if device is None else self._queues.remote[device])(entry.item)
        except Exception as error:
            entry.ended(Failure(error))
            return
        if self._streams(refs):
            self._entries.clear()
            self._order = Order(self._queues.slots)
            return
        if not _refs(refs):
            entry.ended(refs)
            return
        entry.sent, entry.item, entry.device, entry.is_sent = refs, None, device, True
        self._on[device] += 1

    def _collect(self) -> None:
        """Waits until there is a result to hand back, and sends more whenever a device has room again."""
        while self._entries:
            taken = self._take()
            if taken:
                self._ready.extend(_values(taken))
                return
            under_way = [entry for entry in self._entries.values() if entry.is_sent and not entry.done]
            refs = [ref for entry in under_way for ref in _refs(entry.sent)]
            done: set[Any] = set()
            if refs:
                ray.wait(refs, num_returns=1, fetch_local=False)
                done = set(ray.wait(refs, num_returns=len(refs), timeout=0, fetch_local=False)[0])
            for entry in under_way:
                if all(ref in done for ref in _refs(entry.sent)):
                    entry.done = True
                    self._on[entry.device] -= 1
            self._send()

    def _take(self) -> list[Any]:
        """The submissions that may be handed back now: from the oldest on, or all that are done."""
        if not self._ordered:
            found = [position for position, entry in self._entries.items() if entry.done]
            return [self._entries.pop(position).sent for position in found]
        taken = []
        while (entry := self._entries.get(self._handed_back)) is not None and entry.done:
            taken.append(self._entries.pop(self._handed_back).sent)
            self._handed_back += 1
        return taken

    def close(self) -> None:
        """Cancels what is in flight and reads no more items."""
        self._pending = deque(e.sent for e in self._entries.values() if e.is_sent and not e.done)
        self._entries.clear()
        super().close()
