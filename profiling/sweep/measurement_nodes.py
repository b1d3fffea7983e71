"""The nodes that a sweep measures on: one node of each kind of the cluster, or the machine itself where the nodes are
emulated.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from placement.errors import NotServedError, OptionError
from placement.spec.node import CONFIG, EMULATED, NodeSpec, emulated_configs
from profiling.emulation.emulated_cluster import LOCAL


@dataclass(frozen=True, slots=True)
class Site:
    """A node that cells are measured on, one at a time.

    ray_cpus: all that Ray grants there: a task that takes them is alone.  cpus: granted to its cells; None: those
    of `profiling.sweep.sweep_rows.cpus_of`.  emulates: configs whose rows are computed from these measurements.
    others: nodes of the same kind, for when this one goes.
    """

    node_id: str
    spec: NodeSpec
    ray_cpus: float
    cpus: tuple[float, ...] | None = None
    emulates: tuple[NodeSpec, ...] = ()
    others: tuple[str, ...] = ()

    def on(self, alive: Collection[str]) -> Site | None:
        """This site while its node is alive, else on another node of its kind; None where there is none left."""
        left = [node_id for node_id in (self.node_id, *self.others) if node_id in alive]
        return replace(self, node_id=left[0], others=tuple(left[1:])) if left else None


def find_sites(nodes: Sequence[Mapping[str, Any]] | None = None) -> list[Site]:
    """The sites of the cluster; connects to Ray, or starts it on this machine, where this process has not.

    nodes: the result of `ray.nodes()`. Raises NotServedError where no node is alive.
    """
    import ray

    if not ray.is_initialized():
        ray.init(logging_level=logging.ERROR, log_to_driver=False)
    nodes = [node for node in (ray.nodes() if nodes is None else nodes) if node["Alive"]]
    emulated = [node for node in nodes if node["Labels"].get(EMULATED) == "true"]
    real = [node for node in nodes if node not in emulated and node["Resources"].get("CPU")]
    if not emulated and not real:
        raise NotServedError("the cluster has no node with a CPU; start one with `ray start --head`.")
    sites = _of_kinds(real)
    return [*sites, this_machine(emulated)] if emulated else sites


def sites_of(sites: Sequence[Site], configs: Sequence[str] | None) -> list[Site]:
    """The sites of some configs, None: all; a machine that is measured for emulated configs computes those alone.

    Raises OptionError on a name that no site has.
    """
    if configs is None:
        return list(sites)
    known = {spec.config for site in sites for spec in (site.spec, *site.emulates)}
    if missing := sorted(set(configs) - known):
        raise OptionError(f"the cluster has no node of {', '.join(missing)}; it has {', '.join(sorted(known))}.")
    chosen = [replace(site, emulates=tuple(spec for spec in site.emulates if spec.config in configs)) for site in sites]
    return [site for site in chosen if site.spec.config in configs or site.emulates]


def this_machine(emulated: Sequence[Mapping[str, Any]]) -> Site:
    """This machine as config `local`: measured with all its CPUs, through the first of the emulated nodes on it."""
    from placement.control_plane.machine import this_machine_share
    from placement.hardware.probe import probe

    spec = probe(LOCAL, this_machine_share())
    names = {node["Labels"].get(CONFIG) for node in emulated}
    configs = tuple(spec for name, spec in emulated_configs().items() if name in names)
    host = emulated[0]
    cpus = host["Resources"].get("CPU", 1.0)
    others = tuple(node["NodeID"] for node in emulated[1:] if node["Resources"].get("CPU", 1.0) == cpus)
    return Site(host["NodeID"], spec, cpus, (float(spec.cpus),), configs, others)


def _of_kinds(nodes: Sequence[Mapping[str, Any]]) -> list[Site]:
    """One node of each kind: each is probed by a task of its own; the first of a kind stands for it."""
    import ray

    from placement.control_plane.machine import probe_node

    asked = [
        ray.remote(probe_node)
        .options(num_cpus=node["Resources"]["CPU"], label_selector={"ray.io/node-id": node["NodeID"]})
        .remote(node["Labels"].get(CONFIG), node["Resources"]["CPU"], node["Resources"].get("GPU", 0.0))
        for node in nodes
    ]
    sites: dict[str, Site] = {}
    for node, spec in zip(nodes, ray.get(asked), strict=True):
        node_id, cpus = node["NodeID"], node["Resources"]["CPU"]
        if spec.not_measured:
            logging.getLogger("placement").warning(
                "node %s: not measured: %s", node_id[:8], "; ".join(spec.not_measured)
            )
        site = sites.setdefault(spec.config, Site(node_id, spec, cpus))
        if site.node_id != node_id and site.ray_cpus == cpus:
            sites[spec.config] = replace(site, others=(*site.others, node_id))
    return list(sites.values())
