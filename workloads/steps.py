"""Feeds a device step by step: from one decoded batch, or from a loader that decodes ahead in a thread."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from time import perf_counter
from typing import TYPE_CHECKING, Any, NamedTuple

from workloads.base import Outcome, require

if TYPE_CHECKING:
    import numpy as np
    import torch


class Inputs(NamedTuple):
    """A batch for a network: its arguments by name, and the labels."""

    arguments: Mapping[str, np.ndarray]
    labels: np.ndarray


Feed = Callable[[], Inputs]


def repeated(
    step: Callable[[dict[str, torch.Tensor], torch.Tensor], torch.Tensor],
    feed: Feed,
    device: str,
    steps: int,
    loader: bool,
) -> Outcome:
    """Runs the steps and waits for the device once, at the end: a GPU computes while the next batch is loaded."""
    require(device, "cpu", "cuda")
    if steps < 1:
        raise ValueError(f"steps={steps!r} must be at least 1.")
    batches = Prefetched(feed, steps) if loader else Repeated(feed)
    clock = TransferClock(device)
    samples, value = 0, None
    try:
        for _ in range(steps):
            inputs = batches.next()
            with clock:
                arguments = {name: on_device(array, device) for name, array in inputs.arguments.items()}
                labels = on_device(inputs.labels, device)
            value = step(arguments, labels)
            samples += len(inputs.labels)
    finally:
        batches.close()
    return Outcome(float(value), samples, clock.seconds(), batches.seconds)


def on_device(array: np.ndarray, device: str) -> torch.Tensor:
    """The array as a tensor on the device. A read-only one (from an object store) is copied: torch takes none."""
    import torch

    return torch.from_numpy(array if array.flags.writeable else array.copy()).to(device)


class Repeated:
    """The same decoded batch for each step."""

    seconds: float | None = None

    def __init__(self, feed: Feed) -> None:
        self.inputs = feed()

    def next(self) -> Inputs:
        """The batch."""
        return self.inputs

    def close(self) -> None:
        """Does nothing: there is no thread to end."""


class Prefetched:
    """A batch decoded anew for each step, one step ahead in a thread. seconds: the loader's own, all steps together."""

    def __init__(self, feed: Feed, steps: int) -> None:
        self.feed, self.left = feed, steps
        self.seconds: float | None = 0.0
        self.pool = ThreadPoolExecutor(1, thread_name_prefix="loader")
        self.ahead = self.pool.submit(self.timed)

    def timed(self) -> tuple[Inputs, float]:
        """A batch, and the seconds it took."""
        start = perf_counter()
        return self.feed(), perf_counter() - start

    def next(self) -> Inputs:
        """The batch that was loaded ahead; the next one is begun."""
        inputs, seconds = self.ahead.result()
        self.left -= 1
        self.seconds = (self.seconds or 0.0) + seconds
        if self.left:
            self.ahead = self.pool.submit(self.timed)
        return inputs

    def close(self) -> None:
        """Waits for the thread."""
        self.pool.shutdown(wait=True, cancel_futures=True)


class TransferClock:
    """Seconds of the copies to a device, by CUDA events: nothing waits for the device before `seconds()`."""

    def __init__(self, device: str) -> None:
        self.device = device
        self.events: list[Any] = []

    def __enter__(self) -> None:
        self.mark()

    def __exit__(self, *_: object) -> None:
        self.mark()

    def mark(self) -> None:
        """An event in the device's stream."""
        if self.device == "cpu":
            return
        import torch

        event = torch.cuda.Event(enable_timing=True)
        event.record(torch.cuda.current_stream(self.device))
        self.events.append(event)

    def seconds(self) -> float:
        """0.0 on a CPU, where nothing is copied."""
        if self.device == "cpu":
            return 0.0
        import torch

        torch.cuda.synchronize(self.device)
        starts, ends = self.events[::2], self.events[1::2]
        return sum(start.elapsed_time(end) for start, end in zip(starts, ends, strict=True)) / 1e3
