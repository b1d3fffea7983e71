"""The way of a router to its stage's broker, which is started where there is none, and anew where it has gone."""

from __future__ import annotations

import contextlib
import math
import threading
import time
import uuid
from typing import Any

import ray
from ray.exceptions import RayActorError

from placement.control_plane.ray_context import NAMESPACE
from placement.errors import ControlPlaneError
from placement.ray_internals.options import make_remote
from placement.stages.broker import Broker
from placement.stages.stage import Stage

HELLO_EVERY_S = 1.0
PATIENCE_S = 60.0


class BrokerLink:
    """Calls to the broker. A thread of this process tells it that the router lives."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self.router = uuid.uuid4().hex
        self._handle: Any = None
        self._lock = threading.Lock()
        self._closed = threading.Event()
        self.send("hello", self.router)  # so that the least workers are started before the first batch comes
        threading.Thread(target=self._say_hello, name="placement-stage", daemon=True).start()

    def call(self, method: str, *args: Any) -> Any:
        """The broker's answer; with a broker that has gone the call is made again to a new one.

        Raises ControlPlaneError where no broker stays alive.
        """
        deadline = math.inf
        while True:
            handle = self.handle()
            try:
                return ray.get(getattr(handle, method).remote(*args))
            except RayActorError as error:
                now = time.monotonic()
                deadline = min(deadline, now + PATIENCE_S)  # a call that waited long for a worker did so in good order
                if now > deadline:
                    raise ControlPlaneError(
                        f"the broker of stage {self._stage.name} cannot be reached: {error}. See Ray's logs of the "
                        "actor, and run the stage again."
                    ) from None
                self._forget(handle)
                time.sleep(0.1)

    def send(self, method: str, *args: Any) -> Any:
        """The reference of a call's answer."""
        return getattr(self.handle(), method).remote(*args)

    def handle(self) -> Any:
        """The broker."""
        with self._lock:
            if self._handle is None:
                options = {
                    "name": f"placement-stage-{self._stage.id}", "namespace": NAMESPACE, "lifetime": "detached",
                    "get_if_exists": True, "num_cpus": 0, "max_concurrency": 10_000,
                }  # fmt: skip
                self._handle = make_remote(Broker, {}).options(**options).remote(self._stage)
            return self._handle

    def close(self) -> None:
        """The router ends."""
        self._closed.set()
        with contextlib.suppress(Exception):
            self._handle.goodbye.remote(self.router)

    def _forget(self, handle: Any) -> None:
        with self._lock:
            if self._handle is handle:
                self._handle = None

    def _say_hello(self) -> None:
        while not self._closed.wait(HELLO_EVERY_S):
            handle = self._handle
            if handle is not None:
                with contextlib.suppress(Exception):
                    handle.hello.remote(self.router)
