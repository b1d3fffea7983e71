"""The memory of a task that leaves tensors on the GPU is free for the next task, though its worker could be kept."""

from __future__ import annotations

import os

import ray
from gpu_step import SPEC, ray_with_gpu, report, used_bytes, wait_until

from placement import current_device, placed_remote

HELD_BYTES = 3 * 10**9
kept = []


def leaves(size: int) -> tuple[str, int]:
    """Leaves a tensor of so many bytes in a global variable; (device, process id)."""
    import builtins

    import torch

    device = current_device()
    builtins.left_behind = torch.empty(size, dtype=torch.uint8, device=device)  # type: ignore[attr-defined]
    return device, os.getpid()


def main() -> None:
    """NVML's used bytes before, while the tensor is left, and once the worker has ended."""
    with ray_with_gpu():
        placed = placed_remote(spec=SPEC, policy="gpu_only")(leaves)
        before = used_bytes()
        small = [ray.get(placed.remote(1000)) for _ in range(2)]
        bare = used_bytes()
        _, holder = ray.get(placed.remote(HELD_BYTES))
        gone = wait_until(lambda: used_bytes() <= bare + HELD_BYTES // 10)
        after = used_bytes()
        _, successor = ray.get(placed.remote(1000))
    report(
        {"before": before, "with_a_bare_worker": bare, "after": after, "small": small, "context_bytes": bare - before},
        workers_that_hold_nothing_are_kept=small[0][1] == small[1][1],
        memory_is_free_again=bool(gone),
        the_next_task_has_another_worker=successor != holder,
    )


if __name__ == "__main__":
    main()
