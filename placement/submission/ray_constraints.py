"""How the user's own Ray options narrow the candidates, and why: none of them is ever overridden."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

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
"""What the user said, and whether a node satisfies it."""

HOLDS_GPU = "the calling task holds a GPU, which Ray does not release while it waits"


def limits_of(options: PlacementOptions, ray_options: Mapping[str, Any]) -> Limits:
    """What the options say by themselves, whatever the cluster has."""
    excluded: dict[Device, str] = {}
    gpus = ray_options.get("num_gpus")
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
    around: tuple[bool, PlacementGroup | None] | None,
) -> Limits:
    """The limits on the cluster as it is now, for a caller as it is now."""
    holds_gpu, captured = around or (False, None)
    group, index, whose = _group_of(ray_options, captured)
    by_device = {d: own_options(options, ray_options, d) for d in DEVICES}
    excluded = dict(limits.excluded)
    if holds_gpu and options.device is None and not by_device["gpu"].get("num_gpus") and "gpu" not in excluded:
        excluded["gpu"] = HOLDS_GPU
    tests = {d: _tests(by_device[d]) for d in DEVICES}
    if group is not None:
        for device in DEVICES:
            if device not in excluded and not _bundles_for(group, index, _shape(by_device[device], limits, device)):
                excluded[device] = f"no bundle of {whose} has {_said(_shape(by_device[device], limits, device))}"
        tests = {d: [*tests[d], *_inside(group, index, _shape(by_device[d], limits, d), whose)] for d in DEVICES}
    if not any(tests.values()):
        return replace(limits, excluded=excluded)
    nodes = [*(node for node in ray.nodes() if node["Alive"]), *_planned(snapshot)]
    allowed: set[str] = set()
    for device in DEVICES:
        configs = _configs(snapshot, [n for n in nodes if all(test(n) for _, test in tests[device])])
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
    """The nodes that the autoscaler could start, as ray.nodes() would tell of them; the config stands for the id."""
    return [
        {
            "NodeID": kind.spec.config,
            "Labels": {CONFIG: kind.spec.config},
            "Resources": {"CPU": kind.grants_cpus, "GPU": kind.grants_gpus},
        }
        for kind in snapshot.inventory.kinds
        if kind.planned
    ]


def _tests(ray_options: Mapping[str, Any]) -> list[Test]:
    """What the options ask of a node, beside CPUs and GPUs."""
    tests: list[Test] = []
    resources = {name: n for name, n in (ray_options.get("resources") or {}).items() if n}
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
    strategy = ray_options.get("scheduling_strategy")
    if isinstance(strategy, NodeAffinitySchedulingStrategy):
        said = f"your NodeAffinitySchedulingStrategy({strategy.node_id[:8]}...)"
        tests.append((said, lambda node: bool(node["NodeID"] == strategy.node_id)))
    elif isinstance(strategy, NodeLabelSchedulingStrategy) and strategy.hard:
        hard = strategy.hard
        tests.append(
            ("your NodeLabelSchedulingStrategy", lambda node: all(_satisfies(node["Labels"], e) for e in hard))
        )
    return tests


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
