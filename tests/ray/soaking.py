"""Run by test_soak.py in a process of its own: a mixed stream from three drivers while parts are killed; prints JSON.

Killed at random: workers and nodes (which come back) all the time; the placement actor and the agents in the first
half alone, so that each of them has one process whose memory can be watched in the second.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import ray
from conditions import answer
from ray._private import state
from ray.cluster_utils import Cluster

import placement
from placement.control_plane.client import actor
from placement.control_plane.node_agent import NAMESPACE
from placement.log import read_log
from placement.ray_internals.emulation import small_node_agents

DRIVERS = 3
KILL_EVERY_S = 4.0
MARK = "PLACEMENT_TEST_SOAK"
NODE = {"num_cpus": 1, "object_store_memory": 100 * 2**20}
NOT_WORKERS = ("ray::PlacementActor", "ray::NodeAgent", "ray::DashboardAgent", "ray::RuntimeEnvAgent")
KINDS: dict[str, dict[str, Any]] = {
    "there": {"num_gpus": 0, "labels": {"config": "there"}},
    "B": {"num_gpus": 1, "labels": {"config": "B", "placement.emulated": "true"}},
    "D": {"num_gpus": 1, "labels": {"config": "D", "placement.emulated": "true"}},
}


def processes(title: str) -> list[int]:
    """Ray's workers of this cluster whose title begins so."""
    found = []
    for folder in Path("/proc").iterdir():
        with contextlib.suppress(OSError):
            if not folder.name.isdigit() or not (folder / "cmdline").read_bytes().startswith(title.encode()):
                continue
            if f"{MARK}={os.environ[MARK]}".encode() in (folder / "environ").read_bytes():
                found.append(int(folder.name))
    return found


def rss_mb(pid: int) -> float:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6


def told_by(driver: subprocess.Popen[str]) -> dict[str, Any]:
    """What a driver printed; Ray may have said something after it."""
    lines = driver.communicate(timeout=600)[0].splitlines()
    found: dict[str, Any] = json.loads(next(line for line in reversed(lines) if line.startswith("{")))
    return found


class Soak:
    """The cluster, what was killed, and the memory that was seen."""

    def __init__(self, cluster: Cluster, seconds: float) -> None:
        self.cluster = cluster
        self.chance = random.Random(5)
        self.kills: Counter[str] = Counter()
        self.nodes = {kind: cluster.add_node(**NODE, **KINDS[kind]) for kind in KINDS}
        self.seconds = seconds
        self.memory: dict[str, list[tuple[float, float]]] = {"actor": [], "agent": []}
        self.pids: dict[str, int] = {}

    def run(self, drivers: list[subprocess.Popen[str]]) -> None:
        began, next_kill = time.monotonic(), KILL_EVERY_S
        while (at := time.monotonic() - began) < self.seconds:
            second = at > self.seconds / 2
            if second and not self.pids:
                self.pids = answer(self.watched)
            for name, pid in self.pids.items():
                self.memory[name].append((at, rss_mb(pid)))
            if at > next_kill:
                self.kill(second)
                next_kill = time.monotonic() - began + self.chance.uniform(0.5, 1.5) * KILL_EVERY_S
            assert all(driver.poll() is None for driver in drivers), "a driver died"
            time.sleep(1.0)

    def watched(self) -> dict[str, int]:
        agent = ray.get_actor(f"agent-{self.cluster.head_node.node_id}", namespace=NAMESPACE)
        return {
            "actor": ray.get(actor().process_id.remote(), timeout=300),
            "agent": ray.get(agent.process_id.remote(), timeout=300),
        }

    def kill(self, second: bool) -> None:
        kinds = ["worker"] * 6 + ["node"] + ([] if second else ["actor", "agent"])
        kind = self.chance.choice(kinds)
        if kind == "node":
            self.kill_node(second)
            return
        title = {"actor": "ray::PlacementActor", "agent": "ray::NodeAgent"}.get(kind, "ray::")
        kept = {pid for title in NOT_WORKERS for pid in processes(title)} if kind == "worker" else set()
        pids = sorted(set(processes(title)) - kept)
        if pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.chance.choice(pids), signal.SIGKILL)
                self.kills[kind] += 1

    def kill_node(self, second: bool) -> None:
        """Dead for some seconds, then a new node of its kind joins. Watched processes are not taken along."""
        name = self.chance.choice(sorted(self.nodes))
        at = state.actors(actor()._actor_id.hex())["Address"]["NodeID"] if second else None
        if self.nodes[name].node_id == at:
            return
        self.cluster.remove_node(self.nodes[name], allow_graceful=False)
        self.kills["node"] += 1
        time.sleep(3)
        self.nodes[name] = self.cluster.add_node(**NODE, **KINDS[name])

    def slope(self, name: str) -> dict[str, float]:
        """MB a minute over the second half, by least squares; its first fifth is warming up."""
        at, mb = np.array(self.memory[name]).T
        some = at >= at[0] + (at[-1] - at[0]) / 5
        per_s = float(np.polyfit(at[some], mb[some], 1)[0])
        return {"mb_per_min": round(per_s * 60, 3), "first_mb": float(mb[some][0]), "last_mb": float(mb[-1])}


def checked(log: str, drivers: list[dict[str, Any]]) -> dict[str, Any]:
    """What the log holds of what the drivers sent."""
    counts = placement.flush(120)
    rows = read_log(log)
    runs = Counter(rows["task_id"].to_pylist())
    runs.pop(None, None)  # of functions that are not placed
    done = sum(driver["done"] for driver in drivers)
    return {
        "tasks": done, "wrong": sum(driver["wrong"] for driver in drivers),
        "errors": [error for driver in drivers for error in driver["errors"]][:5],
        "rows": rows.num_rows, "rows_missing": done - rows.num_rows, "tasks_twice": sum(n > 1 for n in runs.values()),
        "counts_since_the_actors_last_start": counts,
    }  # fmt: skip


def main(folder: Path, minutes: float) -> None:
    os.environ[MARK] = str(os.getpid())
    seconds = minutes * 60
    log = str(folder / "log")
    fast = {"health_check_period_ms": 500, "health_check_failure_threshold": 3}
    with small_node_agents():
        cluster = Cluster(shutdown_at_exit=True)
        drivers: list[subprocess.Popen[str]] = []
        try:
            cluster.add_node(
                **NODE, num_gpus=0, labels={"config": "here"}, include_dashboard=False, no_monitor=True,
                include_log_monitor=False, _system_config=fast,
            )  # fmt: skip
            soak = Soak(cluster, seconds)
            ray.init(address=cluster.address, log_to_driver=False, logging_level="ERROR")
            placement.start(log=log, timeout_s=600)
            script = str(Path(__file__).with_name("soak_driver.py"))
            drivers = [
                subprocess.Popen(
                    [sys.executable, script, cluster.address, str(seconds), str(seed)],
                    stdout=subprocess.PIPE,
                    text=True,
                )
                for seed in range(DRIVERS)
            ]
            soak.run(drivers)
            told = [told_by(driver) for driver in drivers]
            found = {
                "minutes": minutes, **checked(log, told), "kills": dict(soak.kills),
                "actor": soak.slope("actor"), "agent": soak.slope("agent"),
            }  # fmt: skip
        finally:
            for driver in drivers:
                driver.kill()
            ray.shutdown()
            cluster.shutdown()
    print(json.dumps(found))


if __name__ == "__main__":
    main(Path(sys.argv[1]), float(sys.argv[2]))
