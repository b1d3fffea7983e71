"""Run by test_failures.py in a process of its own: a cluster of real nodes whose parts are killed; prints JSON.

worker    killed in a task: the task is run again            agent      killed: comes back, energies go on
sweep     the node that it measures on is killed             stream     a node is killed under placed tasks
drivers   the driver of a sweep is killed, three times over, and the sweep started again
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import ray
from conditions import PATIENCE_S, answer, wait_until
from ray.cluster_utils import Cluster

import placement
import workloads
from placement import TaskSpec, placed_remote
from placement.control_plane.node_agent import NAMESPACE
from placement.log import read_log
from placement.ray_internals.emulation import small_node_agents
from placement.worker import outbox
from profiling.sweep.measure_cell import Protocol
from profiling.sweep.sweep import sweep

SPEC = TaskSpec(flops=1e6, input_bytes=1e3, batch_size=1, parameters=1_000)
NAMES = ("parse_table_b100", "parse_table_b1000")
SWEEP_DRIVER = Path(__file__).parents[1] / "profiling" / "programs" / "sweep_driver.py"


def all_sent() -> bool:
    """Whether the actor has the rows of all that this worker has finished."""
    return outbox._outbox is None or not outbox._outbox.runs


@placed_remote(spec=SPEC, policy="cpu_only")
def dies_once(x: int, folder: str) -> int:
    marker = Path(folder) / str(x)
    if x % 4 == 0 and not marker.exists():
        marker.touch()
        wait_until(all_sent, "the worker's rows do not leave it")
        os.kill(os.getpid(), signal.SIGKILL)
    return x * x


@placed_remote(spec=SPEC, policy="cpu_only")
def busy(x: int, seconds: float) -> tuple[int, str]:
    until = time.perf_counter() + seconds
    while time.perf_counter() < until:
        pass
    return x + 1, ray.get_runtime_context().get_node_id()


def rows_of(log: Path, function: str) -> list[dict[str, Any]]:
    placement.flush(PATIENCE_S)
    return [row for row in read_log(log).to_pylist() if row["workload"] == function]


def most_often(rows: list[dict[str, Any]]) -> int:
    """How often the task is in the log that is there most often."""
    return max(Counter(row["task_id"] for row in rows).values())


def killed_worker(folder: Path) -> dict[str, Any]:
    markers = folder / "died"
    markers.mkdir()
    results = ray.get([dies_once.remote(x, str(markers)) for x in range(8)], timeout=600)
    never_again = dies_once.options(max_retries=0).remote(100, str(markers))
    try:
        ray.get(never_again, timeout=300)
        raised = None
    except ray.exceptions.WorkerCrashedError as error:
        raised = type(error).__name__
    rows = rows_of(folder / "log", "dies_once")
    return {
        "right": results == [x * x for x in range(8)], "died": len(list(markers.iterdir())), "raised": raised,
        "tasks_in_log": len({row["task_id"] for row in rows}), "most_rows_of_a_task": most_often(rows),
    }  # fmt: skip


def killed_agent(folder: Path) -> dict[str, Any]:
    nodes = {node["NodeID"] for node in ray.nodes() if node["Alive"]}
    agents = [ray.get_actor(f"agent-{node_id}", namespace=NAMESPACE) for node_id in nodes]
    before = ray.get([agent.process_id.remote() for agent in agents])
    for pid in before:
        os.kill(pid, signal.SIGKILL)
    after = answer(lambda: ray.get([agent.process_id.remote() for agent in agents], timeout=300), "no agent back")

    def metered() -> bool:
        ray.get([busy.remote(x, 0.3) for x in range(3)], timeout=300)
        return any(row["cpu_joules"] for row in rows_of(folder / "log", "busy"))

    answer(metered, "no energy is told any more")
    return {
        "killed": len(before), "other_processes": not set(before) & set(after),
        "kinds": sorted(placement.status()["nodes"]), "energy_goes_on": True,
    }  # fmt: skip


def cells(log: Path) -> Counter[tuple[Any, ...]]:
    rows = [row for row in read_log(log).to_pylist() if row["error"] is None]
    return Counter((row["preset"], row["config"], row["device"], row["cpus"]) for row in rows)


def killed_under_a_sweep(folder: Path, kill: Callable[[], None]) -> dict[str, Any]:
    """The node of the kind `there` that is measured on goes once a row is in the log; another of the kind is there."""
    log, presets = folder / "swept", [workloads.preset(name) for name in NAMES]

    def wait_and_kill() -> None:
        answer(lambda: len(list(log.glob("*.parquet"))) >= 1, "the sweep does not begin")
        kill()

    killing = threading.Thread(target=wait_and_kill)
    killing.start()
    began = time.monotonic()
    first = sweep(log, presets, folder / "data", protocol=Protocol(1.0, 1))
    seconds = time.monotonic() - began
    killing.join()
    second = sweep(log, presets, folder / "data", protocol=Protocol(0.1, 1))
    found = cells(log)
    return {
        "first": first.to_dict(), "second": second.to_dict(), "seconds": seconds, "cells": len(found),
        "most_rows_of_a_cell": max(found.values()), "configs": sorted({config for _, config, *_ in found}),
    }  # fmt: skip


def rows_told() -> int:
    counts = placement.flush(PATIENCE_S)
    return counts["rows_written"] + counts["rows_lost"]


def killed_under_a_stream(folder: Path, kill: Callable[[], None], back: Callable[[], None]) -> dict[str, Any]:
    before = rows_told()
    began, marks = time.monotonic(), {}
    refs = [busy.remote(x, 0.02) for x in range(400)]
    ray.wait(refs, num_returns=60, timeout=300)
    marks["killed_s"] = round(time.monotonic() - began, 1)
    kill()
    results = ray.get(refs, timeout=600)
    marks["results_s"] = round(time.monotonic() - began, 1)
    gone = answer(lambda: "there" not in placement.status()["nodes"], "the inventory keeps the dead node")
    marks["gone_s"] = round(time.monotonic() - began, 1)
    # What the node's workers had not sent is counted: its files outlive it on this machine.
    told = answer(lambda: rows_told() - before >= 400, "rows of the killed node are not told of")
    marks["more_told_than_tasks"] = rows_told() - before - 400
    back()
    marks["added_s"] = round(time.monotonic() - began, 1)
    answer(lambda: "there" in placement.status()["nodes"], "the node that came back is not known")

    marks["back_s"] = round(time.monotonic() - began, 1)

    def on_both() -> bool:
        return len({node for _, node in ray.get([busy.remote(x, 0.1) for x in range(8)], timeout=300)}) == 2

    rows = rows_of(folder / "log", "busy")
    return {
        "right": [x for x, _ in results] == list(range(1, 401)), "nodes_used": len({node for _, node in results}),
        "gone": gone, "all_told": told, "back_in_use": answer(on_both, "nothing runs on the node that came back"),
        "most_rows_of_a_task": most_often(rows), **marks,
    }  # fmt: skip


def killed_drivers(folder: Path, address: str) -> dict[str, Any]:
    """SIGKILL at three moments: as it begins, after the first file, after the third; then the sweep goes on."""
    log, killed = folder / "thrice", []
    for files in (0, 1, 3):
        words = [address, str(log), str(folder / "data"), "0.3", *NAMES]
        child = subprocess.Popen([sys.executable, str(SWEEP_DRIVER), *words])
        if files == 0:
            time.sleep(2.5)
        answer(lambda: len(list(log.glob("*.parquet"))) >= files or child.poll() is not None, "no rows")  # noqa: B023
        killed.append(child.poll() is None)
        child.kill()
        child.wait()
        read_log(log) if log.exists() else None  # whole after each kill
    before = cells(log)
    last = sweep(log, [workloads.preset(name) for name in NAMES], folder / "data", protocol=Protocol(0.1, 1))
    found = cells(log)
    return {
        "killed": killed, "before": len(before), "last": last.to_dict(), "cells": len(found),
        "most_rows_of_a_cell": max(found.values()),
    }  # fmt: skip


@contextlib.contextmanager
def cluster_of_real_nodes() -> Iterator[tuple[Cluster, Callable[[], Any]]]:
    """A head of the kind `here` and two nodes of the kind `there`; a function that adds one more of these."""
    node = {"num_cpus": 1, "num_gpus": 0, "object_store_memory": 100 * 2**20}
    fast = {"health_check_period_ms": 500, "health_check_failure_threshold": 3}
    with small_node_agents():
        cluster = Cluster(shutdown_at_exit=True)
        try:
            cluster.add_node(
                labels={"config": "here"}, include_dashboard=False, no_monitor=True, include_log_monitor=False,
                _system_config=fast, **node,
            )  # fmt: skip
            yield cluster, lambda: cluster.add_node(labels={"config": "there"}, **node)
        finally:
            ray.shutdown()
            cluster.shutdown()


def main(folder: Path, which: str) -> None:
    told: dict[str, Any] = {}

    def case(name: str, run: Callable[..., dict[str, Any]], *args: Any) -> None:
        began = time.monotonic()
        try:
            told[name] = run(folder, *args)
        except Exception as error:  # the other cases are told all the same
            told[name] = {"error": f"{type(error).__name__}: {error}"[:2000]}
        told[name]["took_s"] = round(time.monotonic() - began, 1)
        print(name, told[name], file=sys.stderr, flush=True)

    with cluster_of_real_nodes() as (cluster, add):
        nodes = {node.node_id: node for node in [add() for _ in range(2 if which == "sweeps" else 1)]}
        ray.init(address=cluster.address, log_to_driver=False, logging_level="ERROR")
        placement.start(log=folder / "log", timeout_s=600)

        def kill() -> None:
            """The node of the kind `there` that comes first in Ray's list, as it does for a sweep."""
            at = next(node["NodeID"] for node in ray.nodes() if node["Alive"] and node["NodeID"] in nodes)
            cluster.remove_node(nodes.pop(at), allow_graceful=False)

        def back() -> None:
            node = add()
            nodes[node.node_id] = node

        if which == "sweeps":
            case("drivers", killed_drivers, cluster.address)
            case("sweep", killed_under_a_sweep, kill)
        else:
            case("worker", killed_worker)
            case("agent", killed_agent)
            case("stream", killed_under_a_stream, kill, back)
    print(json.dumps(told))


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
