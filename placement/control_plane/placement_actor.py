"""The PlacementActor: one for the cluster. It owns the inventory, the selector in service, the history and the log.

It decides nothing that stands between `.remote()` and Ray: callers decide alone from the snapshots it hands out.
It restarts for ever; what must outlive it lies in Ray's key-value store (settings) and in the log (records).
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import logging
import os
import time
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import ray

from placement.control_plane.idle_nodes import Unused
from placement.control_plane.load_monitor import POLL_EVERY_S, Queues
from placement.control_plane.metrics import EVERY_S as METRICS_EVERY_S
from placement.control_plane.metrics import Metrics
from placement.control_plane.node_agent import AgentHandle, agent_of
from placement.control_plane.ray_context import own_folder, served_key
from placement.control_plane.status_view import view
from placement.errors import SelectorError
from placement.log.ingest import Intake
from placement.log.lost_records import LOOK_EVERY_S, Unsent, tell_of_the_dead
from placement.messages.control import LoadReport, Settings, Update
from placement.messages.node_context import NodeContext
from placement.messages.reports import Observation, Unfit
from placement.prediction.runtime_history import History, Key
from placement.prediction.selector import Selector
from placement.prediction.selector_file import selector_of, shipped_selector
from placement.ray_internals import control_store
from placement.ray_internals.cluster import free_resources_by_node
from placement.scheduling.candidates import Policy, Queue
from placement.scheduling.decision import Decision, decide
from placement.scheduling.feasibility import Limits
from placement.scheduling.policies.registry import policy_of
from placement.scheduling.snapshot import Snapshot
from placement.spec.autoscaler_types import planned
from placement.spec.node import CONFIG, EMULATED, Inventory, NodeKind, NodeSpec, paper_configs
from placement.spec.task import TaskSpec
from placement.spec.task_record import Rows

NAME = NAMESPACE = "placement"
NODES_EVERY_S = 1.0
CHANGES_EVERY_S = 0.25  # how often callers hear of changes at most
NEWS_GROWTH = 0.1  # and of an entry of the history once it holds a tenth more runs
DEFAULT_POLICY = "balanced"  # with empty queues it decides as `selector` does
SETTLE_S = 5.0
MOST_SELECTORS = 8  # the one in service and those that can be rolled back to
EPOCH = 1_000_000  # snapshot versions of one life of the actor

KEPT = ("log", "emulator", "compression", "keep_days", "node_types")  # settings that outlive the actor as they are

logger = logging.getLogger("placement")


class PlacementActor:
    """See the module. All methods are coroutines of one event loop, so that state needs no locks."""

    def __init__(self, settings: Settings, selector: dict[str, Any] | None) -> None:
        self.settings = settings
        self.selectors: list[Selector] = []
        self.contents: dict[str, bytes] = {}
        self.history = History(growth=NEWS_GROWTH)
        self.changed_at: dict[Key, int] = {}
        self.kinds: dict[str, NodeKind] = {}
        self.generation = int(time.time())
        self.agents: dict[str, AgentHandle] = {}
        self.specs: dict[str, NodeSpec] = {}
        self.unused = Unused()
        self.seen: dict[str, NodeSpec] = {}
        self.gpu_free_gb: dict[str, float] = {}
        self.alive: dict[str, dict[str, Any]] = {}
        self.intake = Intake(_stored("rows_lost"), lambda lost: _store("rows_lost", lost))
        self.run_id = ray.get_runtime_context().get_job_id() + f"-{int(time.time())}"
        self._restore(selector)
        self.intake.write_to(self.settings.log, self.settings.keep_days)
        life = _stored("epoch") + 1
        _store("epoch", life)
        self.version = life * EPOCH
        self.began = time.monotonic()
        self.queues = Queues(self.version)
        self.metrics = Metrics()
        self.news = asyncio.Condition()
        self.tasks: list[asyncio.Task[None]] = []

    async def ready(self) -> str:
        """Starts the background work once; the name of the selector in service."""
        if not self.tasks:
            loops = (self._watch_nodes, self.intake.write, self._tell_news, self._watch_load, self._measure,
                     self._count_the_dead)  # fmt: skip
            self.tasks = [asyncio.create_task(self._for_ever(loop)) for loop in loops]
        if not self.alive:
            await self._look_at_nodes()
        return self.selectors[-1].version

    # --- settings -----------------------------------------------------------------------------------------------

    async def configure(self, settings: Settings, selector: dict[str, Any] | None) -> None:
        """Takes over what is given; None leaves a setting as it is. The selector is checked before anything changes."""
        await self.ready()
        if selector is not None:
            self._serve(selector_of(selector))
        given = {name: value for name, value in vars(settings).items() if value is not None}
        self.settings = replace(self.settings, **given)
        self.intake.write_to(self.settings.log, self.settings.keep_days)
        self.generation += 1
        self._persist()
        self._changed()

    async def swap(self, selector: dict[str, Any]) -> str:
        """Puts a selector in service, without a restart; a broken one is refused and the old one stays."""
        await self.ready()
        self._serve(selector_of(selector))
        self._persist()
        self._changed()
        return self.selectors[-1].version

    async def rollback(self) -> str:
        """Puts the selector before this one back in service."""
        await self.ready()
        if len(self.selectors) < 2:
            raise SelectorError("rollback: no selector was in service before this one.")
        self._keep(self.selectors[:-1])
        self._persist()
        self._changed()
        return self.selectors[-1].version

    # --- snapshots ----------------------------------------------------------------------------------------------

    async def update(self, known: int | None, wait_s: float) -> Update:
        """What is new since version `known`; waits up to `wait_s` for news where there is none."""
        await self.ready()
        if known is not None and known >= self.version:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(wait_s), self.news:
                    await self.news.wait_for(lambda: self.version > known)
        fresh = known is None or known // EPOCH != self.version // EPOCH
        history = (
            self.history.everything()
            if fresh
            else {
                key: seen
                for key, at in self.changed_at.items()
                if at > (known or 0) and (seen := self.history.get(key))
            }
        )
        return Update(
            self.version, self.inventory, self.selectors[-1].version, self.policy, history,
            len(set(self.alive) - set(self.specs)), time.time(), self.settings.compression,
        )  # fmt: skip

    async def context(self, node_id: str) -> NodeContext:
        """What a worker must know of its node."""
        await self.ready()
        if node_id not in self.specs:
            await self._look_at_nodes()
        if node_id in self.alive:
            self.unused.worked(node_id, time.monotonic())
            self._meet(node_id, self.alive[node_id])  # its agent may have gone while the node was idle
        return self._context(node_id)

    async def decide(self, task: TaskSpec, function: str, limits: Limits) -> Decision:
        """A decision taken here, for who cannot hold a snapshot."""
        await self.ready()
        snapshot = Snapshot(
            self.version, self.inventory, self.selectors[-1], self.policy, history=self.history, unix_time=time.time()
        )
        return decide(task, function, limits, snapshot)

    @property
    def inventory(self) -> Inventory:
        """The kinds of node that are alive and known, largest GPU first."""
        nodes: dict[str, list[str]] = {}
        for node_id, spec in self.specs.items():
            if node_id in self.alive:
                nodes.setdefault(spec.config, []).append(node_id)
        kinds = [self._kind(config, tuple(ids)) for config, ids in nodes.items()]
        kinds += planned(self.settings.node_types or {}, nodes, self.seen)
        return Inventory(tuple(kinds), complete=self.settings.node_types is not None)

    @property
    def policy(self) -> Policy:
        """The cluster's policy."""
        return policy_of(self.settings.policy or DEFAULT_POLICY)

    def _kind(self, config: str, node_ids: tuple[str, ...]) -> NodeKind:
        nodes = [self.alive[node_id] for node_id in node_ids]
        told = [self.gpu_free_gb[node_id] for node_id in node_ids if node_id in self.gpu_free_gb]
        return NodeKind(
            self.specs[node_ids[0]],
            node_ids,
            all(node["Labels"].get(CONFIG) == config for node in nodes),
            max(node["Resources"].get("CPU", 0.0) for node in nodes),
            max(node["Resources"].get("GPU", 0.0) for node in nodes),
            gpu_free_gb=max(told) if len(told) == len(node_ids) else None,  # one that told nothing has all of it
        )

    def _context(self, node_id: str) -> NodeContext:
        spec, settings = self.specs.get(node_id), self.settings
        return NodeContext(
            node_id, spec, bool(spec and spec.emulated), settings.emulator if spec and spec.emulated else None,
            settings.compression, settings.log is not None, self.run_id, self.generation,
        )  # fmt: skip

    # --- load ---------------------------------------------------------------------------------------------------

    async def loads(self, known: int, wait_s: float) -> LoadReport:
        """The cluster's queues, once there is news since number `known`; waits up to `wait_s` for it."""
        await self.ready()
        return await self.queues.told(known, wait_s)

    async def sent(self, told: dict[Queue, tuple[float, float]]) -> None:
        """What a caller has sent since it last told: queue -> (slots, slot-seconds)."""
        self.queues.sent(told)

    async def _watch_load(self) -> None:
        await self.queues.step(self.inventory)

    # --- nodes --------------------------------------------------------------------------------------------------

    async def _watch_nodes(self) -> None:
        await self._look_at_nodes()
        await asyncio.sleep(NODES_EVERY_S)

    async def _look_at_nodes(self) -> None:
        before = (set(self.alive), set(self.specs))
        nodes = await asyncio.to_thread(ray.nodes)
        self.alive = {node["NodeID"]: node for node in nodes if node["Alive"] and _runs_tasks(node)}
        for node_id in [node_id for node_id in {*self.agents, *self.specs} if node_id not in self.alive]:
            self.agents.pop(node_id, None)
            self.specs.pop(node_id, None)
            self.gpu_free_gb.pop(node_id, None)
        for node_id, node in self.alive.items():
            if node_id not in self.specs:
                self._meet(node_id, node)
        if before != (set(self.alive), set(self.specs)):
            self._changed()
        if self.settings.node_types:
            await self._leave_unused(self.settings.node_types)

    async def _leave_unused(self, types: Mapping[str, Any]) -> None:
        """Agents leave nodes that the autoscaler may take away; they come back with the next task there."""
        free = await asyncio.to_thread(free_resources_by_node)
        if free is None:
            return
        has = {
            node_id: self.alive[node_id]["Resources"]
            for node_id, spec in self.specs.items()
            if node_id in self.agents and node_id in self.alive and spec.config in types
        }
        for node_id in self.unused.long(has, free, time.monotonic()):
            ray.kill(self.agents.pop(node_id), no_restart=True)
            self.generation += 1  # workers there ask anew when they have work again

    async def gpu_free(self, node_id: str, gb: float) -> None:
        """An agent tells what the emptiest GPU of its node has beside what other programs hold, 1e9 bytes."""
        self.gpu_free_gb[node_id] = gb
        self._changed()

    def _meet(self, node_id: str, node: dict[str, Any]) -> None:
        """Learns what a node has: from its configuration where it is emulated, else from its agent's probe."""
        labels = node["Labels"]
        if labels.get(EMULATED) == "true":
            spec = paper_configs().get(labels.get(CONFIG, ""))
            if spec is None:
                logger.error("node %s is emulated, but its label config=%r names none of %s; it is left out",
                             node_id[:8], labels.get(CONFIG), sorted(paper_configs()))  # fmt: skip
                return
            self.specs[node_id] = spec
        elif node_id not in self.agents:
            self.agents[node_id] = agent_of(node_id)
            asyncio.create_task(self._ask_agent(node_id, labels.get(CONFIG)))  # noqa: RUF006

    async def _ask_agent(self, node_id: str, config: str | None) -> None:
        try:
            spec = await self.agents[node_id].spec.remote(config)
        except Exception as error:  # the node went away, or its probe failed: said, and tried again
            logger.warning("node %s could not be probed: %s", node_id[:8], error)
            self.agents.pop(node_id, None)
            return
        self.seen[spec.config] = spec
        if node_id in self.alive:
            self.specs[node_id] = spec
            self._changed()

    # --- records ------------------------------------------------------------------------------------------------

    async def report(
        self, writer: str, number: int, rows: list[Rows], observations: list[Observation],
        unfit: list[Unfit], lost: int,
    ) -> int:  # fmt: skip
        """Takes a worker's batch; returns once it is durable. A batch sent twice is taken once.

        Returns the generation of the contexts, so that a worker hears that its own is old.
        """
        await self.ready()
        if not self.intake.is_new(writer, number):
            return self.generation
        for observation in observations:
            self.history.observe_all(*observation)
        for key, config, why in unfit:
            self.history.mark_unfit(key, config, why)
        for device, (seconds, tasks) in self.metrics.rows(rows).items():
            # By the clock; where a compression is set all nodes are emulated.
            self.queues.ran(device, seconds / (self.settings.compression or 1.0), tasks)
        self.metrics.observations(observations, self.history)
        await self.intake.take(rows, lost)
        return self.generation

    async def writer_died(self, left: Unsent) -> None:
        """A worker is gone and has not sent all; see Intake."""
        self.intake.writer_died(left)

    async def _count_the_dead(self) -> None:
        """On the actor's own machine, where a whole node may have gone and nobody else come."""
        loop = asyncio.get_running_loop()

        def tell(left: Unsent) -> None:
            loop.call_soon_threadsafe(self.intake.writer_died, left)

        await asyncio.to_thread(tell_of_the_dead, own_folder().parent, "", tell)
        await asyncio.sleep(LOOK_EVERY_S)

    async def flush(self) -> dict[str, int]:
        """Returns once all that has come is in the log; the counts."""
        await self.ready()
        await self.intake.flush()
        return self.intake.counts()

    async def status(self) -> dict[str, Any]:
        """Counts, versions and nodes, for a look at the actor."""
        await self.ready()
        nodes = {kind.spec.config: kind.count for kind in self.inventory.kinds}
        return {
            **self.intake.counts(), "version": self.version, "selector": self.selectors[-1].version, "nodes": nodes,
            "history": len(self.history), "log": self.settings.log,
            "pending_nodes": len(set(self.alive) - set(self.specs)), "settling_s": self._settling_s(),
        }  # fmt: skip

    def _settling_s(self) -> float:
        """Seconds until workers whose batches met a dead actor have surely sent them again to this one."""
        restarted = ray.get_runtime_context().was_current_actor_reconstructed
        return max(0.0, SETTLE_S - (time.monotonic() - self.began)) if restarted else 0.0

    async def view(self) -> dict[str, Any]:
        """What `placement status` shows; the queues are polled for it."""
        await self.ready()
        await self.queues.told(-1, 2 * POLL_EVERY_S)
        return view(self)

    async def _measure(self) -> None:
        self.metrics.state(self.intake.counts(), self.selectors[-1].version, self.version, self.queues.backlog)
        await asyncio.sleep(METRICS_EVERY_S)

    async def process_id(self) -> int:
        """The actor's process, for a look at it."""
        return os.getpid()

    # --- what outlives the actor --------------------------------------------------------------------------------

    def _serve(self, selector: Selector) -> None:
        """Puts it in service; callers know a selector by its version, so that must name one content alone."""
        data = json.dumps(selector.to_dict()).encode()
        content = hashlib.sha256(data).digest()
        if self.contents.setdefault(selector.version, content) != content:
            raise SelectorError(
                f"a selector with other content is or was in service as version {selector.version!r}, by which callers "
                'and the log know it. Give this one a "version" of its own, or leave it out: it is then named by its '
                "content."
            )
        if not self.selectors or self.selectors[-1].version != selector.version:
            control_store.put(served_key(selector.version), data, namespace=NAMESPACE.encode())
            self._keep([*self.selectors, selector])

    def _keep(self, selectors: list[Selector]) -> None:
        """The last of these serves, and those before it may be rolled back to; others leave the key-value store."""
        before = {one.version for one in self.selectors}
        self.selectors = selectors[-MOST_SELECTORS:]
        for version in before - {one.version for one in self.selectors}:
            control_store.delete(served_key(version), namespace=NAMESPACE.encode())

    def _persist(self) -> None:
        data: dict[str, Any] = {name: getattr(self.settings, name) for name in KEPT}
        data["selectors"] = [selector.to_dict() for selector in self.selectors]
        if isinstance(self.settings.policy, str):
            data["policy"] = self.settings.policy
        control_store.put(b"settings", json.dumps(data).encode(), overwrite=True, namespace=NAMESPACE.encode())

    def _restore(self, selector: dict[str, Any] | None) -> None:
        stored = control_store.get(b"settings", namespace=NAMESPACE.encode())
        if stored and ray.get_runtime_context().was_current_actor_reconstructed:
            data = json.loads(stored)
            for one in data.pop("selectors"):
                self._serve(selector_of(one))
            self.settings = replace(self.settings, **data)
        else:
            self._serve(shipped_selector() if selector is None else selector_of(selector))
            self._persist()

    # --- news ---------------------------------------------------------------------------------------------------

    def _changed(self) -> None:
        self.version += 1

    async def _tell_news(self) -> None:
        changes = self.history.changes()
        if changes:
            self._changed()
            self.changed_at |= dict.fromkeys(changes, self.version)
            self.changed_at = {key: at for key, at in self.changed_at.items() if self.history.get(key)}
        async with self.news:
            self.news.notify_all()
        await asyncio.sleep(CHANGES_EVERY_S)

    async def _for_ever(self, step: Any) -> None:
        while True:
            try:
                await step()
            except Exception:
                logger.exception("the placement actor's %s failed; it goes on", step.__name__)
                await asyncio.sleep(1.0)


def _stored(name: str) -> int:
    """A number that outlives the actor; 0 at first."""
    return int(control_store.get(name.encode(), namespace=NAMESPACE.encode()) or 0)


def _store(name: str, number: int) -> None:
    control_store.put(name.encode(), str(number).encode(), overwrite=True, namespace=NAMESPACE.encode())


def _runs_tasks(node: dict[str, Any]) -> bool:
    """False of a head that keeps its CPUs to itself (num_cpus=0): there is nothing to know of it."""
    return bool(node["Resources"].get("CPU") or node["Resources"].get("GPU"))
