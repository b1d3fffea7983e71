"""NodeSpec, the figures of one kind of node; Inventory, the kinds that a cluster has."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from functools import cache
from importlib import resources
from typing import Any

from placement.errors import SpecError
from placement.spec.task import quantity_fault

CONFIG = "config"
EMULATED = "placement.emulated"
"""Ray node labels: the kind's name, and "true" where the node plays another machine."""

QUANTITIES = ("cpu_gflops", "gpu_gflops", "gpu_memory_gb", "ram_gb", "cpu_tdp_w", "gpu_tdp_w")


@dataclass(frozen=True, slots=True)
class NodeSpec:
    """Figures of one kind of node. None means unknown, or that there is none (`gpus` tells which).

    config: the kind's name, carried as a Ray node label.  cpus: logical CPUs that Ray may grant.  gpus: how many.
    cpu_gflops, gpu_gflops: measured, sustained FP32 throughput of the whole processor and of one GPU, GFLOP/s.
    cpu_tdp_w, gpu_tdp_w: thermal design power, W.  gpu_memory_gb, ram_gb: 1e9 bytes.
    probes: seconds of each representative kernel timed on the node, by name (see `placement.hardware.probe`).
    estimated: names of the figures that were estimated, not measured on the node (a TDP no counter told, say).
    not_measured: why figures are missing that a probe of the node would give; empty where it gave all.
    emulated: the figures come from a configuration, not from a probe of this node.
    """

    config: str
    cpus: int
    gpus: int = 0
    cpu_name: str | None = None
    gpu_name: str | None = None
    cpu_gflops: float | None = None
    gpu_gflops: float | None = None
    gpu_memory_gb: float | None = None
    ram_gb: float | None = None
    cpu_tdp_w: float | None = None
    gpu_tdp_w: float | None = None
    probes: Mapping[str, float] = field(default_factory=dict, hash=False)
    estimated: tuple[str, ...] = ()
    emulated: bool = False
    not_measured: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        faults = [fault for name in QUANTITIES if (fault := quantity_fault(name, getattr(self, name), 0))]
        faults += [
            fault if (fault := quantity_fault(name, value, 0, whole=True)) else f"{name}=None must be a number"
            for name in ("cpus", "gpus")
            if (value := getattr(self, name)) is None or quantity_fault(name, value, 0, whole=True)
        ]
        if not isinstance(self.config, str) or not self.config:
            faults.append(f"config={self.config!r} must be a name")
        if faults:
            raise SpecError("not a valid NodeSpec: " + "; ".join(faults) + ". Give None for what is not known.")

    def to_dict(self) -> dict[str, object]:
        """Plain data for JSON."""
        return {**asdict(self), "probes": dict(self.probes)}

    @property
    def probes_json(self) -> str | None:
        """The probes as a column of the log; None where the node was not timed."""
        return json.dumps(dict(sorted(self.probes.items()))) if self.probes else None

    @classmethod
    def from_dict(cls, data: Mapping[str, object]) -> NodeSpec:
        """The NodeSpec of `to_dict`'s data; SpecError on fields it does not know."""
        known = {f.name for f in fields(cls)}
        unknown = sorted(set(data) - known)
        if unknown:
            raise SpecError(f"not a NodeSpec: unknown fields {unknown}; valid are {sorted(known)}.")
        missing = sorted({"config", "cpus"} - set(data))
        if missing:
            raise SpecError(f"not a NodeSpec: missing fields {missing}; optional are {sorted(known - set(missing))}.")
        values: dict[str, Any] = dict(data)
        values |= {name: tuple(values.get(name) or ()) for name in ("estimated", "not_measured")}
        return cls(**values)


@dataclass(frozen=True, slots=True)
class NodeKind:
    """A kind of node in a cluster: its spec and the nodes of that kind."""

    spec: NodeSpec
    node_ids: tuple[str, ...] = ()
    labelled: bool = True
    """The nodes carry `config` as a Ray label, so that Ray can be asked for the kind by name."""
    ray_cpus: float | None = None
    ray_gpus: float | None = None
    """CPUs and GPUs that Ray may grant on one node; None: those of the spec. An emulated node grants fewer."""
    planned: bool = False
    """No node of the kind runs; the autoscaler could start one."""

    gpu_free_gb: float | None = None
    """Most that one of its GPUs has beside what programs other than Ray's hold, 1e9 bytes; None = all of it."""

    @property
    def grants_cpus(self) -> float:
        """CPUs that Ray may grant on one node."""
        return self.spec.cpus if self.ray_cpus is None else self.ray_cpus

    @property
    def grants_gpus(self) -> float:
        """GPUs that Ray may grant on one node."""
        return self.spec.gpus if self.ray_gpus is None else self.ray_gpus

    @property
    def count(self) -> int:
        """Number of nodes of this kind."""
        return len(self.node_ids)


@dataclass(frozen=True, slots=True)
class Inventory:
    """The kinds of node of a cluster, by config, largest GPU first.

    complete: what an autoscaler could start is known too, so that what no kind can serve is never served.
    """

    kinds: tuple[NodeKind, ...] = ()
    complete: bool = False

    def __post_init__(self) -> None:
        names = [kind.spec.config for kind in self.kinds]
        if len(set(names)) != len(names):
            raise SpecError(f"an Inventory names each config once, not {names}.")
        # One order, however the nodes were found: two clusters alike decide alike.
        kinds = sorted(self.kinds, key=lambda kind: (-(kind.spec.gpu_gflops or 0.0), kind.spec.config))
        object.__setattr__(self, "kinds", tuple(kinds))

    @property
    def planned(self) -> frozenset[str]:
        """The configs of which no node runs, and the autoscaler could start one."""
        return frozenset(kind.spec.config for kind in self.kinds if kind.planned)

    @property
    def gpu_kinds(self) -> tuple[NodeKind, ...]:
        """The kinds that have a GPU."""
        return tuple(kind for kind in self.kinds if kind.spec.gpus)

    def spec(self, config: str) -> NodeSpec | None:
        """The NodeSpec of a config; None where the cluster has none such."""
        return next((kind.spec for kind in self.kinds if kind.spec.config == config), None)


@cache
def paper_configs() -> dict[str, NodeSpec]:
    """The paper's four configurations A-D (Table 4), as emulated NodeSpecs; the figures' sources are in the file."""
    text = resources.files("placement").joinpath("data/configs.json").read_text()
    return {name: NodeSpec.from_dict(spec) for name, spec in json.loads(text)["configs"].items()}


@cache
def config_groups() -> dict[str, tuple[str, ...]]:
    """Name of a group of configurations that can be emulated -> theirs: the paper's, servers, a phone, a laptop."""
    groups = _more_configs()["groups"]
    return {"paper": tuple(paper_configs()), **{name: tuple(configs) for name, configs in groups.items()}}


@cache
def emulated_configs() -> dict[str, NodeSpec]:
    """Every configuration that can be emulated, by name: the paper's and those of data/more_configs.json."""
    more = {name: one for configs in _more_configs()["groups"].values() for name, one in configs.items()}
    return paper_configs() | {name: NodeSpec.from_dict(one["spec"]) for name, one in more.items()}


def configs_named(text: str) -> dict[str, NodeSpec]:
    """The configurations that a list of names of configurations and of groups has: "servers,A".

    Raises SpecError on a name that is neither.
    """
    known, groups, found = emulated_configs(), config_groups(), dict[str, NodeSpec]()
    for name in filter(None, (part.strip() for part in text.split(","))):
        if name not in known and name not in groups:
            raise SpecError(f"no configuration or group is called {name!r}; valid are {', '.join([*groups, *known])}.")
        found |= {config: known[config] for config in groups.get(name, (name,))}
    if not found:
        raise SpecError(f"no configuration is named by {text!r}; valid are {', '.join([*groups, *known])}.")
    return found


def emulated_names() -> str:
    """The names of `emulated_configs` for a message: the paper's, and the others."""
    paper = sorted(paper_configs())
    return f"{paper} and {sorted(set(emulated_configs()) - set(paper))}"


@cache
def _more_configs() -> dict[str, Any]:
    return dict(json.loads(resources.files("placement").joinpath("data/more_configs.json").read_text()))
