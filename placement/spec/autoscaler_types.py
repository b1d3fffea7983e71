"""The kinds of node that an autoscaler could start: read from a cluster file's `available_node_types`.

Ray tells nobody which types its autoscaler has before a node of one runs, so they are named once, by
`placement.start(node_types=...)` or `placement start --node-types FILE`. Cloud providers fill in resources that a
cluster file leaves out: those are unknown here, not zero.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from placement.errors import OptionError
from placement.spec.node import CONFIG, EMULATED, NodeKind, NodeSpec, emulated_configs
from placement.spec.task import quantity_fault

STARTING_S = 180.0
"""Until a node that the autoscaler starts takes its first task; a guess, two to five minutes are usual in clouds."""

NOT_FILLING_IN = ("azure", "gcp", "local")
"""Providers of Ray that take a type's CPUs and GPUs from the cluster file alone."""


def checked(node_types: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """The CPUs and GPUs of a node of each config that the types carry, and whether it is emulated; plain JSON data.

    node_types: type -> {resources, labels, max_workers, ...} as in a cluster file, or that file as a whole. A type with
    no config label, with no CPU, or of which no worker may be started is left out: no task could be sent there by name.
    CPUs or GPUs that the provider fills in are None. Raises OptionError on what is no such mapping.
    """
    types = _types_of(node_types)
    faults = [fault for name, one in types for fault in _faults(name, one)]
    if faults:
        raise OptionError(
            "node_types: " + "; ".join(faults) + ". Give a cluster file's available_node_types, as `ray up` takes them."
        )
    found: dict[str, dict[str, Any]] = {}
    for one in _startable(node_types):
        config, (cpus, gpus) = _config(one), _counts(one, node_types)
        if config and cpus != 0:
            found[config] = {"cpus": cpus, "gpus": gpus, "emulated": str(one["labels"].get(EMULATED)) == "true"}
    return found


def is_complete(node_types: Mapping[str, Any]) -> bool:
    """Whether every type that may be started has a config label and known CPUs and GPUs.

    Only then is a request that no type can serve certain never to be served. node_types: as `checked` takes them.
    """
    return all(_config(one) and None not in _counts(one, node_types) for one in _startable(node_types))


def _types_of(node_types: Any) -> list[tuple[str, Any]]:
    types = node_types.get("available_node_types", node_types) if isinstance(node_types, Mapping) else node_types
    return list(types.items()) if isinstance(types, Mapping) else [("node_types", None)]


def _startable(node_types: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """The types of which the autoscaler may start a node; of the head's type none, unless max_workers says so."""
    head = node_types.get("head_node_type")
    for name, one in _types_of(node_types):
        if one.get("max_workers", 0 if name == head else 1):
            yield one


def _faults(name: str, one: Any) -> list[str]:
    if not isinstance(one, Mapping) or not isinstance(one.get("resources") or {}, Mapping):
        return [f"{name}={one!r} must be a mapping with resources, labels and max_workers"]
    resources = one.get("resources") or {}
    faults = [quantity_fault(kind, resources.get(kind, 0), 0, whole=True) for kind in ("CPU", "GPU")]
    return [f"{name}: {fault}" for fault in faults if fault]


def _config(one: Mapping[str, Any]) -> str | None:
    labels = one.get("labels")
    return str(labels[CONFIG]) if isinstance(labels, Mapping) and labels.get(CONFIG) else None


def _counts(one: Mapping[str, Any], node_types: Mapping[str, Any]) -> tuple[int | None, int | None]:
    """(CPUs, GPUs) of a node of a type; None where the provider fills them in, from the machine type of node_config."""
    provider = node_types.get("provider")
    name = provider.get("type") if isinstance(provider, Mapping) else None
    resources = one.get("resources") or {}
    filled_in = not resources or (bool(one.get("node_config")) and name not in NOT_FILLING_IN)
    cpus, gpus = (resources.get(kind) for kind in ("CPU", "GPU"))
    missing = None if filled_in else 0
    return missing if cpus is None else int(cpus), missing if gpus is None else int(gpus)


def planned(
    types: Mapping[str, Mapping[str, Any]], alive: Iterable[str], known: Mapping[str, NodeSpec]
) -> list[NodeKind]:  # fmt: skip
    """A NodeKind without nodes for each of `checked()`'s types of which no node runs.

    known: specs of configs whose nodes ran before; of others only CPUs and GPUs are known. Where no node of a type ran,
    it is left out if its CPUs are unknown, and planned for its CPUs alone if its GPUs are.
    """
    running = set(alive)
    kinds = []
    for config, type_ in types.items():
        if config in running:
            continue
        seen = emulated_configs().get(config) if type_["emulated"] else known.get(config)
        cpus, gpus = (
            (getattr(seen, name) if seen else None) if type_[name] is None else type_[name] for name in ("cpus", "gpus")
        )
        if cpus is not None:
            spec = seen or NodeSpec(config, cpus, gpus or 0)
            kinds.append(NodeKind(spec, ray_cpus=cpus, ray_gpus=gpus or 0, planned=True))
    return kinds
