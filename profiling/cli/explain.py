"""`placement explain` and its like: a snapshot of the running cluster, or of the paper's configs where none runs."""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence

from placement.errors import NotServedError, OptionError
from placement.prediction.selector import Selector
from placement.prediction.selector_file import shipped_selector
from placement.scheduling.candidates import Policy
from placement.scheduling.explanation import Explanation, explain
from placement.scheduling.feasibility import Limits
from placement.scheduling.snapshot import Snapshot
from placement.spec.node import Inventory, NodeKind, paper_configs
from placement.spec.task import TaskSpec

OFFLINE = "no cluster is running: the paper's configurations A-D (emulated figures), one node each"


def connected(address: str | None, *, start: bool = False) -> bool:
    """Whether this process is now connected to a cluster: at the address, or the one that runs on this machine.

    start: start one on this machine where none runs. Raises NotServedError where nothing answers at the address.
    """
    import ray

    if ray.is_initialized():
        return True
    try:
        ray.init(address=address or "auto", logging_level=logging.ERROR, log_to_driver=False)
    except (ConnectionError, RuntimeError) as error:
        if address is not None:
            reason = str(error).split("\n", 1)[0]
            raise NotServedError(f"no Ray cluster answers at {address!r} ({reason}).") from None
        if not start:
            return False
        ray.init(address="local", logging_level=logging.ERROR, log_to_driver=False)
    return True


def snapshot(address: str | None, offline: bool, selector: str | os.PathLike[str] | None) -> tuple[Snapshot, str]:
    """What a caller of the cluster would decide from, and which cluster that is in words.

    selector: a file, instead of the selector in service. Raises SelectorError on a broken one.
    """
    given = None if selector is None else _read(selector)
    if not offline and connected(address):
        import ray

        import placement
        from placement.submission.snapshot_client import caller

        placement.start()
        caller().follow_load()
        current, where = caller().current(), f"the cluster at {ray.get_runtime_context().gcs_address}"
    else:
        kinds = tuple(NodeKind(spec, (name,)) for name, spec in paper_configs().items())
        current, where = Snapshot(0, Inventory(kinds), given or shipped_selector()), OFFLINE
    if given is None:
        return current, where
    thresholds = getattr(given, "thresholds", current.thresholds)
    return (
        Snapshot(
            current.version,
            current.inventory,
            given,
            current.policy,
            thresholds,
            current.history,
            current.unix_time,
            current.backlog,
        ),
        where,
    )


def explain_task(
    task: TaskSpec, snapshot: Snapshot, cpus: float, configs: Sequence[str] | None, policy: Policy | None
) -> Explanation:
    """The table of candidates of a task, narrowed to `configs`. OptionError on a config that is not there."""
    known = [kind.spec.config for kind in snapshot.inventory.kinds]
    unknown = sorted(set(configs or ()) - set(known))
    if unknown or not cpus > 0:
        raise OptionError(f"--config {unknown} --cpus {cpus:g}: configs here are {known}, and CPUs are positive.")
    limits = Limits(
        cpus={"cpu": cpus, "gpu": cpus},
        configs=frozenset(configs) if configs else None,
        configs_reason="--config",
    )
    return explain(task, "placement explain", limits, snapshot, policy=policy)


def _read(selector: str | os.PathLike[str]) -> Selector:
    from placement.commands import read_selector

    return read_selector(selector)
