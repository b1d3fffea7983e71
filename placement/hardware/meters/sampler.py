"""One thread for a node that reads its meters and keeps the trace."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from types import TracebackType

from placement.errors import OptionError
from placement.hardware.meters.channel import Accumulator, Meter, MeterLostError
from placement.hardware.meters.cpu import cpu_meters, cpu_tdp_w, logical_cpus
from placement.hardware.meters.gpu import gpu_meters
from placement.hardware.meters.power_trace import PowerTrace, Series

LONGEST_INTERVAL_S = 0.05
"""Power is integrated at 20 Hz or more."""
_RETRY_S = 1.0
_log = logging.getLogger(__name__)


def node_meters(tdp_w: float | None = None) -> tuple[list[Meter], dict[str, str]]:
    """All meters of this node, and why what cannot be measured cannot: "cpu" or a GPU's UUID -> reason.

    tdp_w: of the processor, for an estimate where RAPL may not be read; by default what RAPL tells of it.
    """
    cpu, no_cpu = cpu_meters(tdp_w or cpu_tdp_w())
    gpu, no_gpu = gpu_meters()
    return [*cpu, *gpu], {**no_cpu, **no_gpu}


class Sampler:
    """Reads meters every `interval_s` in a thread of its own, from `start` to `stop` (or as a context manager).

    The trace is bounded: all points of the last minutes, coarser ones for three days. A meter whose device does not
    answer is read again each second; the rest go on.

    Raises OptionError on an interval that is not within (0, 0.05] s.
    """

    def __init__(
        self,
        meters: Iterable[Meter],
        unmeasured: Mapping[str, str] | None = None,
        *,
        interval_s: float = LONGEST_INTERVAL_S,
        cpus: int | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        if not 0 < interval_s <= LONGEST_INTERVAL_S:
            raise OptionError(f"interval_s={interval_s!r}: must be over 0 and at most {LONGEST_INTERVAL_S} s (20 Hz).")
        self._meters = [(meter, Accumulator(meter.channel)) for meter in meters]
        self._never = dict(unmeasured or {})
        self._interval_s = interval_s
        self._cpus = cpus or logical_cpus()
        self._clock = clock
        self._lost: dict[str, tuple[float, str]] = {}
        self._lock = threading.Lock()
        self._sampled = threading.Condition(self._lock)
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None
        self._latest = float("-inf")

    def start(self) -> Sampler:
        """Starts the thread; once."""
        if self._thread is None:
            self.sample()  # a window that begins now is covered
            self._thread = threading.Thread(target=self._run, name="placement-power", daemon=True)
            self._thread.start()
        return self

    def stop(self) -> None:
        """Ends the thread; the trace stays."""
        self._stopping.set()
        if self._thread is not None:
            self._thread.join()

    def __enter__(self) -> Sampler:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, fault: BaseException | None, where: TracebackType | None
    ) -> None:
        self.stop()

    def _run(self) -> None:
        while not self._stopping.wait(self._interval_s):
            try:
                self.sample()
            except Exception:  # a meter that breaks its word must not end the trace of the others
                _log.exception("a meter failed in an unknown way")

    def sample(self) -> None:
        """Reads every meter once, now. The thread does this; without a thread (replay) the caller does."""
        for meter, points in self._meters:
            name, now = meter.channel.name, self._clock()
            if name in self._lost and 0 <= now - self._lost[name][0] < _RETRY_S:
                continue
            try:
                reading = meter.read()
            except MeterLostError as fault:
                if name not in self._lost:
                    _log.warning("not measured from now on: %s", fault)
                with self._lock:
                    self._lost[name] = (now, str(fault))
                    points.lose(now)
                continue
            with self._lock:
                self._lost.pop(name, None)
                points.add(now, reading)
        with self._sampled:
            self._latest = self._clock()
            self._sampled.notify_all()

    def trace(self, until: float | None = None, timeout_s: float = 0.5) -> PowerTrace:
        """The trace so far; with `until`, once it reaches past that time, or after the timeout as far as it is.

        A counter moves about every 100 ms, so the energy of a window that has just ended is known a little later.
        """
        with self._sampled:
            if until is not None and self._thread is not None:
                slowest = max((meter.channel.resolution_s for meter, _ in self._meters), default=0.0)
                reached = until + 2 * slowest
                self._sampled.wait_for(lambda: self._latest >= reached or self._stopping.is_set(), timeout_s)
            series = {m.channel.name: Series.of(m.channel, points.points()) for m, points in self._meters}
            lost = {_device(name): reason for name, (_, reason) in self._lost.items() if not name.startswith("busy:")}
        return PowerTrace(
            packages=tuple(one for name, one in series.items() if name.startswith("cpu:")),
            gpus={name.removeprefix("gpu:"): one for name, one in series.items() if name.startswith("gpu:")},
            cpu_busy=series.get("busy:cpu"),
            gpu_busy={
                name.removeprefix("busy:gpu:"): one for name, one in series.items() if name.startswith("busy:gpu:")
            },
            cpus=self._cpus,
            unmeasured={**self._never, **lost},
        )


def _device(channel: str) -> str:
    """ "cpu" or the GPU's UUID."""
    return "cpu" if channel.startswith("cpu:") else channel.removeprefix("gpu:")
