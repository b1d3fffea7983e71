"""The actor's side of the load: polls Ray once or twice a second, adds what callers say they sent, and tells callers.

One call to Ray's control store tells of all nodes and of all that waits, whoever sent it (1 to 6 ms on two nodes with
5,000 tasks waiting). Nobody asks, nothing is polled.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

import ray
from ray.autoscaler.v2.sdk import get_cluster_resource_state
from ray.core.generated import autoscaler_pb2, common_pb2

from placement.control_plane.cluster_load import HEARTBEAT_S, LabelTest, NodeUse, Poll, Waiting, loads
from placement.messages.control import LoadReport
from placement.scheduling.candidates import Queue
from placement.scheduling.queue_model import LAG_S, Backlog, Load
from placement.spec.node import Inventory
from placement.spec.task import Device

POLL_EVERY_S = 0.5
POLL_SHARE = 0.05  # of the actor's time at most, on a cluster so large that a poll takes long
DEAD: int = autoscaler_pb2.NodeStatus.Value("DEAD")  # type: ignore[attr-defined]
ONE_OF: int = common_pb2.LabelSelectorOperator.Value("LABEL_OPERATOR_IN")  # type: ignore[attr-defined]
REMEMBERED = 100  # tasks by which the typical one is told
WANTED_S = 30.0  # after the last call that asked, polling goes on for so long


def poll() -> Poll:
    """What Ray tells now: nodes with what is free, and all that waits for one."""
    worker: Any = ray._private.worker.global_worker
    state = get_cluster_resource_state(worker.gcs_client)
    nodes = {
        node.node_id.hex(): NodeUse(node.total_resources, node.available_resources, node.labels)
        for node in state.node_states
        if node.status != DEAD
    }
    waiting = tuple(
        Waiting(
            one.request.resources_bundle, one.count,
            tuple(_tests(selector) for selector in one.request.label_selectors),
        )
        for one in state.pending_resource_requests
    )  # fmt: skip
    return Poll(nodes, waiting)


def _tests(selector: Any) -> tuple[LabelTest, ...]:
    return tuple((c.label_key, frozenset(c.label_values), c.operator == ONE_OF) for c in selector.label_constraints)


class Queues:
    """The load of the cluster as the actor knows it. Coroutines of one event loop, so that state needs no locks."""

    def __init__(self, first: int, ask: Callable[[], Poll] = poll, clock: Callable[[], float] = time.monotonic) -> None:
        self.backlog = Backlog(clock, lag_s=LAG_S)
        self.number = first
        self._ask = ask
        self._clock = clock
        self._news = asyncio.Condition()
        self._wanted = asyncio.Event()
        self._told: dict[Queue, Load] = {}
        self._told_at = self._asked_at = -float("inf")

    async def step(self, inventory: Inventory) -> None:
        """One poll, where somebody wants it; returns when the next is due."""
        took = 0.0
        if self._clock() - self._asked_at < WANTED_S:
            start = self._clock()
            polled = await asyncio.to_thread(self._ask)
            took = self._clock() - start
            self.backlog.merge(loads(inventory, polled), start)
            await self._tell(start)
        self._wanted.clear()
        with suppress(TimeoutError):
            await asyncio.wait_for(self._wanted.wait(), max(POLL_EVERY_S, took / POLL_SHARE))

    async def _tell(self, now: float) -> None:
        """Wakes those who wait where the load has changed, or nobody heard of it for long."""
        current = self.backlog.loads()
        if now - self._told_at < HEARTBEAT_S and _alike(current, self._told):
            return
        self._told, self._told_at = current, now
        self.number += 1
        async with self._news:
            self._news.notify_all()

    async def told(self, known: int, wait_s: float) -> LoadReport:
        """The load, once there is news since number `known` or the time is over."""
        if self._clock() - self._asked_at > WANTED_S:
            self._wanted.set()  # nothing was polled lately: now, not when the next is due
            known = self.number
        self._asked_at = self._clock()
        with suppress(TimeoutError):
            async with asyncio.timeout(wait_s), self._news:
                await self._news.wait_for(lambda: self.number > known)
        self._asked_at = self._clock()
        age = self.backlog.age_s
        return LoadReport(
            self.number, float("inf") if age is None else age, self.backlog.loads(), dict(self.backlog.typical)
        )

    def ran(self, device: Device, seconds: float, tasks: int) -> None:
        """So many tasks took so long in all, by the clock; the typical task follows the last hundred or so."""
        mean, known = seconds / tasks, self.backlog.typical.get(device)
        share = 1.0 if known is None else min(1.0, tasks / REMEMBERED)
        self.backlog.typical = {
            **self.backlog.typical,
            device: mean if known is None else known + share * (mean - known),
        }

    def sent(self, told: Mapping[Queue, tuple[float, float]]) -> None:
        """Counts what a caller sent: queue -> (slots, slot-seconds)."""
        for (config, device), (slots, seconds) in told.items():
            self.backlog.enqueue(config, device, seconds / slots, slots)


def _alike(one: Mapping[Queue, Load], other: Mapping[Queue, Load]) -> bool:
    return one.keys() == other.keys() and all(
        load.slots == other[queue].slots and abs(load.tasks - other[queue].tasks) < 0.5 for queue, load in one.items()
    )
