"""The way from a worker to the placement actor, and what the worker knows of its node from there."""

from __future__ import annotations

import logging
import time
from pathlib import Path
from typing import Any

from placement.control_plane import client, ray_context
from placement.messages.node_context import NodeContext
from placement.spec.node import EMULATED

CONTEXT_PATIENCE_S = 10.0
CONTEXT_KEPT_S = 30.0  # after this a worker asks again, so that it hears of a log set later

logger = logging.getLogger("placement")


class ActorLink:
    """Calls to the actor, and the node's context, which is kept for some time. A test puts an actor of its own here."""

    def __init__(self) -> None:
        self._context: NodeContext | None = None
        self._kept_until = 0.0

    def exists(self) -> bool:
        """Returns True where there is an actor; this starts none."""
        return client.actor_exists()

    def call(self, method: str, *args: Any, timeout_s: float) -> Any:
        """The actor's answer; the actor is started where there is none. Raises ControlPlaneError without an answer."""
        return client.call(method, *args, timeout_s=timeout_s)

    def folder(self) -> Path:
        """The folder of this node's workers."""
        return ray_context.own_folder()

    def node_id(self) -> str:
        """Ray's id of this node."""
        return ray_context.own_node_id()

    def emulated(self) -> bool:
        """Returns True where this node's labels say that its GPU is emulated."""
        return ray_context.own_label(EMULATED) == "true"

    def context(self) -> NodeContext:
        """The context of this node. The first task gets it from the actor; later the outbox's thread renews it.

        With no actor to be had a task must run all the same: its node's labels then say whether the node is emulated.
        """
        return self._context or self._ask()

    def fresh_context(self) -> NodeContext:
        """The context, from the actor where the one at hand is old. Not to be called in a task's own time."""
        return self._context if self._context is not None and time.monotonic() <= self._kept_until else self._ask()

    def forget_context(self) -> None:
        """The next batch asks the actor anew."""
        self._kept_until = 0.0

    def _ask(self) -> NodeContext:
        try:
            self._context = self.call("context", self.node_id(), timeout_s=CONTEXT_PATIENCE_S)
        except Exception as error:
            logger.warning("the placement actor gave no context of this node: %s", error)
            self._context = self._context or NodeContext(self.node_id(), emulated=self.emulated())
        self._kept_until = time.monotonic() + CONTEXT_KEPT_S
        return self._context
