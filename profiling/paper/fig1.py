"""Fig. 1: the share of the work for the GPU, by configuration; and with one and the same CPU beside every GPU."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from placement.spec.node import emulated_configs, paper_configs
from profiling.dataset.pairs import labelled, pairs
from profiling.paper import PaperOptions, Part, figure, table
from profiling.paper.source import Source
from profiling.report import figure_data, plots

if TYPE_CHECKING:
    import pandas as pd

ONE_CPU = "A"
"""The configuration whose CPU stands beside every GPU in the second table."""


def shares(frame: pd.DataFrame) -> dict[str, dict[str, Any]]:
    """Config -> gpu (its name), pairs (with all CPUs); by the CPUs granted ("all": the most) share of GPU labels and
    fast, the share at least T_t times faster: the difference was refused by the energy test."""
    found: dict[str, dict[str, Any]] = {}
    for config, group in frame.groupby("config", dropna=False):
        most = group["cpus"].max()
        parts = {_cpus(cpus, most): part for cpus, part in group.groupby("cpus")} or {"all": group}
        found[str(config)] = {
            "gpu": next((name for name in group["gpu_name"] if isinstance(name, str)), None),
            "gpu_gflops": float(group["gpu_gflops"].astype(float).mean()),
            "provenance": str(group["time_provenance"].mode().iloc[0]),
            "pairs": len(parts["all"]),
            "share": {name: float((part["label"] == "gpu").mean()) for name, part in parts.items()},
            "fast": {name: float((part["reason"] != "too_little_speedup").mean()) for name, part in parts.items()},
        }
    return dict(sorted(found.items(), key=lambda entry: entry[1]["gpu_gflops"]))


def _cpus(cpus: float, most: float) -> str:
    return "all" if cpus == most else f"{cpus:g}"


def beside_one_cpu(source: Source) -> dict[str, float]:
    """GPU of a config -> share of the grid for it, where every GPU stands beside ONE_CPU's CPU, all of it granted."""
    from profiling.sweep.preset_grid import emulated_table

    known, host = emulated_configs(), paper_configs()[ONE_CPU]
    configs = {name: known[name] for name in sorted(set(source.pairs["config"].dropna())) if name in known}
    configs = configs or paper_configs()
    nodes = [
        replace(host, config=name, **{field: getattr(node, field) for field in _GPU}) for name, node in configs.items()
    ]
    frame = labelled(pairs(emulated_table(nodes=nodes)), source.rule)
    frame = frame[frame["cpus"] == float(host.cpus)]
    return {str(name): float((group["label"] == "gpu").mean()) for name, group in frame.groupby("config")}


_GPU = ("gpu_name", "gpu_gflops", "gpu_memory_gb", "gpu_tdp_w")

NOTES = (
    "Published (a bar chart without numbers): the share rises from A to D. Ours falls from A to C, then rises to D.",
    "Why: the configurations differ in both devices. C and D have a processor of 4.8 times A's throughput; the GPU "
    "gains as much only on work that fills it. C and D share one processor, and there the stronger GPU has the larger "
    "share. With A's processor beside every GPU the fall is gone.",
    "It is then nearly flat: small work waits for kernel launches, which cost the same on every GPU.",
    "With few CPUs granted the energy test refuses work of the larger cards: they draw more while they wait.",
    "The paper does not tell the mix behind its Fig. 1, nor how its virtual nodes scale the CPU.",
)


NOT_PUBLISHED = ("The paper has no such configurations: there is nothing to compare these shares with.",)


def run(source: Source, options: PaperOptions) -> Part:
    """Fig. 1: see `profiling.paper.Part`."""
    del options
    found = shares(source.pairs)
    granted = sorted({name for one in found.values() for name in one["share"]}, key=lambda n: (n == "all", n))
    made = table(
        "Fig. 1: share of the pairs whose answer is the GPU",
        "config", "GPU", *(f"{name} CPU{'' if name == '1' else 's'}" for name in granted), "pairs",
        caption="By the CPUs granted; in brackets by the time test alone, without the energy test.",
    )  # fmt: skip
    for config, one in found.items():
        made.add_row(
            config, (one["gpu"] or "–").replace("GeForce ", ""),
            *(f"{figure(one['share'].get(n), '.1%')} ({figure(one['fast'].get(n), '.0%')})" for n in granted),
            str(one["pairs"]),
        )  # fmt: skip
    notes = NOTES if set(paper_configs()) & set(found) else NOT_PUBLISHED
    same = beside_one_cpu(source)
    second = table(f"The same with {ONE_CPU}'s CPU beside every GPU (emulated)", "GPU of", *same)
    second.add_row("share", *(figure(value, ".1%") for value in same.values()))
    return Part((made, second), {"configs": found, f"beside_cpu_of_{ONE_CPU}": same}, notes,
                lambda: plots.gpu_share(figure_data.gpu_share(source.whole)))  # fmt: skip
