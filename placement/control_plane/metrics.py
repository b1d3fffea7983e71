"""Ray metrics of the placement actor, from the records that workers send to it. Nothing here is on a task's path.

In Prometheus the names begin with `ray_placement_`; a dashboard for Grafana is in `placement/data/grafana.json`.

    decisions             tasks that ended, by device, policy and reason (its first words)
    joules                of those tasks, by device, where they are known
    gpu_seconds_saved     of tasks that ran on a CPU: the seconds that the GPU is known to take for them
    regret_seconds        seconds beyond those of the device that the rule names by what history knows of both
    fallbacks             GPU tasks that ended on a CPU
    trial_seconds, trial_seconds_left   seconds of runs that tried a device, and what the budget leaves for more
    queue_tasks, wait_seconds   running and waiting, and the wait expected now, by config and device; while callers
                          whose policy looks at queues ask for them
    records_received, records_written, records_lost
    learning_events       refits, verdicts, swaps, rollbacks and drifts of the learner, by kind
    selector              1 for the version in service, 0 for those before it; snapshot: its version
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping
from operator import itemgetter
from typing import Any

from ray.util.metrics import Counter, Gauge

from placement.messages.reports import Observation
from placement.prediction.runtime_history import History
from placement.scheduling.candidates import Queue
from placement.scheduling.queue_model import STALE_S, Backlog
from placement.spec.joint_threshold import DeviceRun, JointThreshold
from placement.spec.task import DEVICES, Device
from placement.spec.task_record import Rows

PREFIX = "placement_"
EVERY_S = 2.0
RECORDS = {
    "records_received": "Rows that workers sent.",
    "records_written": "Rows written to the log.",
    "records_lost": "Rows lost before they were written.",
}
"""Gauges of the log's rows: name -> description."""
LAST_DECISIONS = 50

SHOWN = (
    "time_utc", "function", "config", "device", "reason", "policy", "probability", "cpu_joules", "gpu_joules",
    "compute_s", "transfer_s", "fallback", "error",
)  # fmt: skip
"""The columns of the last decisions in `placement status`."""


def first_words(reason: str | None) -> str:
    """The part of a reason before its first comma, so that the metric has few series."""
    return (reason or "not_placed").split(",", 1)[0]


def _sum(rows: Rows, column: str) -> float:
    """The sum of a column's known values."""
    if column in rows.each:
        return sum(value for value in rows.each[column] if value is not None)
    return (rows.same.get(column) or 0.0) * rows.number


def _seconds(rows: Rows) -> list[float]:
    """Seconds of the runs whose seconds are known."""
    pairs = zip(rows.column("compute_s"), rows.column("transfer_s"), strict=True)
    return [compute + (transfer or 0.0) for compute, transfer in pairs if compute is not None]


class Metrics:
    """Counters and gauges of the records. rule: names the right device of a task whose runs on both are known."""

    def __init__(self, rule: JointThreshold | None = None) -> None:
        self._rule = rule or JointThreshold()
        self.last: deque[dict[str, Any]] = deque(maxlen=LAST_DECISIONS)
        self._decisions = Counter(PREFIX + "decisions", "Tasks placed.", ("device", "policy", "reason"))
        self._joules = Counter(PREFIX + "joules", "Energy of the tasks placed, where known, J.", ("device",))
        self._saved = Counter(PREFIX + "gpu_seconds_saved", "GPU seconds that tasks on CPUs did not take, s.")
        self._regret = Counter(PREFIX + "regret_seconds", "Seconds beyond those of the rule's device, s.")
        self._fallbacks = Counter(PREFIX + "fallbacks", "GPU tasks that ended on a CPU.")
        self._tasks = Gauge(PREFIX + "queue_tasks", "Running and waiting, in CPUs or GPUs.", ("config", "device"))
        self._wait = Gauge(PREFIX + "wait_seconds", "Expected wait of a new task, s.", ("config", "device"))
        self._records = {name: Gauge(PREFIX + name, description) for name, description in RECORDS.items()}
        self._learned = Counter(PREFIX + "learning_events", "What the learner did or found.", ("kind",))
        self._selector = Gauge(PREFIX + "selector", "1: the selector in service.", ("version",))
        self._snapshot = Gauge(PREFIX + "snapshot", "Version of the snapshot.")
        self._trials = Gauge(PREFIX + "trial_seconds", "Seconds of runs that tried a device, s.")
        self._trials_left = Gauge(PREFIX + "trial_seconds_left", "Seconds that trials may still take, s.")
        self._versions: set[str] = set()
        self._queues: set[Queue] = set()

    def rows(self, rows: Iterable[Rows]) -> dict[Device, tuple[float, int]]:
        """Counts a batch of `placement.worker.run_records`; rows of functions that are not placed are passed over.

        Returns device -> (seconds of its tasks where they are known, number of these tasks).
        """
        took: dict[Device, tuple[float, int]] = {}
        newest: list[dict[str, Any]] = []
        for some in rows:
            device, policy, reason = some.same["device"], some.same.get("policy"), some.same.get("reason")
            if policy is None:
                continue
            self._decisions.inc(some.number, {"device": device, "policy": policy, "reason": first_words(reason)})
            joules = _sum(some, "cpu_joules") + _sum(some, "gpu_joules")
            if joules:
                self._joules.inc(joules, {"device": device})
            if some.same.get("fallback") is not None:
                self._fallbacks.inc(some.number)
            known = _seconds(some)
            if known:
                seconds, n = took.get(device, (0.0, 0))
                took[device] = (seconds + sum(known), n + len(known))
            last = some.last(LAST_DECISIONS)
            columns = [last.column(name) for name in SHOWN]
            newest += [dict(zip(SHOWN, values, strict=True)) for values in zip(*columns, strict=True)]
        self.last.extend(sorted(newest, key=itemgetter("time_utc"))[-LAST_DECISIONS:])
        return took

    def observations(self, observations: Iterable[Observation], history: History) -> None:
        """Counts warm timings, which the history holds already."""
        saved = regret = 0.0
        for key, place, samples in observations:
            seen = history.get(key)
            if seen is None:
                continue
            cpu, gpu = (seen.at(place.config, device, place.cpus) for device in DEVICES)
            if cpu.seconds is None or gpu.seconds is None:
                continue
            if place.device == "cpu":
                saved += gpu.seconds * len(samples)
            right = self._rule.label(DeviceRun(cpu.seconds, cpu.joules), DeviceRun(gpu.seconds, gpu.joules))
            if right is not None and right.device != place.device:
                best = cpu.seconds if right.device == "cpu" else gpu.seconds
                regret += sum(max(0.0, seconds - best) for seconds, *_ in samples)
        if saved:
            self._saved.inc(saved)
        if regret:
            self._regret.inc(regret)

    def learned(self, kind: str) -> None:
        """Counts an event of the learner."""
        self._learned.inc(1.0, {"kind": kind})

    def state(
        self, counts: Mapping[str, int], selector: str, snapshot: int, backlog: Backlog, trials: Mapping[str, float]
    ) -> None:
        """Sets the gauges, every EVERY_S seconds. A queue or a selector that has gone is set to 0."""
        for name, gauge in self._records.items():
            gauge.set(counts[name.replace("records", "rows")])
        self._versions.add(selector)
        for version in self._versions:
            self._selector.set(float(version == selector), {"version": version})
        self._snapshot.set(snapshot)
        self._trials.set(trials["trial_s"])
        self._trials_left.set(trials["left_s"])
        if backlog.age_s is None or backlog.age_s > STALE_S:
            return  # no caller wants the load, so it is not polled
        loads = backlog.loads()
        self._queues |= set(loads)
        for config, device in self._queues:
            tags = {"config": config, "device": device}
            load = loads.get((config, device))
            self._tasks.set(load.tasks if load else 0.0, tags)
            self._wait.set((backlog.wait_s(config, device) or 0.0) if load else 0.0, tags)
