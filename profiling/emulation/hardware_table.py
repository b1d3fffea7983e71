"""Memory bandwidths, bus rates and cores of hardware by name, from a committed table: a NodeSpec has none of them.

Hardware that the table does not name gets figures guessed from its throughput, and says so (`known=False`): the
emulator then widens its error.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from functools import cache, lru_cache
from importlib import resources
from typing import Any

from placement.prediction.device_rates import guessed_cpu_bandwidth, guessed_gpu_bandwidth
from placement.spec.node import NodeSpec

GUESSED_BUS = 15.75e9  # PCIe 3.0 x16
GUESSED_BOOST_GHZ = 3.5
SUSTAINED_SHARE = 0.8
"""Share of the FP32 peak that a large matrix product reaches; the same share as in placement/data/configs.json."""
OTHER_MODEL = r"(?!\s*(?:Ti|SUPER|D|GT|Laptop|Mobile|Max-Q)\b)"
"""Words that make another device of a name: an RTX 3060 is no RTX 3060 Ti."""


@dataclass(frozen=True, slots=True)
class GpuFigures:
    """A GPU of the table. bandwidth, bus: B/s. amp_ratio: FP16 tensor rate over FP32 rate. known: the table names
    it. shared_memory: it is on the CPU's chip and works in its memory. runtime: what runs networks on it.
    """

    bandwidth: float
    bus: float
    amp_ratio: float
    known: bool
    shared_memory: bool = False
    runtime: str = "torch"


@dataclass(frozen=True, slots=True)
class Cpu:
    """A processor of the table. bandwidth: B/s. boost_ghz: one core's clock. known: the table names it.

    runtime: what runs networks on it.
    """

    bandwidth: float
    boost_ghz: float
    known: bool
    runtime: str = "torch"


@cache
def table() -> dict[str, Any]:
    """The committed facts, with their sources: profiling/data/hardware.json."""
    text = resources.files("profiling").joinpath("data/hardware.json").read_text()
    return dict(json.loads(text))


@lru_cache(maxsize=256)
def row(part: str, name: str | None) -> dict[str, Any] | None:
    """The table's row for a device's full name, as /proc/cpuinfo or NVML give it; None where it has none.

    part: "cpus" or "gpus".
    """
    plain = re.sub(r"\((R|TM)\)", "", name or "", flags=re.IGNORECASE)
    for alias, facts in table()[part].items():
        if re.search(rf"\b{re.escape(alias)}\b{OTHER_MODEL}", plain, re.IGNORECASE):
            return dict(facts)
    return None


def gpu_of(node: NodeSpec) -> GpuFigures:
    """The node's GPU."""
    facts = row("gpus", node.gpu_name)
    if facts:
        return GpuFigures(
            facts["bandwidth_gb_s"] * 1e9, facts["bus_gb_s"] * 1e9, facts["amp_ratio"], True,
            facts.get("shared_memory", False), facts.get("runtime", "torch"),
        )  # fmt: skip
    bandwidth = guessed_gpu_bandwidth(node.gpu_gflops, node.gpu_memory_gb, node.gpu_tdp_w)
    return GpuFigures(bandwidth, GUESSED_BUS, 1.0, False)


def cpu_of(node: NodeSpec) -> Cpu:
    """The node's processor."""
    facts = row("cpus", node.cpu_name)
    if facts:
        return Cpu(facts["bandwidth_gb_s"] * 1e9, facts["boost_ghz"], True, facts.get("runtime", "torch"))
    return Cpu(guessed_cpu_bandwidth(node.cpu_gflops), GUESSED_BOOST_GHZ, False)


def gpu_node(name: str) -> NodeSpec:
    """A NodeSpec that has just this GPU of the table, sustained throughput estimated from its peak."""
    facts = table()["gpus"][name]
    return NodeSpec(
        config=name.replace(" ", "-"),
        cpus=16,
        gpus=1,
        gpu_name=name,
        gpu_gflops=SUSTAINED_SHARE * facts["peak_gflops"],
        gpu_memory_gb=facts["memory_gb"],
        gpu_tdp_w=facts["tdp_w"],
        estimated=("gpu_gflops",),
    )


def cpu_node(name: str) -> NodeSpec:
    """A NodeSpec that has just this processor of the table, sustained throughput estimated from its base-clock peak."""
    facts = table()["cpus"][name]
    return NodeSpec(
        config=name.replace(" ", "-"),
        cpus=facts["threads"],
        cpu_name=name,
        cpu_gflops=0.85 * facts["gflops_base"],  # the same share as in placement/data/configs.json
        cpu_tdp_w=facts["tdp_w"],
        estimated=("cpu_gflops",),
    )
