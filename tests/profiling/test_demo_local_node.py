"""A machine with a GPU joins the emulated cluster as one more, real node. The GPU is made up: Ray takes our word."""

from __future__ import annotations

import time

import pytest
import ray

from placement.errors import ControlPlaneError
from profiling.emulation import real_gpu_node
from profiling.emulation.real_gpu_node import local_gpu_node


def local_nodes() -> list[dict]:
    return [node for node in ray.nodes() if node["Alive"] and node["Labels"].get("config") == "local"]


def test_without_a_gpu_nothing_is_started(monkeypatch):
    monkeypatch.setattr(real_gpu_node, "count_gpus", lambda: 0)
    monkeypatch.setattr(real_gpu_node.subprocess, "Popen", lambda *args, **kwargs: pytest.fail("started a node"))
    with local_gpu_node("127.0.0.1:1") as gpus:
        assert gpus == 0


def test_a_gpu_joins_as_a_real_node_and_leaves_again(monkeypatch, emulated):
    monkeypatch.setattr(real_gpu_node, "count_gpus", lambda: 1)
    with local_gpu_node(emulated) as gpus:
        assert gpus == 1
        (node,) = local_nodes()
        assert node["Resources"]["GPU"] == 1
        assert "placement.emulated" not in node["Labels"]
    deadline = time.monotonic() + 120
    while local_nodes() and time.monotonic() < deadline:
        time.sleep(0.2)
    assert local_nodes() == []


def test_a_node_that_cannot_join_says_so(monkeypatch, emulated):
    monkeypatch.setattr(real_gpu_node, "count_gpus", lambda: 1)
    monkeypatch.setattr(real_gpu_node, "START_S", 3.0)
    with pytest.raises(ControlPlaneError, match="did not join the cluster"), local_gpu_node("no-such-host:1"):
        pass
