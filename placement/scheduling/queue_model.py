"""Lengths of the cluster's queues: the last poll of the cluster, and the tasks this driver has sent since.

Pure bookkeeping; the clock comes from outside. A poll tells of everybody's tasks: this driver's, other drivers' and
those of Ray jobs that do not use this library. What this driver sends counts at once, not at the next poll, so that a
burst of calls spreads out. Between events the work shrinks by one second a second for each slot that is busy.

A poll lags behind: Ray tells of a task that waits up to some 1.2 s after it was sent. What was sent within that time
and is not in the poll stays counted, as far as the queue was longer before the poll than the poll says.
"""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from placement.scheduling.candidates import Queue
from placement.spec.task import Device

LARGEST_RECENT = 65_536  # sends remembered for the next poll; more than a driver can submit between two polls
LAG_S = 1.5  # Ray's own reports of what waits come up to 1.2 s late; measured on two nodes
# A poll older than this says nothing any more; polls come every 0.5 s, and 5 s apart while nothing changes.
STALE_S = 10.0
RESOLUTION_S = 0.005  # a wait is worked out anew no more often, where nothing has happened in between
ENERGY_KEPT = 0.95  # of the energy of earlier tasks at each new one: the mean watts are those of the last 20 or so
GUESS_S = 1.0  # of a task whose seconds are not known, while those of no other are; a guess


@dataclass(frozen=True, slots=True)
class Load:
    """One device of one config, over all its nodes, at one moment.

    slots: how many tasks of one CPU or GPU it runs at once.  tasks: running and waiting; one of four CPUs counts four.
    seconds: what is left of them, summed; None = their durations are unknown, and the mean of this device's known ones
    is taken.  startup_s: what a new task pays before it starts where no worker is warm.
    """

    slots: float
    tasks: float = 0.0
    seconds: float | None = None
    startup_s: float = 0.0


@dataclass(slots=True)
class _QueueState:
    slots: float
    tasks: float
    seconds: float
    startup_s: float
    since: float
    wait: float = 0.0
    wait_until: float = -math.inf

    def advance(self, now: float) -> None:
        """Lets the work done meanwhile go."""
        done = (now - self.since) * min(self.tasks, self.slots)
        self.since = now
        if done <= 0:
            return
        if done >= self.seconds:
            self.seconds = self.tasks = 0.0
        else:
            # Those that wait get fewer; those that run are there until all work is done.
            self.tasks = max(self.tasks * (1 - done / self.seconds), min(self.tasks, self.slots))
            self.seconds -= done


class Backlog:
    """The queues of all (config, device), as far as this driver knows them.

    exact: every end is reported by `complete` (as a simulator does); tasks are then counted, not let go with the time,
    and nothing grows stale.  lag_s: how late a poll may tell of a task.
    speed: seconds of tasks that pass in one of the clock; other than 1 on an emulated cluster that compresses time.
    One thread merges while others send and ask: dicts are replaced whole, and what falls between is in the next poll.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic, *, exact: bool = False, lag_s: float = 0.0) -> None:
        self._clock = clock
        self.exact = exact
        self._lag_s = lag_s
        self._states: dict[Queue, _QueueState] = {}
        self._recent: deque[tuple[float, Queue, float, float]] = deque(maxlen=LARGEST_RECENT)
        self._mean: dict[Device, tuple[int, float]] = {}
        self.speed = 1.0
        self.typical: Mapping[Device, float] = {}
        """Mean seconds of recent tasks by device, from the cluster's records; in seconds of the clock."""
        self._polled: float | None = None
        self.gpu_price: float | None = None
        """Price of a second of GPU in seconds of CPU, as the last decision moved it; None = none has."""
        self._energy: dict[Queue, tuple[float, float]] = {}

    @property
    def age_s(self) -> float | None:
        """Seconds since the last poll; None = there was none."""
        if self._polled is None:
            return None
        return 0.0 if self.exact else self._clock() - self._polled

    @property
    def draw_w(self) -> float:
        """Watts that the running tasks draw: each queue's busy slots, by the mean watts of what was lately sent there.

        A queue to which this process has sent nothing of known joules counts as nothing.
        """
        total, now = 0.0, self._clock()
        for queue, (joules, slot_seconds) in self._energy.items():
            state = self._states.get(queue)
            if state is not None:
                self._advance(state, now)
                total += joules / slot_seconds * min(state.tasks, state.slots)
        return total

    def wait_s(self, config: str, device: Device, /) -> float | None:
        """Seconds until a task sent now is expected to start; 0 where a slot is free, None where nothing is known.

        With n slots busy and k >= n tasks of W seconds in all: W / n * (k - n + 1) / k, which is the mean time to
        the next end where none waits, and the whole queue's where many do.
        """
        return self.waits_s(((config, device),))[0]

    def waits_s(self, queues: Sequence[Queue], /) -> list[float | None]:
        """The result of wait_s for each of many queues."""
        states, now, resolution = self._states, self._clock(), 0.0 if self.exact else RESOLUTION_S
        waits: list[float | None] = []
        for queue in queues:
            state = states.get(queue)
            if state is None:
                waits.append(None)
            elif state.tasks < state.slots or not state.slots:
                waits.append(state.startup_s)
            elif now <= state.wait_until:
                waits.append(state.wait)
            else:
                self._advance(state, now)
                k, slots = state.tasks, state.slots  # as `_wait` of one slot
                passes = state.seconds / slots * (k - slots + 1.0) / k * self.speed if k >= slots else 0.0
                state.wait = state.startup_s + passes
                state.wait_until = now + resolution
                waits.append(state.wait)
        return waits

    def wait_of(self, config: str, device: Device, need: float) -> float | None:
        """The result of wait_s for a task that takes `need` slots."""
        state = self._states.get((config, device))
        return None if state is None else self._wait(state, need, self._clock())

    def _wait(self, state: _QueueState, need: float, now: float) -> float:
        full = state.slots - need + (1.0 if need >= 1 else 1e-9)  # a fraction of a task may be left of many
        if need and state.tasks >= full and state.slots:  # a task that takes no slot waits for none
            self._advance(state, now)
            k = state.tasks
            if k >= full:
                wait = state.seconds / state.slots * max(0.0, k - state.slots + need) / k
                return state.startup_s + wait * self.speed
        return state.startup_s

    def enqueue(
        self, config: str, device: Device, seconds: float | None = None, slots: float = 1.0,
        gpu_price: float | None = None, joules: float | None = None,
    ) -> float:  # fmt: skip
        """Counts a task of this driver's: its expected seconds (None: the mean of those known), the slots it takes.

        Returns the seconds that it is counted with.  slots may also be those of many tasks alike.  gpu_price: the price
        that the task's decision moved.  joules: expected of the run, for `draw_w`; None = not known.
        """
        if joules is not None and seconds:
            before, during = self._energy.get((config, device), (0.0, 0.0))
            kept = before * ENERGY_KEPT + joules, during * ENERGY_KEPT + seconds * slots
            self._energy[config, device] = kept
        if gpu_price is not None:
            self.gpu_price = gpu_price
        queue: Queue = (config, device)
        expected = self._typical(device) if seconds is None else self._learn(device, seconds / self.speed)
        now = self._clock()
        self._recent.append((now, queue, expected, slots))
        self._add(queue, expected, slots, now)
        return expected

    def enqueued_since(self, since: float) -> tuple[float, dict[Queue, tuple[float, float]]]:
        """(now, queue -> (slots, slot-seconds) of what was sent after a moment of the clock)."""
        found: dict[Queue, tuple[float, float]] = {}
        until = since
        for at, queue, expected, slots in list(self._recent):
            if at > since:
                n, seconds = found.get(queue, (0.0, 0.0))
                found[queue] = (n + slots, seconds + slots * expected)
                until = at
        return until, found

    def loads(self) -> dict[Queue, Load]:
        """All queues as they are now."""
        for state in self._states.values():
            self._advance(state, self._clock())
        return {q: Load(state.slots, state.tasks, state.seconds, state.startup_s) for q, state in self._states.items()}

    def complete(
        self, config: str, device: Device, expected: float, took: float | None = None, slots: float = 1.0
    ) -> None:
        """A task that was sent with `expected` seconds is over, after `took` (None: as expected)."""
        state = self._states.get((config, device))
        if state is None:
            return
        self._advance(state, self._clock())
        state.wait_until = -math.inf
        state.tasks = max(0.0, state.tasks - slots)
        state.seconds = max(0.0, state.seconds - slots * (expected - (expected if took is None else took)))
        if state.tasks < 0.5 * slots:
            state.seconds = 0.0

    def cancel(self, config: str, device: Device, expected: float, slots: float = 1.0) -> None:
        """A task that was sent there does not run there: cancelled, or another config took it."""
        state = self._states.get((config, device))
        if state is not None:
            self._advance(state, self._clock())
            state.wait_until = -math.inf
            state.tasks = max(0.0, state.tasks - slots)
            state.seconds = max(0.0, state.seconds - slots * expected)

    def merge(self, loads: Mapping[Queue, Load], at: float) -> None:
        """Takes over a poll of the moment `at` (of the clock), in place of all before; later sends stay on top."""
        before, self._polled = self._states, at
        states = {
            queue: _QueueState(load.slots, load.tasks, self._seconds(queue, load), load.startup_s, at)
            for queue, load in loads.items()
        }
        while self._recent and self._recent[0][0] <= at - self._lag_s:
            self._recent.popleft()
        late: dict[Queue, tuple[float, float]] = {}
        after = []
        for sent, queue, expected, slots in list(self._recent):
            if sent > at:
                after.append((queue, expected, slots))
            else:
                n, seconds = late.get(queue, (0.0, 0.0))
                late[queue] = (n + slots, seconds + slots * expected)
        for queue, (n, seconds) in late.items():
            state, old = states.get(queue), before.get(queue)
            if state is not None and old is not None:
                self._advance(old, self._clock())
                missing = min(n, max(0.0, old.tasks - state.tasks))
                state.tasks += missing
                state.seconds += missing * seconds / n
        self._states = states
        for queue, expected, slots in after:
            self._add(queue, expected, slots, self._clock())

    def _seconds(self, queue: Queue, load: Load) -> float:
        """The work that a poll tells of: its own figure, or by the mean of what this process knows to wait there."""
        if load.seconds is not None:
            return load.seconds
        old = self._states.get(queue)
        waits = old is not None and old.tasks > old.slots
        return load.tasks * (old.seconds / old.tasks if waits and old is not None else self._typical(queue[1]))

    def _add(self, queue: Queue, expected: float, slots: float, now: float) -> None:
        state = self._states.get(queue)
        if state is not None:
            if self.exact or now - state.since > RESOLUTION_S:
                self._advance(state, now)
            state.tasks += slots
            state.seconds += expected * slots
            state.wait_until = -math.inf

    def _advance(self, state: _QueueState, now: float) -> None:
        if now <= state.since:
            return
        if not self.exact:
            state.advance(now)
        else:
            busy = state.tasks if state.tasks < state.slots else state.slots
            left = state.seconds - (now - state.since) * busy
            state.seconds = left if left > 0.0 else 0.0
            state.since = now

    def _learn(self, device: Device, seconds: float) -> float:
        runs, mean = self._mean.get(device, (0, 0.0))
        runs = min(runs + 1, 1000)  # of the last thousand or so
        self._mean[device] = (runs, mean + (seconds - mean) / runs)
        return seconds

    def _typical(self, device: Device) -> float:
        return self.typical.get(device) or self._mean.get(device, (0, GUESS_S))[1]
