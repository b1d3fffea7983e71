"""`placement simulate --live`: one trace on the emulated Ray cluster and in the simulator, side by side.

Both decide from the same history, selector and inventory; the difference is Ray's scheduling of the decisions. On the
cluster a task runs no code of its own: its node lets it wait for its emulated time, divided by the compression. So
the queues, the placement and Ray's own overhead are compared; the times of tasks are the emulator's in both.

Found by the tasks' own times, on two cores: Ray takes 0.05 to 0.2 s from one task's end to the start of the next on
another node, so tasks must last a second or so once compressed (`SHORTEST_S`). A driver's node that runs tasks itself
keeps unlabelled ones waiting for it while others idle (a third of the other nodes' CPU time), so the driver has a node
to itself. Ray serves tasks that ask for the same in their order, but the others in the order of a hash table: where
many tasks can use one kind of GPU alone they may be left to the end. The trace has no such tasks.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np

from placement import TaskSpec, placed_remote
from placement.errors import OptionError
from profiling.simulation.arrivals import ArrivalTrace, trace_of_file

TRACE = "profiling/data/live_trace.csv"
COMPRESSION = 4.0
SHORTEST_S = 0.5
"""A task of the trace lasts at least so long once compressed."""
POLICIES = ("selector", "balanced")
CPUS_PER_NODE = 4  # so that a GPU task, which needs a CPU too, seldom waits for a CPU task to end
KNOWN_RUNS = 12  # timings of each type on each device of each kind that are reported before the run
TARGET = 0.10
QUIET_S = 60.0
"""Patience with the tasks of a run before that are still in the queues by their reports."""
_specs: list[TaskSpec] = []


def _spec(index: int) -> TaskSpec:
    return _specs[index]


@placed_remote(spec=_spec)
def work(index: int) -> int:
    """Does nothing: the emulated node waits for its emulated time."""
    return index


@dataclass(frozen=True, slots=True)
class Side:
    """Results of one policy: emulated seconds until the last task ended, and a task's mean from arrival to end."""

    makespan_seconds: float
    mean_completion_seconds: float
    gpu_share: float


@dataclass(frozen=True, slots=True)
class PolicyComparison:
    """One policy, live and simulated. ratio: the makespans', live to simulated."""

    live: Side
    simulated: Side
    ratio: float


def replay(
    path: Path | None = None, policies: Sequence[str] = POLICIES, *, compression: float = COMPRESSION,
    tasks: int = 10_000,
) -> dict[str, PolicyComparison]:  # fmt: skip
    """Each policy on the same trace, on an emulated A-D cluster of its own and in the simulator.

    path: a trace's file; None: the committed one. Not within a process that is connected to a cluster.
    Raises OptionError where a task would be too short once compressed.
    """
    import placement
    from placement.spec.joint_threshold import JointThreshold
    from profiling.emulation.emulated_cluster import EMULATOR, emulated_cluster
    from profiling.simulation.runtimes import Times

    committed = Path(str(resources.files("profiling").joinpath("data/live_trace.csv")))
    trace = trace_of_file(path or committed, tasks)
    found: dict[str, PolicyComparison] = {}
    with emulated_cluster(num_cpus_per_node=CPUS_PER_NODE, own_head=True):
        placement.start(emulator=EMULATOR, compression=compression)
        trace = _named(trace)
        inventory = placement.inventory()
        times = Times.of(trace, inventory, JointThreshold())
        shortest = float(times.seconds.min()) / compression
        if shortest < SHORTEST_S:
            raise OptionError(f"simulate --live: a task lasts {shortest:.3f} s compressed; it must be {SHORTEST_S} s.")
        _specs[:] = [trace.types[i].spec for i in trace.type_of.tolist()]
        _teach(trace, inventory, times)
        _warm_up(inventory, trace)
        for policy in policies:
            simulated = _simulated(trace, times, policy)
            live = _live(trace, policy, compression)
            found[policy] = PolicyComparison(live, simulated, live.makespan_seconds / simulated.makespan_seconds)
    return found


def _named(trace: ArrivalTrace) -> ArrivalTrace:
    """All types under the live function's key, so that both sides look their history up by the same one."""
    key = work.options().history_key()
    return replace(trace, types=tuple(replace(one, preset=key) for one in trace.types))


def _teach(trace: ArrivalTrace, inventory: Any, times: Any) -> None:
    """Reports timings of each type on every device to the control plane, as if it had run there."""
    from placement.control_plane.client import call
    from placement.prediction.runtime_history import Place, Sample
    from placement.scheduling.decision import key_of
    from placement.spec.task import DEVICES
    from placement.submission.snapshot_client import caller
    from profiling.emulation.emulator import emulated

    def error(spec: TaskSpec, node: Any, device: Any) -> float:
        return emulated(spec, node, device, 1.0).energy_error or 0.0

    observations = [
        (
            key_of(one.preset, one.spec), Place(kind.spec.config, device, 1.0),
            [Sample(float(seconds), float(joules), error(one.spec, kind.spec, device))] * KNOWN_RUNS,
        )
        for t, one in enumerate(trace.types)
        for k, kind in enumerate(inventory.kinds)
        for device, seconds, joules in zip(DEVICES, times.seconds[t, k], times.joules[t, k], strict=True)
        if np.isfinite(seconds)
    ]  # fmt: skip
    call("report", "simulation_live", 1, [], observations, [], 0)
    caller().apply(call("update", None, 0.0))


def _warm_up(inventory: Any, trace: ArrivalTrace) -> None:
    """Starts the workers that the run can need, as they run on a cluster that lasts: on each node's CPUs, its GPU."""
    import ray

    index = int(np.argmax([trace.types[t].has_gpu for t in trace.type_of.tolist()]))
    nodes = [node_id for kind in inventory.kinds for node_id in kind.node_ids]
    for devices in (("cpu",) * CPUS_PER_NODE, ("gpu",)) * 2:
        ray.get([
            work.options(device=device, label_selector={"ray.io/node-id": node_id}).remote(index)
            for node_id in nodes
            for device in devices
        ])  # fmt: skip


def _simulated(trace: ArrivalTrace, times: Any, policy: str) -> Side:
    """The simulator, deciding from the very snapshot that the live run begins with."""
    from placement.scheduling.policies.registry import policy_of
    from placement.submission.snapshot_client import caller
    from profiling.simulation.simulator import SimulationRun

    live = caller().current()
    run = SimulationRun(trace, live.inventory, times, times, policy_of(policy), snapshot=live)
    run.go()
    outcome = run.outcome(1.0, None)
    return Side(outcome.makespan_seconds, outcome.mean_completion_seconds, outcome.gpu_share)


def _live(trace: ArrivalTrace, policy: str, compression: float) -> Side:
    """Sends each task when it arrives, from this one driver; the end of a task is the arrival of its result."""
    import ray

    from placement.submission.recent_decisions import decision_of

    either = work.options(policy=policy)
    on_cpu = work.options(policy=policy, device="cpu")
    arrivals = (trace.arrival_s / compression).tolist()
    sent: dict[Any, int] = {}
    ended, on_gpu = np.zeros(len(trace)), np.zeros(len(trace), dtype=bool)
    waiting: list[Any] = []
    _wait_for_quiet()
    began = time.perf_counter()
    for task, at in enumerate(arrivals):
        while (left := began + at - time.perf_counter()) > 0:
            waiting = _collect(waiting, sent, ended, began, min(left, 0.02))
        function = either if trace.types[int(trace.type_of[task])].has_gpu else on_cpu
        ref = function.remote(task)
        sent[ref] = task
        decision = decision_of(ref)
        on_gpu[task] = decision is not None and decision.device == "gpu"
        waiting.append(ref)
    while waiting:
        waiting = _collect(waiting, sent, ended, began, 10.0)
    assert ray.get(list(sent)) == list(range(len(trace)))
    completion = (ended - np.array(arrivals)) * compression
    return Side(float(ended.max()) * compression, float(completion.mean()), float(on_gpu.mean()))


def _wait_for_quiet() -> None:
    """Returns once the reports of the queues have told of no task for LAG_S, or after QUIET_S.

    A run that begins sooner decides by what is left of the run before, and the printed ratio hangs on it.
    """
    from placement.scheduling.queue_model import LAG_S
    from placement.submission.snapshot_client import caller

    caller().follow_load()
    began = quiet_since = time.monotonic()
    while (now := time.monotonic()) < min(quiet_since + LAG_S, began + QUIET_S):
        loads = caller().backlog.loads()
        if not loads or any(load.tasks >= 0.5 for load in loads.values()):
            quiet_since = now
        time.sleep(0.1)


def _collect(waiting: list[Any], sent: dict[Any, int], ended: np.ndarray, began: float, timeout_s: float) -> list[Any]:
    import ray

    if not waiting:
        time.sleep(timeout_s)
        return []
    ready, left = ray.wait(waiting, timeout=timeout_s, fetch_local=False)
    now = time.perf_counter() - began
    for ref in ready:
        ended[sent[ref]] = now
    return left


def as_dict(found: dict[str, PolicyComparison], compression: float) -> dict[str, Any]:
    """The results as plain data."""
    return {
        "compression": compression, "times": "emulated", "target": TARGET,
        "policies": {name: asdict(one) for name, one in found.items()},
    }  # fmt: skip


def show(found: dict[str, PolicyComparison], compression: float) -> None:
    """Prints the results as a table."""
    from rich.table import Table

    from profiling.terminal import TerminalConsole

    table = Table(title=f"Emulated seconds; live: time compressed {compression:g} times", title_justify="left")
    table.add_column("policy", no_wrap=True)
    for head in ("live s", "simulated s", "ratio", "within 10 %", "live mean s", "simulated mean s", "on GPU"):
        table.add_column(head, justify="right")
    for name, one in found.items():
        table.add_row(
            name, f"{one.live.makespan_seconds:.1f}", f"{one.simulated.makespan_seconds:.1f}", f"{one.ratio:.3f}",
            "yes" if abs(one.ratio - 1) <= TARGET else "no", f"{one.live.mean_completion_seconds:.1f}",
            f"{one.simulated.mean_completion_seconds:.1f}",
            f"{one.live.gpu_share:.2f}, {one.simulated.gpu_share:.2f}",
        )  # fmt: skip
    TerminalConsole().print(table)


def report(path: Path | None, policies: Sequence[str], compression: float, json_file: Path | None) -> None:
    """Replays the trace, prints the results and writes them to a JSON file."""
    found = replay(path, policies, compression=compression)
    show(found, compression)
    if json_file is not None:
        json_file.write_text(json.dumps(as_dict(found, compression), indent=1) + "\n")


def main() -> None:
    """The command line of this module."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trace", type=Path, help=f"arrival_s, preset, steps; else {TRACE}")
    parser.add_argument("--policies", default=",".join(POLICIES))
    parser.add_argument("--compression", type=float, default=COMPRESSION)
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    report(given.trace, given.policies.split(","), given.compression, given.json)


if __name__ == "__main__":
    from profiling.simulation import live_replay  # not __main__, which workers could not import

    live_replay.main()
