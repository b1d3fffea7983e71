"""A placed function of a user's own, and its inputs, for `placement sweep --function`."""

from __future__ import annotations

import time

import placement


@placement.placed_remote(
    spec=lambda size: placement.TaskSpec(flops=1e9 * size, input_bytes=4.0 * size, batch_size=size)
)
def work(size: int) -> bytes:
    """Takes a millisecond; fails on the input 13, and is too slow on the input 99."""
    if size == 13:
        raise ValueError("an unlucky input")
    time.sleep(5.0 if size == 99 else 0.001)
    return bytes(size)


@placement.placed_remote(devices="any", side_effects=True)
def charge(size: int) -> int:
    """A function that must not be measured."""
    return size


def sizes() -> list[int]:
    """What `work` is called with."""
    return [1, 2, 13, 2]
