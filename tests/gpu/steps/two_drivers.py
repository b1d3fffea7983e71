"""Two drivers on one GPU: each gets its turns, though either's worker could be kept for its own next task.

python two_drivers.py              starts the cluster, and a second driver of this same program
python two_drivers.py ADDRESS      the second driver
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from itertools import pairwise

import ray
from gpu_step import SPEC, ray_with_gpu, rehearsed, report

from placement import current_device, placed_remote
from profiling.bench.tasks import gpu_work

TASKS = 4 if rehearsed else 50
LONGEST_S = 90.0


def turn(number: int) -> tuple[str, int, float, float]:
    """10 ms on the GPU: (device, process id, begin, end)."""
    begun = time.time()
    gpu_work(number)
    return current_device(), os.getpid(), begun, time.time()


def tasks() -> list[tuple[str, int, float, float]]:
    """The turns of this driver, sent at once."""
    placed = placed_remote(spec=SPEC, device="gpu")(turn)
    return ray.get([placed.remote(i) for i in range(TASKS)], timeout=LONGEST_S)


def second(address: str) -> None:
    """Runs the tasks on the cluster of the first driver."""
    ray.init(address, log_to_driver=False, logging_level="ERROR")
    print("turns:" + json.dumps(tasks()), flush=True)


def overlaps(turns: list[tuple[str, int, float, float]]) -> int:
    """Pairs of neighbouring turns that were on the GPU at the same time."""
    ordered = sorted(turns, key=lambda one: one[2])
    return sum(later[2] < earlier[3] for earlier, later in pairwise(ordered))


def main() -> None:
    """Both drivers at the same time."""
    with ray_with_gpu(cpus=4) as address:
        ray.get(placed_remote(spec=SPEC, device="gpu")(turn).remote(0))
        other = subprocess.Popen([sys.executable, __file__, address], stdout=subprocess.PIPE, text=True)
        begun = time.time()
        mine = tasks()
        text = other.communicate(timeout=LONGEST_S)[0]
        seconds = time.time() - begun
    lines = [line.removeprefix("turns:") for line in text.splitlines() if line.startswith("turns:")]
    theirs = [tuple(one) for one in json.loads(lines[0])] if lines else []
    both = [*mine, *theirs]
    report(
        {
            "seconds": seconds, "tasks_per_s": len(both) / seconds, "workers": len({one[1] for one in both}),
            "overlaps": overlaps(both),
        },
        both_drivers_finish=len(mine) == len(theirs) == TASKS,
        every_turn_was_on_the_gpu=all(one[0] == "cuda:0" for one in both),
        no_two_turns_shared_it=overlaps(both) == 0,
    )  # fmt: skip


if __name__ == "__main__":
    second(sys.argv[1]) if len(sys.argv) > 1 else main()
