"""Routers of a stage: how many there are, and a batch that waits is in the object store once, as Ray Data's block."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from core_builders import TASK, limits, net, snapshot

from placement.messages.envelope import Envelope
from placement.scheduling.decision import decide
from placement.stages.batch_queue import LEAST_FLOW, Request
from placement.stages.device_worker import BatchResult
from placement.stages.dispatcher import Assignment
from placement.stages.map_batches import IN_FLIGHT, pool_of_routers
from placement.stages.router import Router

BATCH = {"data": np.zeros(1_000_000, dtype=np.uint8)}


class Handle:
    """A worker, which keeps what it is sent."""

    def __init__(self) -> None:
        self.sent: list[Any] = []
        self.run = SimpleNamespace(remote=self._remote)

    def _remote(self, ticket: int, packed: bytes, largest: int | None, batch: Any) -> str:
        self.sent.append(batch)
        return "the reference of a result"


def test_a_batch_goes_into_the_object_store_with_its_run_and_not_while_it_waits() -> None:
    worker, asked = Handle(), list[Request]()

    def assign(method: str, router: str, request: Request, lost: int | None) -> Assignment:
        asked.append(request)
        assert not worker.sent
        return Assignment(1, 2, 3, worker, "gpu", 1.0, 1.0, None, None)

    def put(value: Any) -> None:
        raise AssertionError("the batch is in the store as Ray Data's block")

    result = BatchResult([BATCH], 1.0, None)
    envelope = Envelope(TASK, decide(TASK, "f", limits(), snapshot(net(0))), True, "f")
    router = Router(
        SimpleNamespace(name="stage"),  # type: ignore[arg-type]
        requests=SimpleNamespace(request=lambda batch: (Request(10), envelope), choices=tuple),  # type: ignore[arg-type]
        link=SimpleNamespace(call=assign, router="router", close=lambda: None),  # type: ignore[arg-type]
        node="node",
        store=SimpleNamespace(put=put, wait=lambda refs, num_returns: (refs, []), get=lambda ref: result),
    )
    assert list(router(BATCH)) == [BATCH]
    assert [batch is BATCH for batch in worker.sent] == [True]
    assert asked == [Request(10, node="node")]


@pytest.mark.parametrize(
    ("cpus", "gpus", "nodes", "routers"), [(8, 4, 4, 4), (8, 4, 1, 1), (1, 1, 4, 1), (0, 0, 1, 1), (200, 16, 1, 9)]
)
def test_routers_are_where_batches_are_made_and_each_has_some_under_way(
    cpus: int, gpus: int, nodes: int, routers: int
) -> None:
    found, each = pool_of_routers({"cpu": cpus, "gpu": gpus}, nodes)
    assert found == routers
    under_way = IN_FLIGHT["cpu"] * cpus + IN_FLIGHT["gpu"] * gpus
    assert under_way + LEAST_FLOW <= found * each < under_way + LEAST_FLOW + found
