"""The kinds of node that an autoscaler could start: read from a cluster file's `available_node_types`.

Ray tells nobody which types its autoscaler has before a node of one runs, so they are named once, by
`placement.start(node_types=...)` or `placement start --node-types FILE`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from placement.errors import OptionError
from placement.spec.node import CONFIG, EMULATED, NodeKind, NodeSpec, paper_configs
from placement.spec.task import quantity_fault

STARTING_S = 180.0
"""Until a node that the autoscaler starts takes its first task; a guess, two to five minutes are usual in clouds."""


def checked(node_types: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Of each config that the types carry: the CPUs and GPUs of a node, and whether it is emulated; plain JSON data.

    node_types: type -> {resources, labels, max_workers, ...} as in a cluster file, or that file as a whole. A type with
    no config label, with no CPU, or of which no worker may be started is left out: no task could be sent there by name.
    Raises OptionError on what is no such mapping.
    """
    types = node_types.get("available_node_types", node_types) if isinstance(node_types, Mapping) else node_types
    faults = []
    found: dict[str, dict[str, Any]] = {}
    head = node_types.get("head_node_type") if isinstance(node_types, Mapping) else None
    for name, one in types.items() if isinstance(types, Mapping) else [("node_types", None)]:
        if not isinstance(one, Mapping) or not isinstance(one.get("resources") or {}, Mapping):
            faults.append(f"{name}={one!r} must be a mapping with resources, labels and max_workers")
            continue
        resources, labels = one.get("resources") or {}, one.get("labels") or {}
        counts = {kind: resources.get(kind, 0) for kind in ("CPU", "GPU")}
        wrong = [fault for kind, n in counts.items() if (fault := quantity_fault(kind, n, 0, whole=True))]
        faults += [f"{name}: {fault}" for fault in wrong]
        started = one.get("max_workers", 0 if name == head else 1)
        if not wrong and isinstance(labels, Mapping) and labels.get(CONFIG) and counts["CPU"] and started:
            emulated = str(labels.get(EMULATED)) == "true"
            found[str(labels[CONFIG])] = {
                "cpus": int(counts["CPU"]), "gpus": int(counts["GPU"]), "emulated": emulated
            }  # fmt: skip
    if faults:
        raise OptionError(
            "node_types: " + "; ".join(faults) + ". Give a cluster file's available_node_types, as `ray up` takes them."
        )
    return found


def planned(
    types: Mapping[str, Mapping[str, Any]], alive: Iterable[str], known: Mapping[str, NodeSpec]
) -> list[NodeKind]:  # fmt: skip
    """A NodeKind without nodes for each of `checked()`'s types of which no node runs.

    known: specs of configs whose nodes ran before; of others only CPUs and GPUs are known.
    """
    running = set(alive)
    kinds = []
    for config, type_ in types.items():
        if config in running:
            continue
        spec = paper_configs().get(config) if type_["emulated"] else known.get(config)
        spec = spec or NodeSpec(config, type_["cpus"], type_["gpus"])
        kinds.append(NodeKind(spec, ray_cpus=type_["cpus"], ray_gpus=type_["gpus"], planned=True))
    return kinds


def is_complete(types: Mapping[str, Mapping[str, Any]], alive: Iterable[str]) -> bool:  # noqa: ARG001
    """Whether the CPUs and GPUs of every type are known."""
    return True
