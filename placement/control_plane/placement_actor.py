"""The PlacementActor: one for the cluster. It owns the inventory, the selector in service, the history and the log.

It decides nothing that stands between `.remote()` and Ray: callers decide alone from the snapshots it hands out. It
restarts for ever; its settings lie in Ray's key-value store and its records in the log, which outlive it.

    node_registry     the nodes and the probes of them
    configuration     the settings and the selectors in service, which outlive the actor
    history_changes   the changes of the history since a revision
    history_recovery  the history restored from the log
    load_monitor      the cluster's queues
    learning          the learner's events, and drifts of the history
"""

from __future__ import annotations

import asyncio
import logging
import os
import time
from collections.abc import Awaitable, Callable
from typing import Any

import ray

from placement.control_plane.configuration import Configuration
from placement.control_plane.history_changes import HistoryChanges
from placement.control_plane.history_recovery import HistoryRecovery
from placement.control_plane.key_value_store import RayKeyValueStore
from placement.control_plane.learning import HistoryShift, Learning, shift
from placement.control_plane.load_monitor import POLL_EVERY_S, LoadMonitor
from placement.control_plane.metrics import EVERY_S as METRICS_EVERY_S
from placement.control_plane.metrics import Metrics
from placement.control_plane.node_agent import RayNodeAgents
from placement.control_plane.node_registry import NodeRegistry
from placement.control_plane.ray_context import own_folder
from placement.control_plane.revision import Revision
from placement.control_plane.settings_store import load_count, load_trials, save_count, save_trials
from placement.control_plane.status_view import cluster_view, status_of, work_view
from placement.control_plane.trial_account import TrialAccount
from placement.log.ingest import Ingest
from placement.log.lost_records import LOOK_EVERY_S, LostRecords
from placement.messages.control import LoadReport, Settings, Update
from placement.messages.node_context import NodeContext
from placement.messages.reports import Observation, Unfit
from placement.prediction.runtime_history import History
from placement.ray_internals.cluster import free_resources_by_node
from placement.scheduling.candidates import Queue
from placement.scheduling.trial_budget import NO_SECONDS, TrialSeconds
from placement.spec.node import Inventory
from placement.spec.task_record import Rows

NODES_EVERY_S = 1.0
CHANGES_EVERY_S = 0.25  # changes reach callers no more often than this
NEWS_GROWTH = 0.1  # an entry of the history is sent again once it holds a tenth more runs
EPOCH = 1_000_000  # snapshot versions of one life of the actor

logger = logging.getLogger("placement")


class PlacementActor:
    """The cluster's control plane as an actor.

    All methods are coroutines of one event loop, so that state needs no locks.
    """

    def __init__(self, settings: Settings, selector: dict[str, Any] | None) -> None:
        self.store = RayKeyValueStore()
        self.configuration = Configuration(self.store, settings, selector)
        life = load_count(self.store, "epoch") + 1
        save_count(self.store, "epoch", life)
        self.revision = Revision(life * EPOCH)
        self.history = History(growth=NEWS_GROWTH)
        self.changes = HistoryChanges(self.history)
        self.recovery = HistoryRecovery(self.history)
        self.agents = RayNodeAgents()
        self.registry = NodeRegistry(self.agents, self.revision.advance)
        self.trials = TrialAccount(load_trials(self.store))
        self.monitor = LoadMonitor(self.revision.number)
        self.metrics = Metrics()
        self.learning = Learning()
        self.ingest = Ingest(
            load_count(self.store, "rows_lost"), lambda lost: save_count(self.store, "rows_lost", lost)
        )
        self.ingest.write_to(self.settings.log, self.settings.keep_days)
        self.generation = int(time.time())
        self.run_id = ray.get_runtime_context().get_job_id() + f"-{int(time.time())}"
        self.began = time.monotonic()
        self.tasks: list[asyncio.Task[None]] = []

    async def ready(self) -> str:
        """Starts the background work once; the version of the selector in service."""
        if not self.tasks:
            loops = (self._watch_nodes, self.ingest.write, self._publish_changes, self._watch_load, self._measure,
                     self._count_lost_records)  # fmt: skip
            self.tasks = [asyncio.create_task(_run_for_ever(loop)) for loop in loops]
        if not self.registry.nodes:
            await self._update_nodes()
        await self.recovery.read(self.settings.log)
        return self.configuration.selector.version

    # --- settings -----------------------------------------------------------------------------------------------

    async def configure(self, settings: Settings, selector: dict[str, Any] | None) -> None:
        """Takes over the settings that are not None. The selector is checked before anything changes."""
        await self.ready()
        self.configuration.change(settings, selector)
        self.ingest.write_to(self.settings.log, self.settings.keep_days)
        await self.recovery.read(self.settings.log)
        self.generation += 1
        self.revision.advance()

    async def swap(self, selector: dict[str, Any]) -> str:
        """Puts a selector in service, without a restart; a broken one is refused and the old one stays."""
        await self.ready()
        self.configuration.swap(selector)
        self.revision.advance()
        return self.configuration.selector.version

    async def rollback(self) -> str:
        """Puts the selector before this one back in service."""
        await self.ready()
        self.configuration.rollback()
        self.revision.advance()
        return self.configuration.selector.version

    async def learned(
        self, state: dict[str, Any], events: list[dict[str, Any]], shifts: list[HistoryShift] | None = None
    ) -> None:
        """Takes the learner's state, its new events, and places of the history that have drifted."""
        await self.ready()
        shift(self.history, shifts or [])
        for event in await self.learning.take(state, events, self.settings.log):
            self.metrics.learned(event["kind"])

    @property
    def settings(self) -> Settings:
        """The settings in service."""
        return self.configuration.settings

    # --- snapshots ----------------------------------------------------------------------------------------------

    async def update(self, known: int | None, wait_s: float) -> Update:
        """The changes since version `known` (None: everything); waits up to `wait_s` where there are none."""
        await self.ready()
        if known is not None:
            await self.revision.wait_beyond(known, wait_s)
        self._collect_changes()
        version = self.revision.number
        same_life = known is not None and known // EPOCH == version // EPOCH
        return Update(
            version, self.inventory, self.configuration.selector.version, self.configuration.policy,
            self.changes.since(known if same_life else None), self.registry.worth_waiting_for, time.time(),
            self.settings.compression, bool(self.configuration.exploration),
        )  # fmt: skip

    async def context(self, node_id: str) -> NodeContext:
        """The facts of a node that its workers need."""
        await self.ready()
        if node_id not in self.registry.nodes:
            await self._update_nodes()
        self.registry.touch(node_id)
        spec, settings = self.registry.spec(node_id), self.settings
        emulated = spec is not None and spec.emulated
        return NodeContext(
            node_id, spec, emulated, settings.emulator if emulated else None, settings.compression,
            settings.log is not None, self.run_id, self.generation,
        )  # fmt: skip

    @property
    def inventory(self) -> Inventory:
        """The kinds of node that run, and those that the autoscaler could start; largest GPU first."""
        types, complete = self.settings.node_types, self.settings.node_types_complete
        return self.registry.inventory(types, complete=bool(complete))

    # --- load and nodes -----------------------------------------------------------------------------------------

    async def loads(self, known: int, wait_s: float) -> LoadReport:
        """The cluster's queues, once there is a report after number `known`, or after `wait_s`."""
        await self.ready()
        report = await self.monitor.report(known, wait_s)
        return report._replace(trials_s=self.trials.left_s(self.configuration.exploration))

    async def sent(self, sent: dict[Queue, tuple[float, float]], trials: TrialSeconds = NO_SECONDS) -> None:
        """Counts the tasks that a caller has sent since its last call: queue -> (slots, slot-seconds).

        trials: expected costs of those of them that try a device.
        """
        self.monitor.count_sent(sent)
        self.trials.expect(trials)

    async def gpu_free(self, node_id: str, gb: float) -> None:
        """Takes an agent's report of the memory that other programs leave free on its emptiest GPU, 1e9 bytes."""
        self.registry.set_gpu_free(node_id, gb)

    async def _watch_load(self) -> None:
        await self.monitor.step(self.inventory)

    async def _watch_nodes(self) -> None:
        await self._update_nodes()
        await asyncio.sleep(NODES_EVERY_S)

    async def _update_nodes(self) -> None:
        self.registry.update(await asyncio.to_thread(ray.nodes))
        if self.settings.node_types:
            free = await asyncio.to_thread(free_resources_by_node)
            released = self.registry.release_idle(self.settings.node_types, free or {})
            self.generation += bool(released)  # workers there ask anew once they have work again

    # --- records ------------------------------------------------------------------------------------------------

    async def report(
        self, writer: str, number: int, rows: list[Rows], observations: list[Observation],
        unfit: list[Unfit], lost: int,
    ) -> int:  # fmt: skip
        """Takes a worker's batch; returns once it is durable. A batch sent twice is taken once.

        Returns the generation of the node contexts, by which a worker finds out that its own is old.
        """
        await self.ready()
        if not self.ingest.is_new(writer, number):
            return self.generation
        for observation in observations:
            self.history.observe_all(*observation)
        for failure in unfit:
            self.history.mark_unfit(*failure)
        self.trials.count(rows)
        for device, (seconds, tasks) in self.metrics.rows(rows).items():
            # By the clock; where a compression is set all nodes are emulated.
            self.monitor.count_ended(device, seconds / (self.settings.compression or 1.0), tasks)
        self.metrics.observations(observations, self.history)
        await self.ingest.take(rows, lost)
        return self.generation

    async def writer_died(self, left: LostRecords) -> None:
        """Counts the rows that a worker had not sent when it was killed; see Ingest."""
        self.ingest.writer_died(left)

    async def _count_lost_records(self) -> None:
        """On the actor's own machine, where a whole node may have gone so that no other process reports them."""
        await self.ingest.count_dead_writers(own_folder().parent)
        await asyncio.sleep(LOOK_EVERY_S)

    async def flush(self) -> dict[str, int]:
        """Returns the counts of rows once all that have arrived are in the log."""
        await self.ready()
        await self.ingest.flush()
        return self.ingest.counts()

    # --- what is shown ------------------------------------------------------------------------------------------

    async def status(self) -> dict[str, Any]:
        """Counts, versions and nodes."""
        await self.ready()
        return status_of(
            self.configuration, self.revision, self.ingest, self.history, self.inventory,
            pending_nodes=self.registry.unsettled, began=self.began,
        )  # fmt: skip

    async def view(self) -> dict[str, Any]:
        """The data of `placement status`; the queues are polled for it. Seconds and ages are those of now."""
        await self.ready()
        await self.monitor.report(-1, 2 * POLL_EVERY_S)
        return {
            **cluster_view(self.configuration, self.revision, self.ingest, self.history, self.inventory),
            **work_view(self.configuration, self.monitor, self.metrics, self.learning, self.trials),
        }

    async def process_id(self) -> int:
        """The actor's process."""
        return os.getpid()

    async def _measure(self) -> None:
        self.metrics.state(
            self.ingest.counts(), self.configuration.selector.version, self.revision.number, self.monitor.backlog,
            self.trials.view(self.configuration.exploration),
        )  # fmt: skip
        save_trials(self.store, self.trials.to_dict())
        await asyncio.sleep(METRICS_EVERY_S)

    def _collect_changes(self) -> None:
        if self.recovery.waits:
            self.recovery.release(self.inventory.kinds)
        self.changes.collect(self.revision)

    async def _publish_changes(self) -> None:
        self._collect_changes()
        await self.revision.publish()
        await asyncio.sleep(CHANGES_EVERY_S)


async def _run_for_ever(step: Callable[[], Awaitable[None]]) -> None:
    while True:
        try:
            await step()
        except Exception:
            logger.exception("the placement actor's %s failed; it goes on", getattr(step, "__name__", step))
            await asyncio.sleep(1.0)
