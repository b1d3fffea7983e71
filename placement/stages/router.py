"""Router: the class that Ray Data runs for a stage. It computes nothing: it has each batch computed by a worker.

Ray Data gives it batches and takes their results as from any class of a user's, so that order, backpressure, blocks,
retries and errors are Ray Data's own. Several threads call it at once.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import ray
from ray.exceptions import RayActorError, RayTaskError

from placement.errors import DeviceError
from placement.stages.batch_queue import Request
from placement.stages.batches import described
from placement.stages.broker_link import BrokerLink
from placement.stages.device_worker import BatchResult, GpuFailure
from placement.stages.dispatcher import Assignment, NoWorker
from placement.stages.requests import Requests, sent_to
from placement.stages.stage import Stage

MOST_ATTEMPTS = 10
"""A batch whose workers have died so many times is at fault itself."""


class Router:
    """Has the batches of a stage computed by the stage's workers, each where it ends sooner at its price.

    requests, link: of the stage; made here where they are not given.  node: the id of this process's node; looked up
    where it is not given.  store: has Ray's `wait` and `get`, which read results from the object store.
    """

    def __init__(
        self, stage: Stage, *, requests: Requests | None = None, link: BrokerLink | None = None,
        node: str | None = None, store: Any = ray,
    ) -> None:  # fmt: skip
        self._stage = stage
        self._store = store
        self._requests = Requests(stage) if requests is None else requests
        self._link = BrokerLink(stage) if link is None else link
        self._node = ray.get_runtime_context().get_node_id() if node is None else node
        self._requests.choices()  # the snapshot and its table are here before the first batch, while workers start

    def __call__(self, batch: Any) -> Iterator[Any]:
        """The results of a batch, in the order in which the function made them."""
        yield from self._ran(batch).outputs

    def _ran(self, batch: Any) -> BatchResult:
        request, envelope = self._requests.request(batch)
        request, lost = request._replace(node=self._node), None
        for attempt in range(1, MOST_ATTEMPTS + 1):
            given = self._link.call("assign", self._link.router, request, lost)
            if isinstance(given, NoWorker):
                raise given.error
            try:
                result = self._wait(given, envelope, batch)
            except RayTaskError as error:
                raise error.cause if isinstance(error.cause, Exception) else error from None
            except RayActorError:
                if attempt == MOST_ATTEMPTS:
                    raise
                lost = given.worker
                continue
            if isinstance(result, BatchResult):
                return result
            request, lost = self._after(result, request, batch), None
        raise AssertionError("the loop ends by itself")

    def _after(self, failure: GpuFailure, request: Request, batch: Any) -> Request:
        """The request for the CPU run that follows a GPU's failure."""
        if "cpu" not in request.possible:
            raise DeviceError(
                f"the GPU failed on {described(batch)} of stage {self._stage.name}, which cannot run on a CPU: "
                f"{failure.why}. Use smaller batches, or let map_batches use CPUs (device=None, num_cpus=)."
            )
        return request._replace(devices=("cpu",))

    def _wait(self, given: Assignment, envelope: Any, batch: Any) -> BatchResult | GpuFailure:
        """The result of a run, or of the backup run that ends before it."""
        refs, backup = {self._submit(given, envelope, batch)}, None
        if given.backup_after_s is not None and self._store.wait([*refs], timeout=given.backup_after_s)[1]:
            backup = self._link.send("backup", given.number)
        while True:
            done, _ = self._store.wait([*refs, *([backup] if backup else [])], num_returns=1)
            if done[0] is backup or done[0] == backup:
                backup, second = None, self._second(done[0])
                if second is not None:
                    refs.add(self._submit(second, envelope, batch))
                continue
            refs.discard(done[0])
            with contextlib.suppress(*((RayActorError,) if refs else ())):
                result: BatchResult | GpuFailure = self._store.get(done[0])
                if isinstance(result, BatchResult) or not refs:
                    return result

    def _second(self, answer: Any) -> Assignment | None:
        with contextlib.suppress(RayActorError):
            found: Assignment | None = self._store.get(answer)
            return found
        return None

    def _submit(self, given: Assignment, envelope: Any, batch: Any) -> Any:
        """Sends a batch to its worker. Ray copies a large one into the object store, for as long as the run takes.

        A batch that waits for a worker is in the store once, as Ray Data's block, and Ray Data knows how large it is.
        """
        packed = sent_to(envelope, given.device, given.cpus, given.gpus).pack()
        return given.handle.run.remote(given.ticket, packed, given.largest, batch)

    def __del__(self) -> None:
        link = self.__dict__.get("_link")
        if link is not None:
            link.close()
