"""The load of the cluster: polls of Ray once or twice a second, and the tasks that callers report as sent since.

One call to Ray's control store returns all nodes and all pending requests, whoever submitted them (1 to 6 ms on two
nodes with 5,000 tasks waiting). While no caller asks for the load, nothing is polled.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

import ray

from placement.control_plane.cluster_load import HEARTBEAT_S, LabelTest, NodeUse, Poll, Waiting, loads
from placement.control_plane.revision import Revision
from placement.messages.control import LoadReport
from placement.ray_internals.cluster import free_resources_by_node, is_dead, is_one_of, resource_state
from placement.scheduling.candidates import Queue
from placement.scheduling.queue_model import LAG_S, Backlog, Load
from placement.spec.node import Inventory
from placement.spec.task import Device

POLL_EVERY_S = 0.5
POLL_SHARE = 0.05  # of the actor's time at most, on a cluster so large that a poll takes long
MEAN_OVER = 100  # tasks over which the mean duration is taken
WANTED_S = 30.0  # polling goes on for so long after the last request


def poll() -> Poll:
    """The nodes with their free resources and the pending requests, as Ray's control store has them now."""
    state = resource_state()
    if state is None:
        return _poll_of_nodes()
    nodes = {
        node.node_id.hex(): NodeUse(node.total_resources, node.available_resources, node.labels)
        for node in state.node_states
        if not is_dead(node)
    }
    waiting = tuple(
        Waiting(
            one.request.resources_bundle, one.count,
            tuple(_tests(selector) for selector in one.request.label_selectors),
        )
        for one in state.pending_resource_requests
    )  # fmt: skip
    return Poll(nodes, waiting)


def _poll_of_nodes() -> Poll:
    """The nodes alone, where this Ray does not list pending requests; the tasks that callers report are counted."""
    free = free_resources_by_node() or {}
    return Poll(
        {
            node["NodeID"]: NodeUse(
                node["Resources"], free.get(node["NodeID"], node["Resources"]), node.get("Labels") or {}
            )
            for node in ray.nodes()
            if node["Alive"]
        }
    )


def _tests(selector: Any) -> tuple[LabelTest, ...]:
    return tuple((c.label_key, frozenset(c.label_values), is_one_of(c)) for c in selector.label_constraints)


class LoadMonitor:
    """The cluster's queues as the placement actor knows them. Coroutines of one event loop call it, without locks.

    first: the number of the first report.  poll_ray: the poll of Ray, which runs in a thread.
    """

    def __init__(
        self, first: int, poll_ray: Callable[[], Poll] = poll, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.backlog = Backlog(clock, lag_s=LAG_S)
        self.revision = Revision(first)
        self._poll = poll_ray
        self._clock = clock
        self._wanted = asyncio.Event()
        self._published: dict[Queue, Load] = {}
        self._published_at = self._requested_at = -float("inf")

    async def step(self, inventory: Inventory) -> None:
        """One poll, where a caller wants the load; returns when the next poll is due."""
        took = 0.0
        if self._clock() - self._requested_at < WANTED_S:
            start = self._clock()
            polled = await asyncio.to_thread(self._poll)
            took = self._clock() - start
            self.backlog.merge(loads(inventory, polled), start)
            await self._publish(start)
        self._wanted.clear()
        with suppress(TimeoutError):
            await asyncio.wait_for(self._wanted.wait(), max(POLL_EVERY_S, took / POLL_SHARE))

    async def _publish(self, now: float) -> None:
        """Wakes the callers that wait, where the load has changed or the last report is HEARTBEAT_S old."""
        current = self.backlog.loads()
        if now - self._published_at < HEARTBEAT_S and _alike(current, self._published):
            return
        self._published, self._published_at = current, now
        self.revision.advance()
        await self.revision.publish()

    async def report(self, known: int, wait_s: float) -> LoadReport:
        """The load, once there is a report after number `known`, or after `wait_s`."""
        if self._clock() - self._requested_at > WANTED_S:
            self._wanted.set()  # nothing was polled of late: the next poll is due now
            known = self.revision.number
        self._requested_at = self._clock()
        await self.revision.wait_beyond(known, wait_s)
        self._requested_at = self._clock()
        age = self.backlog.age_s
        return LoadReport(
            self.revision.number, float("inf") if age is None else age, self.backlog.loads(),
            dict(self.backlog.typical),
        )  # fmt: skip

    def count_ended(self, device: Device, seconds: float, tasks: int) -> None:
        """Counts tasks that took `seconds` of the clock in all; the mean duration follows the last hundred or so."""
        if not tasks:
            return
        mean, known = seconds / tasks, self.backlog.typical.get(device)
        share = 1.0 if known is None else min(1.0, tasks / MEAN_OVER)
        self.backlog.typical = {
            **self.backlog.typical,
            device: mean if known is None else known + share * (mean - known),
        }

    def count_sent(self, sent: Mapping[Queue, tuple[float, float]]) -> None:
        """Counts the tasks that a caller has sent: queue -> (slots, slot-seconds).

        Tasks of no CPU (num_cpus=0) take no slot, so that nothing waits for them.
        """
        for (config, device), (slots, seconds) in sent.items():
            if slots > 0:
                self.backlog.enqueue(config, device, seconds / slots, slots)


def _alike(one: Mapping[Queue, Load], other: Mapping[Queue, Load]) -> bool:
    return one.keys() == other.keys() and all(
        load.slots == other[queue].slots and abs(load.tasks - other[queue].tasks) < 0.5 for queue, load in one.items()
    )
