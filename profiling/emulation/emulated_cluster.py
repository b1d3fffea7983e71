"""An emulated cluster: Ray's own, several nodes on one machine, labelled as the paper's configurations A-D.

The nodes are `ray.cluster_utils.Cluster` nodes with one fake GPU each: Ray schedules on them as on real ones, while
`current_device()` is "cpu" and every time they log is marked `emulated`.
"""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from placement.errors import ControlPlaneError, OptionError
from placement.ray_internals.emulation import small_node_agents
from placement.spec.node import CONFIG, EMULATED, emulated_configs, emulated_names

EMULATOR = "profiling.emulation.emulator:emulated"
"""The emulator of the nodes, as `placement.start(emulator=)` takes it."""
START_ATTEMPTS = 6  # three were too few beside four busy programs on two cores
TOO_BUSY = re.compile("timed out|failed to connect to gcs", re.IGNORECASE)
"""Ray's errors where the processes of a node did not come up in time."""
_log = logging.getLogger(__name__)
OBJECT_STORE_BYTES = 256 * 2**20  # of each node; four nodes share one machine's /dev/shm

_ENVIRONMENT = {
    # Without it a task that asked for no GPU sees every GPU of the machine.
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "1",
    "RAY_ENABLE_UV_RUN_RUNTIME_ENV": "0",
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_DEDUP_LOGS": "1",
}
_KEEP_WORKERS = {
    # Each worker imports torch once, which takes seconds: an idle one is worth more than the memory it holds.
    "idle_worker_killing_time_threshold_ms": 600_000,
}

_HEAD = {"include_dashboard": False, "no_monitor": True, "include_log_monitor": False}
"""Switches off processes that a test cluster does not need; each costs seconds of start-up."""
_NO_TASKS = {"num_cpus": 0, "num_gpus": 0}


@contextmanager
def emulated_cluster(
    configs: Sequence[str] = ("A", "B", "C", "D"),
    *,
    num_cpus_per_node: int = 1,
    own_head: bool = False,
    namespace: str | None = None,
    object_store_bytes: int = OBJECT_STORE_BYTES,
    environment: Mapping[str, str] | None = None,
    system_config: Mapping[str, Any] | None = None,
    log_level: int = logging.ERROR,
) -> Iterator[str]:
    """A running cluster with one node for each config, connected; yields its address. About 10 s on 2 cores.

    configs: names of emulated_configs(); the first is the head node.  num_cpus_per_node: CPUs that Ray may grant on
    each node; it starts so many workers there, so keep it small.  own_head: the driver's node is one more that runs no
    task: where it runs some, Ray keeps tasks waiting for it while other nodes are free.  namespace: of the driver.
    environment: variables for the nodes, beside those it sets.  system_config: Ray's, for the whole cluster.
    log_level: of Ray's own messages in this process.

    Raises OptionError on an unknown config, or where this process is connected to a cluster already, ControlPlaneError
    where the machine is too busy to start the nodes.
    Everything it started is gone when it is left; the environment is as before.
    """
    import ray
    from ray.cluster_utils import Cluster

    unknown = [name for name in configs if name not in emulated_configs()]
    if unknown or not configs or len(set(configs)) != len(configs):
        raise OptionError(f"configs={list(configs)}: valid are {emulated_names()}, each once, at least one.")
    if ray.is_initialized():
        raise OptionError("this process is connected to a Ray cluster already; call ray.shutdown() first.")
    with environment_of({**_ENVIRONMENT, **(environment or {})}), small_node_agents():
        cluster = Cluster(shutdown_at_exit=True)
        common = {"num_cpus": num_cpus_per_node, "num_gpus": 1, "object_store_memory": object_store_bytes}
        head = {**_HEAD, "_system_config": {**_KEEP_WORKERS, **(system_config or {})}}
        try:
            arguments = {**common, **head, **(_NO_TASKS if own_head else {})}
            for config in (None, *configs) if own_head else configs:  # one by one: each start sets signal handlers
                _add_node(cluster, config, arguments)
                arguments = common
            ray.init(address=cluster.address, namespace=namespace, logging_level=log_level, log_to_driver=False)
            yield cluster.address
        finally:
            ray.shutdown()
            cluster.shutdown()


def _add_node(cluster: Any, config: str | None, arguments: Mapping[str, Any]) -> None:
    """Starts a node, again where its processes did not come up in the time that Ray gives them: 30 s, the head 15 s."""
    for attempt in range(1, START_ATTEMPTS + 1):
        try:
            labels = {CONFIG: config, EMULATED: "true"} if config else {}
            cluster.add_node(labels=labels, **arguments)
            return
        except Exception as error:  # Ray raises no other class here
            if not TOO_BUSY.search(str(error)):
                raise
            _log.warning("node %s did not start in time (attempt %d of %d)", config, attempt, START_ATTEMPTS)
    raise ControlPlaneError(
        f"{f'node {config}' if config else 'the head'} of the emulated cluster did not start in {START_ATTEMPTS} "
        "attempts: this machine is too busy. Stop other work on it, or ask for fewer configs."
    )


@contextmanager
def environment_of(values: Mapping[str, str]) -> Iterator[None]:
    """Sets environment variables for processes started in the `with` block, and restores the old values."""
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


LOCAL = "local"
"""The config of the machine itself, where it stands beside emulated ones."""
