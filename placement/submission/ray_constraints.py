"""Limits of the user's own Ray options on the candidates, each with its reason. No option is ever overridden."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Literal

import ray
from ray.util.placement_group import PlacementGroup, get_current_placement_group, placement_group_table
from ray.util.scheduling_strategies import (
    DoesNotExist,
    In,
    NodeAffinitySchedulingStrategy,
    NodeLabelSchedulingStrategy,
    NotIn,
    PlacementGroupSchedulingStrategy,
)

from placement.errors import OptionError
from placement.ray_internals.connection import connection
from placement.scheduling.feasibility import Limits
from placement.scheduling.snapshot import Snapshot
from placement.spec.node import CONFIG
from placement.spec.task import DEVICES, Device
from placement.submission.options import PlacementOptions, own_options
from placement.worker.device import holds_gpu

Node = Mapping[str, Any]
"""An entry of ray.nodes()."""
Test = tuple[str, Callable[[Node], bool]]
"""A demand of the user's options in words, and whether a node satisfies it."""
Wishes = Literal["soft", "hard", "unknown"]
"""Which demands count: soft wishes and hard demands; hard demands alone; those that a node is known to fail."""
WISHES: tuple[Wishes, ...] = ("soft", "hard", "unknown")

IMPLICIT_RESOURCE_PREFIX = "node:__internal_implicit_resource_"
"""Ray grants one of such a resource on every node, and lists it on none."""
PLANNED = "placement.planned"
"""Marks an entry of a node that the autoscaler could start."""
HOLDS_GPU = "the calling task holds a GPU, which Ray does not release while it waits"


def limits_of(options: PlacementOptions, ray_options: Mapping[str, Any]) -> Limits:
    """The limits that follow from the options alone, whatever the cluster has."""
    excluded: dict[Device, str] = {}
    gpus = ray_options.get("num_gpus")
    if gpus and options.gpus is not None:
        raise OptionError(f'gpus="auto" chooses the share that num_gpus={gpus:g} sets; leave one of them out.')
    if gpus:
        excluded["cpu"] = f"your num_gpus={gpus:g} asks for a GPU"
    elif gpus == 0:
        excluded["gpu"] = "your num_gpus=0 asks for none"
    if options.device is not None:
        other: Device = "cpu" if options.device == "gpu" else "gpu"
        excluded = {other: f'pinned by device="{options.device}"'}
    by_device = {d: own_options(options, ray_options, d) for d in DEVICES}
    return Limits(
        cpus={d: 1.0 if (n := o.get("num_cpus")) is None else float(n) for d, o in by_device.items()},
        gpus=float(by_device["gpu"].get("num_gpus") or 1.0),
        excluded=excluded,
        strict=options.strict,
        shares=options.gpus == "auto",
    )


def caller_context() -> tuple[bool, PlacementGroup | None] | None:
    """(the calling task holds a GPU, the placement group its children are captured in); None where neither is so."""
    if connection.mode != ray.WORKER_MODE:
        return None
    group = get_current_placement_group() if connection.should_capture_child_tasks_in_placement_group else None
    holds = holds_gpu()
    return (holds, group) if holds or group is not None else None


def narrowed(
    limits: Limits,
    options: PlacementOptions,
    ray_options: Mapping[str, Any],
    snapshot: Snapshot,
    context: tuple[bool, PlacementGroup | None] | None,
    wishes: Wishes = "soft",
) -> Limits:
    """The limits on the cluster as it is now, for a caller as it is now; wishes: which demands count."""
    holds_gpu, captured = context or (False, None)
    group, index, whose = _group_of(ray_options, captured)
    by_device = {d: own_options(options, ray_options, d) for d in DEVICES}
    excluded = dict(limits.excluded)
    if holds_gpu and options.device is None and not by_device["gpu"].get("num_gpus") and "gpu" not in excluded:
        excluded["gpu"] = HOLDS_GPU
    tests = {d: _tests(by_device[d], wishes) for d in DEVICES}
    if group is not None:
        for device in DEVICES:
            if device not in excluded and not _bundles_for(group, index, _shape(by_device[device], limits, device)):
                excluded[device] = f"no bundle of {whose} has {_said(_shape(by_device[device], limits, device))}"
        tests = {d: [*tests[d], *_inside(group, index, _shape(by_device[d], limits, d), whose)] for d in DEVICES}
    if not any(tests.values()):
        return replace(limits, excluded=excluded)
    nodes = [*_alive_nodes(), *_planned(snapshot)]
    allowed: set[str] = set()
    for device in DEVICES:
        unsure = wishes == "unknown"
        fit = [n for n in nodes if (unsure and n.get(PLANNED)) or all(test(n) for _, test in tests[device])]
        configs = _configs(snapshot, fit)
        if not configs and device not in excluded:
            excluded[device] = "no node satisfies " + " and ".join(said for said, _ in tests[device])
        allowed |= configs if device not in excluded else set()
    reason = " and ".join(dict.fromkeys(said for d in DEVICES for said, _ in tests[d]))
    return replace(limits, excluded=excluded, configs=frozenset(allowed), configs_reason=reason)


def _configs(snapshot: Snapshot, nodes: Iterable[Node]) -> set[str]:
    ids = {node["NodeID"] for node in nodes}
    found = {kind.spec.config for kind in snapshot.inventory.kinds if ids.intersection(kind.node_ids)}
    return found | snapshot.planned.intersection(ids)


def _planned(snapshot: Snapshot) -> list[Node]:
    """The nodes that the autoscaler could start, as entries of ray.nodes(); the config stands for the id.

    Their other labels and resources are unknown.
    """
    return [
        {
            PLANNED: True,
            "NodeID": kind.spec.config,
            "Labels": {CONFIG: kind.spec.config},
            "Resources": {"CPU": kind.grants_cpus, "GPU": kind.grants_gpus},
        }
        for kind in snapshot.inventory.kinds
        if kind.planned
    ]


def all_known(snapshot: Snapshot) -> bool:
    """Every live node that runs tasks is in the snapshot; one that is not (still unprobed) could serve anything."""
    known = {node_id for kind in snapshot.inventory.kinds for node_id in kind.node_ids}
    return all(
        node["NodeID"] in known or not any(node["Resources"].get(one) for one in ("CPU", "GPU"))
        for node in _alive_nodes()
    )


def has_wishes(options: PlacementOptions, ray_options: Mapping[str, Any], snapshot: Snapshot) -> bool:
    """Some demand of the options is soft, or not known of a node that the autoscaler could start."""
    by_device = [own_options(options, ray_options, d) for d in DEVICES]
    strategies = [one.get("scheduling_strategy") for one in by_device]
    soft = any(getattr(strategy, "soft", None) for strategy in strategies)
    return soft or (bool(snapshot.planned) and any(_tests(one, "hard") for one in by_device))


def names_node(ray_options: Mapping[str, Any]) -> bool:
    """The task must run on one named node or fail."""
    strategy = ray_options.get("scheduling_strategy")
    return isinstance(strategy, NodeAffinitySchedulingStrategy) and not strategy.soft


def _alive_nodes() -> list[Node]:
    return [node for node in ray.nodes() if node["Alive"]]


def _tests(ray_options: Mapping[str, Any], wishes: Wishes) -> list[Test]:
    """The demands of the options on a node, beside CPUs and GPUs."""
    tests: list[Test] = []
    resources = {
        name: n
        for name, n in (ray_options.get("resources") or {}).items()
        if n and not name.startswith(IMPLICIT_RESOURCE_PREFIX)  # which every node has without naming it
    }
    if resources:
        tests.append((f"your resources={resources}", lambda node: _has(node, resources)))
    accelerator = ray_options.get("accelerator_type")
    if accelerator:
        wanted = {f"accelerator_type:{accelerator}": 0.001}
        tests.append((f"your accelerator_type={accelerator!r}", lambda node: _has(node, wanted)))
    selector = ray_options.get("label_selector")
    if selector:
        fallbacks = [f.get("label_selector") or {} for f in ray_options.get("fallback_strategy") or ()]
        said = f"your label_selector={selector}" + (f" or its fallbacks {fallbacks}" if fallbacks else "")
        tests.append((said, lambda node: any(matches(node["Labels"], s) for s in (selector, *fallbacks))))
    return tests + _strategy_tests(ray_options.get("scheduling_strategy"), wishes)


def _strategy_tests(strategy: Any, wishes: Wishes) -> list[Test]:
    if isinstance(strategy, NodeAffinitySchedulingStrategy) and (wishes == "soft" or not strategy.soft):
        said = f"your NodeAffinitySchedulingStrategy({strategy.node_id[:8]}...)"
        return [(said, lambda node: bool(node["NodeID"] == strategy.node_id))]
    if isinstance(strategy, NodeLabelSchedulingStrategy):
        asked = [*(strategy.hard or ()), *((strategy.soft or ()) if wishes == "soft" else ())]
        said = "your NodeLabelSchedulingStrategy"
        return [(said, lambda node: all(_satisfies(node["Labels"], e) for e in asked))] if asked else []
    return []


def _has(node: Node, wanted: Mapping[str, float]) -> bool:
    return all(node["Resources"].get(name, 0) >= amount for name, amount in wanted.items())


def matches(labels: Mapping[str, str], selector: Mapping[str, str | None]) -> bool:
    """Whether a node's labels satisfy a label_selector: "v", "!v", "in(a,b)", "!in(a,b)"."""
    return all(_matches(labels.get(key), wanted or "") for key, wanted in selector.items())


def _matches(value: str | None, wanted: str) -> bool:
    text = wanted.removeprefix("!")
    values = [v.strip() for v in text[3:-1].split(",")] if text.startswith("in(") else [text]
    return (value in values) != wanted.startswith("!")


def _satisfies(labels: Mapping[str, str], expression: Any) -> bool:
    value, operator = labels.get(expression.key), expression.operator
    if isinstance(operator, In):
        return value in operator.values
    if isinstance(operator, NotIn):
        return value not in operator.values
    return (value is None) == isinstance(operator, DoesNotExist)


def _group_of(
    ray_options: Mapping[str, Any], captured: PlacementGroup | None
) -> tuple[PlacementGroup | None, int, str]:
    """(the placement group a task under these options goes into, the bundle or -1, whose it is)."""
    strategy = ray_options.get("scheduling_strategy")
    if isinstance(strategy, PlacementGroupSchedulingStrategy):
        return _real(strategy.placement_group), strategy.placement_group_bundle_index, "your placement group"
    given = ray_options.get("placement_group", "default")
    index = ray_options.get("placement_group_bundle_index", -1)
    if isinstance(given, PlacementGroup):
        return _real(given), index, "your placement group"
    if given != "default" or strategy is not None or ray_options.get("placement_group_capture_child_tasks") is False:
        return None, -1, ""
    return captured, index, "the placement group that captures its caller's children"


def _real(group: PlacementGroup | None) -> PlacementGroup | None:
    return None if group is None or group.is_empty else group


def _shape(ray_options: Mapping[str, Any], limits: Limits, device: Device) -> dict[str, float]:
    shape = {"CPU": limits.cpus[device], "GPU": limits.gpus if device == "gpu" else 0.0}
    return {name: n for name, n in {**shape, **(ray_options.get("resources") or {})}.items() if n}


def _said(shape: Mapping[str, float]) -> str:
    return ", ".join(f"{n:g} {name}" for name, n in shape.items()) or "room"


def _bundles_for(group: PlacementGroup, index: int, shape: Mapping[str, float]) -> Sequence[int]:
    """The bundles that a task of this shape fits into."""
    return [
        i
        for i, bundle in enumerate(group.bundle_specs)
        if index in (-1, i) and all(bundle.get(name, 0) >= n for name, n in shape.items())
    ]


def _inside(group: PlacementGroup, index: int, shape: Mapping[str, float], whose: str) -> list[Test]:
    """The nodes of the bundles that fit; nothing is known of a group that is not placed yet."""
    at = placement_group_table(group).get("bundles_to_node_id") or {}
    nodes = {at.get(i) for i in _bundles_for(group, index, shape)} - {None, ""}
    return [(whose, lambda node: node["NodeID"] in nodes)] if nodes else []
