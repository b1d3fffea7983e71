"""Nodes that join, are probed, fail to be probed, and leave; no Ray, a clock that the test moves."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

import pytest

from placement.control_plane.idle_nodes import AGENT_STAYS_S
from placement.control_plane.node_registry import (
    BEING_PROBED,
    LONGEST_RETRY_S,
    NodeRegistry,
    retry_delay_s,
)
from placement.messages.control import NODES_WAIT_S
from placement.prediction.selector_file import shipped_selector
from placement.scheduling.decision import decide
from placement.scheduling.feasibility import Limits, gpu_fault
from placement.scheduling.snapshot import Snapshot
from placement.spec.node import NodeSpec
from placement.spec.task import TaskSpec

TASK = TaskSpec(flops=1e9, input_bytes=1e6, batch_size=8, parameters=1_000_000)


class Agents:
    """Agents whose probes end as the test says."""

    def __init__(self) -> None:
        self.probes: list[tuple[str, str | None, float, float]] = []
        self.started: set[str] = set()
        self.answer: Callable[[str], Awaitable[NodeSpec]] = never

    async def probe(self, node_id: str, config: str | None, cpus: float, gpus: float) -> NodeSpec:
        self.probes.append((node_id, config, cpus, gpus))
        self.started.add(node_id)
        return await self.answer(node_id)

    def has(self, node_id: str) -> bool:
        return node_id in self.started

    def release(self, node_id: str) -> None:
        self.started.remove(node_id)

    def forget(self, node_id: str) -> None:
        self.started.discard(node_id)


async def never(node_id: str) -> NodeSpec:
    await asyncio.Event().wait()
    raise AssertionError


def measured(config: str = "lab", **figures: Any) -> Callable[[str], Awaitable[NodeSpec]]:
    async def answer(node_id: str) -> NodeSpec:
        return NodeSpec(config, 4, cpu_gflops=100.0, **figures)

    return answer


def failing(error: Exception) -> Callable[[str], Awaitable[NodeSpec]]:
    async def answer(node_id: str) -> NodeSpec:
        raise error

    return answer


class Scene:
    """A registry, its agents, its clock, and how often its inventory changed."""

    def __init__(self) -> None:
        self.now, self.changes, self.agents = 0.0, 0, Agents()
        self.registry = NodeRegistry(self.agents, self.changed, lambda: self.now)

    def changed(self) -> None:
        self.changes += 1

    async def update(self, *nodes: dict[str, Any]) -> None:
        self.registry.update(nodes)
        for _ in range(5):  # lets the probes that can end do so
            await asyncio.sleep(0)

    @property
    def kinds(self) -> dict[str, tuple[float, float, tuple[str, ...]]]:
        inventory = self.registry.inventory(None)
        return {k.spec.config: (k.grants_cpus, k.grants_gpus, k.spec.not_measured) for k in inventory.kinds}


def node(name: str, cpus: float = 4.0, gpus: float = 0.0, **labels: str) -> dict[str, Any]:
    resources = {"CPU": cpus, "memory": 1e9} | ({"GPU": gpus} if gpus else {})
    return {"NodeID": name, "Alive": True, "Resources": resources, "Labels": labels}


def play(scene: Callable[[Scene], Coroutine[Any, Any, None]]) -> None:
    async def run() -> None:
        await scene(Scene())

    asyncio.run(run())


def test_a_node_serves_from_the_moment_ray_names_it_and_gains_figures() -> None:
    async def run(scene: Scene) -> None:
        await scene.update(node("n", gpus=1.0, config="lab"))
        assert scene.kinds == {"lab": (4.0, 1.0, (BEING_PROBED,))}
        assert scene.agents.probes == [("n", "lab", 4.0, 1.0)]
        assert scene.registry.spec("n") is None  # its workers' records wait for the figures
        scene.agents.answer = measured(gpus=1)
        await scene.update()
        await scene.update(node("n", gpus=1.0, config="lab"))
        assert scene.kinds == {"lab": (4.0, 1.0, ())}
        assert scene.registry.spec("n") == NodeSpec("lab", 4, 1, cpu_gflops=100.0)

    play(run)


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (failing(RuntimeError("ray::NodeAgent died\nImportError: libcudnn.so.9")), "ImportError: libcudnn.so.9"),
        (failing(RuntimeError()), "RuntimeError"),
        (measured(not_measured=("torch on the CPU: ImportError: no",)), "torch on the CPU: ImportError: no"),
    ],
)
def test_a_probe_that_fails_leaves_what_is_known_and_warns_once(
    answer: Any, reason: str, caplog: pytest.LogCaptureFixture
) -> None:
    async def run(scene: Scene) -> None:
        scene.agents.answer = answer
        with caplog.at_level(logging.WARNING, "placement"):
            for _ in range(600):
                await scene.update(node("n", gpus=2.0, config="lab"))
                scene.now += 1.0
        assert scene.kinds == {"lab": (4.0, 2.0, (reason,))}
        assert len(scene.agents.probes) == 1 + 4  # after 30, 90, 210 and 450 s; not 600 times
        assert len(caplog.records) == 1
        assert reason in caplog.text
        spec = scene.registry.spec("n")
        assert spec is not None
        assert spec.config == "lab"
        changes = scene.changes
        scene.agents.answer = measured(gpus=2)  # the library is mended
        scene.now += LONGEST_RETRY_S
        await scene.update(node("n", gpus=2.0, config="lab"))
        assert scene.kinds == {"lab": (4.0, 2.0, ())}
        assert scene.changes == changes + 1

    play(run)


def test_the_back_off_is_exponential_and_bounded() -> None:
    delays = [retry_delay_s(failures) for failures in range(1, 2000)]
    assert delays[:3] == [30.0, 60.0, 120.0]
    assert delays == sorted(delays)
    assert delays[-1] == LONGEST_RETRY_S


def test_a_probe_that_never_returns_ends_by_the_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("placement.control_plane.node_registry.PROBE_TIMEOUT_S", 0.01)

    async def run(scene: Scene) -> None:
        await scene.update(node("n"), node("m"))
        probing = [one.probing for one in scene.registry.nodes.values()]
        await asyncio.gather(*(task for task in probing if task))
        assert scene.kinds == {"unmeasured-4cpu": (4.0, 0.0, ("the probe did not end within 0.01 s",))}
        assert scene.registry.unsettled == 0

    play(run)


def test_nobody_waits_longer_than_two_seconds_nor_for_a_node_that_is_not_needed() -> None:
    async def run(scene: Scene) -> None:
        await scene.update(node("cpu"), node("gpu", gpus=1.0))
        assert scene.registry.worth_waiting_for == 2  # nothing is known yet
        scene.now = NODES_WAIT_S
        assert scene.registry.worth_waiting_for == 0  # their drivers may hang
        assert scene.registry.unsettled == 2
        scene.agents.answer = measured(gpus=1)
        await scene.update(node("cpu"), node("gpu", gpus=1.0), node("first", gpus=1.0))
        assert scene.registry.worth_waiting_for == 0
        scene.agents.answer = never
        await scene.update(node("first", gpus=1.0), node("another", gpus=1.0), node("cpu2"))
        assert scene.registry.unsettled == 2
        assert scene.registry.worth_waiting_for == 0  # a GPU and CPUs are measured already

    play(run)


def test_an_unmeasured_node_takes_tasks_where_nothing_else_can_be_started() -> None:
    async def run(scene: Scene) -> None:
        scene.agents.answer = failing(RuntimeError("no torch"))
        await scene.update(node("n", cpus=2.0))
        inventory = scene.registry.inventory({}, complete=True)
        decision = decide(TASK, "f", Limits(), Snapshot(1, inventory, shipped_selector()))
        assert (decision.device, decision.configs) == ("cpu", ("unmeasured-2cpu",))

    play(run)


def test_a_measured_node_describes_its_config_where_another_of_it_is_not_measured() -> None:
    async def run(scene: Scene) -> None:
        async def answer(node_id: str) -> NodeSpec:
            return NodeSpec(
                "lab", 4, cpu_gflops=None if node_id == "a" else 9.0, not_measured=("x",) * (node_id == "a")
            )

        scene.agents.answer = answer
        await scene.update(node("a", config="lab"), node("b", config="lab"))
        (kind,) = scene.registry.inventory(None).kinds
        assert (kind.count, kind.spec.cpu_gflops, kind.spec.not_measured) == (2, 9.0, ())

    play(run)


def test_a_measured_node_keeps_its_figures_where_a_later_probe_fails() -> None:
    async def run(scene: Scene) -> None:
        scene.agents.answer = measured()
        await scene.update(node("n", config="lab"))
        scene.agents.started.clear()  # it left the idle node
        scene.agents.answer = failing(RuntimeError("gone"))
        scene.registry.touch("n")
        await scene.update(node("n", config="lab"))
        assert len(scene.agents.probes) == 2
        assert scene.kinds == {"lab": (4.0, 0.0, ())}

    play(run)


def test_a_node_that_leaves_is_forgotten_and_its_probe_ends() -> None:
    async def run(scene: Scene) -> None:
        await scene.update(node("n"))
        probing = scene.registry.nodes["n"].probing
        assert probing is not None
        await scene.update({**node("n"), "Alive": False})
        assert probing.cancelled()
        assert scene.kinds == {}
        assert not scene.agents.started

    play(run)


def test_agents_leave_idle_nodes_of_the_autoscaler_and_come_back() -> None:
    async def run(scene: Scene) -> None:
        scene.agents.answer = measured()
        await scene.update(node("n", config="lab"))
        types, free = {"lab": {}}, {"n": {"CPU": 4.0}}
        assert scene.registry.release_idle(types, free) == []
        scene.now = AGENT_STAYS_S
        assert scene.registry.release_idle({"other": {}}, free) == []
        scene.registry.release_idle(types, free)
        scene.now = 2 * AGENT_STAYS_S
        assert scene.registry.release_idle(types, free) == ["n"]
        assert not scene.agents.started
        scene.registry.touch("n")
        await scene.update(node("n", config="lab"))
        assert scene.agents.started == {"n"}

    play(run)


def test_a_head_without_cpus_is_no_node_of_the_inventory() -> None:
    async def run(scene: Scene) -> None:
        await scene.update(node("n", cpus=0.0))
        assert scene.kinds == {}

    play(run)


def test_a_label_tells_the_memory_of_mig_slices_before_and_after_the_probe(caplog: pytest.LogCaptureFixture) -> None:
    big, slices = TaskSpec(memory_bytes=20e9), {"placement.mig": "1g.10gb"}

    async def run(scene: Scene) -> None:
        for answer in (never, measured("cut", gpus=7)):
            scene.agents.answer = answer
            scene.registry.update([])
            await scene.update(node("n", cpus=16.0, gpus=7.0, config="cut", **slices))
            (kind,) = scene.registry.inventory(None).kinds
            assert (kind.spec.gpu_memory_gb, kind.spec.gpu_name, kind.grants_gpus) == (10.0, "MIG 1g.10gb", 7.0)
            assert gpu_fault(TASK, kind, Limits(), None) is None
            assert "the device has 10" in (gpu_fault(big, kind, Limits(), None) or "")
        await scene.update(node("m", gpus=1.0, config="odd", **{"placement.mig": "half"}))
        assert "'half' is no MIG profile" in caplog.text

    play(run)
