"""Pairs of a CPU and a GPU run of the same work, from the log, labelled when they are read.

    rows -> pairs -> labelled (a pandas DataFrame)          import_pairs: a foreign table of pairs -> rows

The label is never stored: thresholds can change without measuring again.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc

from placement.errors import LogError
from placement.spec.features import FEATURES, Features
from placement.spec.joint_threshold import DeviceRun, JointThreshold, Label
from placement.spec.task_record import PROVENANCES, Provenance
from profiling.dataset.import_pairs import import_pairs
from profiling.dataset.runs import HARDWARE, IDENTITY, grouped, usable

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Pair", "import_pairs", "labelled", "pairs", "unlabelled"]

NO_RUN = DeviceRun(None)
"""The run on a device that work was not run on."""


@dataclass(frozen=True, slots=True)
class Pair:
    """One piece of work on a CPU and on a GPU of one config: the means of the runs of each.

    cpu, gpu: warm seconds (transfer and compute) and joules of one run; a GPU run's joules include the CPU's (Eq. 2).
    cpu_runs, gpu_runs: how many runs each is the mean of.  gpus: granted to the GPU run.
    time_provenance, energy_provenance: the worse of the two devices'.  energy_error: the larger of the two, relative.
    stated_energy_ratio: E_gpu / E_cpu of an imported pair whose source gives only the ratio.
    cpu_weight, gpu_weight: the mean of 1 / propensity over a device's runs, LARGEST_WEIGHT at most.
    All other fields are the log's columns of the same name.
    """

    source: str
    source_name: str | None
    function: str
    workload: str | None
    family: str | None
    preset: str | None
    kind: str | None
    framework: str | None
    config: str | None
    cpus: float | None
    emulated: bool | None
    synthetic: bool | None
    cpu_name: str | None
    gpu_name: str | None
    gflops_basis: str | None
    flops: float | None
    batch_size: int | None
    parameters: int | None
    input_bytes: float | None
    steps: int | None
    kernels: int | None
    memory_bytes: float | None
    inputs_on_device: bool | None
    cpu_gflops: float | None
    gpu_gflops: float | None
    gpu_memory_gb: float | None
    cpu_tdp_w: float | None
    gpu_tdp_w: float | None
    ram_gb: float | None
    gpus: float | None
    cpu: DeviceRun
    gpu: DeviceRun
    cpu_runs: int
    gpu_runs: int
    time_provenance: Provenance | None
    energy_provenance: Provenance | None
    energy_error: float | None
    stated_energy_ratio: float | None = None
    cpu_weight: float = 1.0
    gpu_weight: float = 1.0

    @property
    def features(self) -> Features | None:
        """The selector's vector, in the order of FEATURES; None where any is unknown (FLOPs of 0 are)."""
        values = [getattr(self, name) for name in FEATURES]
        return tuple(float(value) for value in values) if self.flops and None not in values else None

    @property
    def is_complete(self) -> bool:
        """Whether the work ran on both devices."""
        return self.cpu is not NO_RUN and self.gpu is not NO_RUN

    @property
    def speedup(self) -> float | None:
        """T_cpu / T_gpu; None where a run did not finish."""
        finished = not self.cpu.censored and not self.gpu.censored
        return self.cpu.seconds / self.gpu.seconds if finished and self.cpu.seconds and self.gpu.seconds else None

    @property
    def energy_ratio(self) -> float | None:
        """E_gpu / E_cpu; None where it was not measured or a run did not finish."""
        if self.cpu.censored or self.gpu.censored:
            return None
        return self.gpu.joules / self.cpu.joules if self.cpu.joules and self.gpu.joules else self.stated_energy_ratio

    def label(self, rule: JointThreshold) -> Label | None:
        """The rule's label of the pair; None where neither run finished."""
        if self.speedup is None:
            return rule.label(self.cpu, self.gpu)
        return rule.decide(self.speedup, self.energy_ratio)


def pairs(table: pa.Table, *, one_sided: bool = False) -> list[Pair]:
    """Every pair of the log (see `placement.log.read_log`), in the order of their first rows.

    one_sided: also work that ran on one device alone; the run on the other device is NO_RUN.

    A CPU and a GPU row belong together where all of IDENTITY is equal. Means are over runs (`repeats`). Runs that
    failed or fell back to another device are left out; finished runs are preferred to those cut off by their budget,
    and measured values to estimated and emulated ones: they are not mixed.

    Raises LogError where there is none; the message counts the log's runs.
    """
    sides: dict[tuple[Any, ...], dict[str, dict[float | None, list[dict[str, Any]]]]] = {}
    for group in grouped(usable(table)):
        key = tuple(group[name] for name in IDENTITY)
        side = sides.setdefault(key, {"cpu": {}, "gpu": {}})[group["device"]]
        side.setdefault(group["gpus_granted"], []).append(group)
    found = [
        _pair(cpu, gpu)
        for side in sides.values()
        for cpu in side["cpu"].values() or ([[]] if one_sided else ())
        for gpu in side["gpu"].values() or ([[]] if one_sided else ())
    ]
    if not found:
        raise LogError(_why_no_pairs(table))
    return found


def labelled(pairs: Iterable[Pair], rule: JointThreshold | None = None, *, both_classes: bool = False) -> pd.DataFrame:
    """Pairs as a DataFrame with a label by the rule (default: JointThreshold()); pairs that have none are left out.

    Columns: those of Pair, with `cpu` and `gpu` as `cpu_seconds, cpu_joules, cpu_censored, gpu_seconds, ...`, and
    `speedup`, `energy_ratio`, `label` ("cpu" | "gpu"), `reason`. Unknown numbers are NaN.

    both_classes: raise LogError unless both labels are there, as learning needs.
    """
    import pandas as pd

    rule = rule or JointThreshold()
    rows = [_flat(pair, label) for pair in pairs if (label := pair.label(rule)) is not None]
    names = [row["label"] for row in rows]
    if both_classes and len(set(names)) < 2:
        raise LogError(
            f"nothing to learn from: of {len(names)} pairs, {names.count('cpu')} are labelled cpu and "
            f"{names.count('gpu')} gpu at speedup >= {rule.speedup}, energy ratio <= {rule.energy_ratio}. Sweep "
            "smaller and larger work (both answers must occur), or choose other thresholds."
        )
    return pd.DataFrame(rows)


def unlabelled(pairs: Iterable[Pair]) -> pd.DataFrame:
    """Pairs, and work that ran on one device alone, as a DataFrame with the columns of `labelled`; none has a label."""
    import pandas as pd

    return pd.DataFrame([_flat(pair, None) for pair in pairs])


def _flat(pair: Pair, label: Label | None) -> dict[str, Any]:
    row = {f.name: getattr(pair, f.name) for f in fields(pair) if f.name not in ("cpu", "gpu")}
    for device in ("cpu", "gpu"):
        run: DeviceRun = getattr(pair, device)
        row |= {f"{device}_seconds": run.seconds, f"{device}_joules": run.joules, f"{device}_censored": run.censored}
    return row | {
        "speedup": pair.speedup,
        "energy_ratio": pair.energy_ratio,
        "label": label and label.device,
        "reason": label and label.reason,
    }


def _rank(provenance: str | None) -> int:
    return PROVENANCES.index(provenance) if provenance in PROVENANCES else len(PROVENANCES)


@dataclass(frozen=True, slots=True)
class _Side:
    """One device's half of a pair."""

    run: DeviceRun
    runs: int
    time_provenance: Provenance | None
    energy_provenance: Provenance | None
    energy_error: float | None
    weight: float = 1.0


NO_SIDE = _Side(NO_RUN, 0, None, None, None)


def _side(groups: Sequence[dict[str, Any]]) -> _Side:
    """The mean of the best groups: finished before cut off, then by provenance of the time, then of the energy."""
    if not groups:
        return NO_SIDE
    best = min((group["cut"], _rank(group["time_provenance"])) for group in groups)
    groups = [group for group in groups if (group["cut"], _rank(group["time_provenance"])) == best]
    runs = sum(group["runs_sum"] for group in groups)
    seconds = sum(group["second_runs_sum"] for group in groups) / runs
    with_energy = [group for group in groups if group["joule_runs_sum"] and group["energy_runs_sum"]]
    energy = min(with_energy, key=lambda group: _rank(group["energy_provenance"]), default=None)
    stated = next((group for group in groups if group["pair_energy_ratio_mean"] is not None), None)
    told = energy or stated
    return _Side(
        DeviceRun(seconds, energy["joule_runs_sum"] / energy["energy_runs_sum"] if energy else None, groups[0]["cut"]),
        runs,
        groups[0]["time_provenance"],
        told["energy_provenance"] if told else None,
        told["energy_error_max"] if told else None,
        sum(group["weight_runs_sum"] for group in groups) / runs,
    )


def _pair(cpu_groups: Sequence[dict[str, Any]], gpu_groups: Sequence[dict[str, Any]]) -> Pair:
    cpu, gpu = _side(cpu_groups), _side(gpu_groups)
    both = (*cpu_groups, *gpu_groups)
    energy_known = cpu.run.joules is not None and gpu.run.joules is not None
    ratio = _mean(group["pair_energy_ratio_mean"] for group in gpu_groups)
    errors = [error for error in (cpu.energy_error, gpu.energy_error) if error is not None]
    energy_provenance = _worse(cpu.energy_provenance, gpu.energy_provenance) if energy_known else gpu.energy_provenance
    alone = cpu if not gpu_groups else gpu if not cpu_groups else None
    return Pair(
        **{name: both[0][name] for name in IDENTITY},
        **{name: _mean(group[f"{name}_mean"] for group in both) for name in HARDWARE},
        gpus=gpu_groups[0]["gpus_granted"] if gpu_groups else None,
        cpu=cpu.run,
        gpu=gpu.run,
        cpu_runs=cpu.runs,
        gpu_runs=gpu.runs,
        time_provenance=alone.time_provenance if alone else _worse(cpu.time_provenance, gpu.time_provenance),
        energy_provenance=energy_provenance if energy_known or ratio is not None else None,
        energy_error=max(errors) if errors and energy_known else None,
        stated_energy_ratio=ratio,
        cpu_weight=cpu.weight,
        gpu_weight=gpu.weight,
    )


def _worse(first: Provenance | None, second: Provenance | None) -> Provenance | None:
    return max(first, second, key=_rank)


def _mean(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None


def _why_no_pairs(table: pa.Table) -> str:
    ran = usable(table)
    counts = {device: pc.sum(pc.equal(ran["device"], device)).as_py() or 0 for device in ("cpu", "gpu")}
    return (
        f"the log has no pairs: of {table.num_rows} rows, {counts['cpu']} are finished CPU runs and {counts['gpu']} "
        "finished GPU runs, and none of them are of the same work on the same config. `placement sweep` runs each cell "
        "on both devices; `placement import` takes a table of pairs."
    )
