"""`.remote()` on an event loop sends at once: the snapshot comes in behind."""

from __future__ import annotations

import json

from test_ordinary import run


def test_first_calls_on_a_loop_wait_for_nothing_and_hide_the_gpu_from_the_cpu() -> None:
    found = json.loads(run("first_call_on_a_loop.py")[-1])
    assert not found["has_client"]  # nothing that a decision takes was there before
    assert found["waited_for_none"]
    assert found["open"] == [1, "cpu", 0, ""]
    assert found["pinned"][2] == 1
    assert found["again"] == [3, "cpu", 0, ""]
    assert found["actor"] == 0
    assert found["came_behind"]
    assert found["later"][0] == 4
