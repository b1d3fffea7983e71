"""Local data is preferred where moving it costs more than another kind of node gains.

Only what this process knows without asking anybody counts: Ray keeps the size and the nodes of objects that this
process owns (2 us a call). Of other refs nothing is known here; Ray itself then starts a task, among the configs
decided for, where most of its arguments are.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

import ray

from placement.ray_internals.cluster import object_locations
from placement.scheduling.candidate_set import CandidateSet
from placement.scheduling.decision import Decision
from placement.scheduling.snapshot import Snapshot

BYTES_PER_S = 1.25e9  # between two nodes: 10 Gbit/s, a guess; Ray does not tell
LEAST_BYTES = 1e6  # less is moved in a millisecond


def refs_in(args: Iterable[Any], kwargs: Mapping[str, Any]) -> list[Any]:
    """The ObjectRefs among a call's arguments, which Ray fetches before the task starts."""
    found = [value for value in args if type(value) is ray.ObjectRef]
    return [*found, *(value for value in kwargs.values() if type(value) is ray.ObjectRef)] if kwargs else found


def bytes_at(refs: list[Any], snapshot: Snapshot) -> tuple[float, dict[str, float]]:
    """(bytes in all, config -> bytes on its nodes) of the refs whose size and place this process knows."""
    config_of = {node_id: kind.spec.config for kind in snapshot.inventory.kinds for node_id in kind.node_ids}
    total, at = 0.0, dict[str, float]()
    for place in object_locations(refs).values():
        size, nodes = place.get("object_size"), place.get("node_ids") or ()
        configs = {config_of[node] for node in nodes if node in config_of}
        if size and configs:
            total += size
            for config in configs:
                at[config] = at.get(config, 0.0) + size
    return total, at


def prefer_local_data(decision: Decision, refs: list[Any], candidates: CandidateSet, snapshot: Snapshot) -> Decision:
    """The decision, or the same device of the config that holds the data, where the task ends sooner there."""
    if decision.config is None or len(snapshot.inventory.kinds) < 2:
        return decision
    total, at = bytes_at(refs, snapshot)
    if total < LEAST_BYTES:
        return decision
    ends: dict[str, float] = {}
    for i, group in enumerate(candidates.groups):
        estimate = candidates.estimate(i)
        if estimate is None:
            continue
        seconds = estimate.cpu_seconds if decision.device == "cpu" else estimate.gpu_seconds
        configs = group.cpu if decision.device == "cpu" else group.gpu if i in candidates.gpu else ()
        for config in configs:
            if seconds is not None and (config in at or config == decision.config):
                wait = candidates.waits.wait_s(config, decision.device) if candidates.waits is not None else None
                ends[config] = (wait or 0.0) + seconds + (total - at.get(config, 0.0)) / BYTES_PER_S
    best = min(ends, key=lambda config: (ends[config], config), default=None)
    if best is None or decision.config not in ends or best == decision.config:
        return decision
    moved = replace(decision, config=best, configs=(best,), tiers=(), reason=f"{decision.reason}, its data is there")
    share = None if decision.device == "cpu" or candidates.shares is None else candidates.shares[best]
    return moved if share is None else replace(moved, gpus=share.gpus, gpu_busy=share.busy)
