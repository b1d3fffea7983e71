"""One driver of the soak: rounds of mixed placed tasks, each result checked; prints how many, and what was wrong."""

from __future__ import annotations

import json
import random
import sys
import time
from typing import Any

import numpy as np
import ray

from placement import TaskSpec, placed_remote

WAIT_S = 180.0


@placed_remote(devices="any")
def square(x: int) -> int:
    return x * x


@placed_remote(
    spec=lambda data, times: TaskSpec(flops=2e3 * len(data) * times, input_bytes=8 * len(data), batch_size=1)
)
def total(data: np.ndarray, times: int) -> float:
    return float(data.sum()) * times


@placed_remote(spec=TaskSpec(flops=1e13, input_bytes=1e6, batch_size=64, parameters=100_000_000), policy="gpu_only")
def heavy(x: int) -> int:
    time.sleep(0.02)
    return x + 1


@placed_remote
def plain(x: int) -> str:
    return str(x)


class Driver:
    """Counts what it sent and what came back wrong."""

    def __init__(self, seed: int) -> None:
        self.chance = random.Random(seed)
        self.done = self.wrong = 0
        self.errors: list[str] = []

    def round(self) -> None:
        """Some tasks of every sort, then their results."""
        wanted: list[tuple[Any, Any]] = []
        for _ in range(self.chance.randrange(5, 60)):
            x = self.chance.randrange(10**6)
            sort = self.chance.randrange(4)
            if sort == 0:
                wanted.append((square.remote(x), x * x))
            elif sort == 1:
                data = np.arange(x % 1000 + 1, dtype=float)
                wanted.append((total.remote(data, 3), float(data.sum()) * 3))
            elif sort == 2:
                wanted.append((heavy.remote(x), x + 1))
            else:
                wanted.append((plain.remote(x), str(x)))
        for ref, right in wanted:
            self.check(ray.get(ref, timeout=WAIT_S), right)
        if self.chance.random() < 0.2:
            for x, got in enumerate(square.map(range(40))):
                self.check(got, x * x)

    def check(self, got: Any, right: Any) -> None:
        self.done += 1
        self.wrong += got != right

    def run(self, seconds: float) -> None:
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            try:
                self.round()
            except Exception as error:  # a result that never came, or an error in its place
                self.errors.append(f"{type(error).__name__}: {error}"[:500])
            time.sleep(self.chance.uniform(0, 0.5))


def main(address: str, seconds: float, seed: int) -> None:
    ray.init(address=address, log_to_driver=False, logging_level="ERROR")
    driver = Driver(seed)
    driver.run(seconds)
    print(json.dumps({"done": driver.done, "wrong": driver.wrong, "errors": driver.errors}))


if __name__ == "__main__":
    main(sys.argv[1], float(sys.argv[2]), int(sys.argv[3]))
