"""The learner as a detached Ray actor at low priority, and the way to start and end it.

It asks for no CPU; its own work is bounded by a share of one, and its refits run as jobs of Ray Train that wait for a
free CPU. It is restarted for ever, and begins anew each time.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Mapping
from typing import Any

import ray

from placement.control_plane.actor_lookup import call_actor
from placement.control_plane.client import served_selector
from placement.control_plane.learning import HistoryShift
from placement.control_plane.ray_context import NAMESPACE
from placement.errors import ControlPlaneError
from placement.prediction.selector import Selector
from placement.ray_internals.cluster import free_resources_by_node
from placement.ray_internals.options import make_remote
from placement.spec.node import NodeSpec
from profiling.learning_loop.learner import LogLearner

NAME = "placement_learner"
LOOK_EVERY_S = 2.0
SHARE_OF_CPU = 0.25  # of one: after a look it rests for three times as long as the look took
NICENESS = 19
END_TIMEOUT_S = 60.0

logger = logging.getLogger("placement")


class RayControl:
    """The PlacementActor as `profiling.learning_loop.learner.Control`."""

    def version(self) -> str:
        """The version of the selector in service."""
        return str(call_actor("status")["selector"])

    def selector(self, version: str) -> Selector:
        """The selector of a version in service."""
        return served_selector(version)

    def nodes(self) -> Mapping[str, NodeSpec]:
        """The kinds of node by config."""
        return {kind.spec.config: kind.spec for kind in call_actor("update", None, 0.0).inventory.kinds}

    def swap(self, selector: Selector) -> None:
        """Puts a selector in service."""
        call_actor("swap", selector.to_dict())

    def record(self, state: Mapping[str, Any], events: list[dict[str, Any]], shifts: list[HistoryShift]) -> None:
        """Records the learner's state and what it did."""
        call_actor("learned", dict(state), events, shifts)


class LearnerActor:
    """The actor: a thread that looks at the log, for ever."""

    def __init__(self, log: str) -> None:
        os.nice(NICENESS)
        self._log = log
        threading.Thread(target=self._run, name="learner", daemon=True).start()

    def process_id(self) -> int:
        """The actor's process."""
        return os.getpid()

    def _run(self) -> None:
        learner = None
        while True:
            began = time.monotonic()
            try:
                if learner is None:
                    learner = LogLearner(self._log, RayControl(), self._refit)
                learner.step()
            except Exception:
                logger.exception("the learner failed; it begins anew")
                learner = None
            took = time.monotonic() - began
            time.sleep(max(LOOK_EVERY_S, took * (1 / SHARE_OF_CPU - 1)))

    def _refit(self) -> Selector:
        from profiling.learning.refit import refit

        return refit(self._log).selector


def start_learner(log: str) -> None:
    """Starts the learner of the cluster on a log, on the node with the most CPUs free; one that runs is ended first."""
    stop_learner()
    free = free_resources_by_node() or {}
    best = max(free, key=lambda node: free[node].get("CPU", 0.0), default=None)
    options: dict[str, Any] = {
        "name": NAME, "namespace": NAMESPACE, "lifetime": "detached", "num_cpus": 0, "max_restarts": -1,
        "get_if_exists": True,
    }  # fmt: skip
    if best is not None:
        options["scheduling_strategy"] = ray.util.scheduling_strategies.NodeAffinitySchedulingStrategy(best, soft=True)
    learner = make_remote(LearnerActor, {}).options(**options).remote(log)
    ray.get(learner.process_id.remote())


def stop_learner() -> None:
    """Ends the learner of the cluster, where there is one; the selector in service stays.

    Raises ControlPlaneError where Ray keeps the actor's name for END_TIMEOUT_S.
    """
    try:
        learner = ray.get_actor(NAME, namespace=NAMESPACE)
    except ValueError:
        return
    ray.kill(learner)
    deadline = time.monotonic() + END_TIMEOUT_S
    while time.monotonic() < deadline:  # the name is free again once Ray has taken note
        try:
            ray.get_actor(NAME, namespace=NAMESPACE)
        except ValueError:
            return
        time.sleep(0.05)
    raise ControlPlaneError(
        f"the learner did not end within {END_TIMEOUT_S:.0f} s; see Ray's logs of the actor {NAME}."
    )
