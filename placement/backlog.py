"""How long the queues are: what was polled of the cluster, and what this driver sent since.

Pure bookkeeping; the clock comes from outside. A poll tells of everybody's tasks: this driver's, other drivers' and
those of Ray jobs that do not use this library. What this driver sends counts at once, not at the next poll, so that a
burst of calls spreads out. Between events the work shrinks by one second a second for each slot that is busy.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from placement.task import Device

LARGEST_SENT = 65_536  # sends remembered for the next poll; more than a driver can submit between two polls

Queue = tuple[str, Device]
"""(config, device)."""


@dataclass(frozen=True, slots=True)
class Load:
    """One device of one config, over all its nodes, at one moment.

    slots: how many tasks it runs at once.  tasks: running and waiting.  seconds: what is left of them, summed;
    None = their durations are unknown, and the mean of this device's known ones is taken.
    startup_s: what a new task pays before it starts where no worker is warm.
    """

    slots: float
    tasks: float = 0.0
    seconds: float | None = None
    startup_s: float = 0.0


@dataclass(slots=True)
class _Line:
    slots: float
    tasks: float
    seconds: float
    startup_s: float
    since: float

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

    exact: every end is told through `ended` (as a simulator does); tasks are then counted, not let go with the time.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic, *, exact: bool = False) -> None:
        self._clock = clock
        self._exact = exact
        self._lines: dict[Queue, _Line] = {}
        self._sent: deque[tuple[float, Queue, float]] = deque(maxlen=LARGEST_SENT)
        self._mean: dict[Device, tuple[int, float]] = {}
        self._polled: float | None = None

    @property
    def age_s(self) -> float | None:
        """Seconds since the last poll; None = there was none."""
        return None if self._polled is None else self._clock() - self._polled

    def wait_s(self, config: str, device: Device, /) -> float | None:
        """Seconds until a task sent now is expected to start; 0 where a slot is free, None where nothing is known.

        With n slots busy and k >= n tasks of W seconds in all: W / n * (k - n + 1) / k, which is the mean time to
        the next end where none waits, and the whole queue's where many do.
        """
        line = self._lines.get((config, device))
        if line is None:
            return None
        n = line.slots
        if line.tasks < n or not n:
            return line.startup_s
        self._advance(line)
        k = line.tasks
        if k < n:
            return line.startup_s
        return line.startup_s + line.seconds / n * (k - n + 1) / k

    def sent(self, config: str, device: Device, seconds: float | None = None) -> None:
        """Counts a task of this driver's, with its expected seconds (None: the mean of those known)."""
        queue: Queue = (config, device)
        expected = self._typical(device) if seconds is None else self._learn(device, seconds)
        self._sent.append((self._clock(), queue, expected))
        self._add(queue, expected)

    def ended(self, config: str, device: Device, expected: float, took: float | None = None) -> None:
        """A task that was sent with `expected` seconds is over, after `took` (None: as expected)."""
        line = self._lines.get((config, device))
        if line is None:
            return
        self._advance(line)
        line.tasks = max(0.0, line.tasks - 1)
        line.seconds = max(0.0, line.seconds - (expected - (expected if took is None else took)))
        if line.tasks < 0.5:
            line.seconds = 0.0

    def withdrawn(self, config: str, device: Device, expected: float) -> None:
        """A task that was sent there does not run there: cancelled, or another config took it."""
        line = self._lines.get((config, device))
        if line is not None:
            self._advance(line)
            line.tasks, line.seconds = max(0.0, line.tasks - 1), max(0.0, line.seconds - expected)

    def merge(self, loads: Mapping[Queue, Load], at: float) -> None:
        """Takes over a poll of the moment `at` (of the clock), in place of all before; later sends stay on top."""
        self._polled = at
        self._lines = {
            queue: _Line(load.slots, load.tasks, self._seconds(queue, load), load.startup_s, at)
            for queue, load in loads.items()
        }
        while self._sent and self._sent[0][0] <= at:
            self._sent.popleft()
        for _, queue, expected in self._sent:
            self._add(queue, expected)

    def _seconds(self, queue: Queue, load: Load) -> float:
        return load.tasks * self._typical(queue[1]) if load.seconds is None else load.seconds

    def _add(self, queue: Queue, expected: float) -> None:
        line = self._lines.get(queue)
        if line is not None:
            self._advance(line)
            line.tasks += 1
            line.seconds += expected

    def _advance(self, line: _Line) -> None:
        now = self._clock()
        if now <= line.since:
            return
        if not self._exact:
            line.advance(now)
        else:
            line.seconds = max(0.0, line.seconds - (now - line.since) * min(line.tasks, line.slots))
            line.since = now

    def _learn(self, device: Device, seconds: float) -> float:
        runs, mean = self._mean.get(device, (0, 0.0))
        runs = min(runs + 1, 1000)  # of the last thousand or so
        self._mean[device] = (runs, mean + (seconds - mean) / runs)
        return seconds

    def _typical(self, device: Device) -> float:
        return self._mean.get(device, (0, 0.0))[1]
