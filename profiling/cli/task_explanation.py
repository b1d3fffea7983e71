"""Explains a task's placement on the running cluster, or on the paper's configurations where none runs."""

from __future__ import annotations

import os
from collections.abc import Sequence

from placement.errors import OptionError
from placement.prediction.selector import Selector
from placement.prediction.selector_file import shipped_selector
from placement.scheduling.candidates import Policy
from placement.scheduling.explanation import Explanation, explain
from placement.scheduling.feasibility import Limits
from placement.scheduling.snapshot import Snapshot
from placement.spec.node import Inventory, NodeKind, paper_configs
from placement.spec.task import TaskSpec
from profiling.cli.session import connected

OFFLINE = "no cluster is running: the paper's configurations A-D (emulated figures), one node each"


def snapshot_of(address: str | None, offline: bool, selector: str | os.PathLike[str] | None) -> tuple[Snapshot, str]:
    """The snapshot that a caller in the cluster decides from, and a line that names the cluster.

    selector: a file, instead of the selector in service. Raises SelectorError on a broken one.
    """
    chosen = None if selector is None else _read(selector)
    if not offline and connected(address):
        import ray

        import placement
        from placement.submission.snapshot_client import caller

        placement.start()
        caller().follow_load()
        current, where = caller().current(), f"the cluster at {ray.get_runtime_context().gcs_address}"
    else:
        kinds = tuple(NodeKind(spec, (name,)) for name, spec in paper_configs().items())
        current, where = Snapshot(0, Inventory(kinds), chosen or shipped_selector()), OFFLINE
    if chosen is None:
        return current, where
    thresholds = getattr(chosen, "thresholds", current.thresholds)
    measured = (current.history, current.unix_time, current.backlog)
    return Snapshot(current.version, current.inventory, chosen, current.policy, thresholds, *measured), where


def explain_task(
    task: TaskSpec, snapshot: Snapshot, cpus: float, configs: Sequence[str] | None, policy: Policy | None
) -> Explanation:
    """The candidates of a task on `configs` (all if None). Raises OptionError on a config that the cluster lacks."""
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
