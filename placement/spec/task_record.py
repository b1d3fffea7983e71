"""One row of the log: what happened when a task ran on a device. Plain data; the files are in `placement.log`.

TaskRecord is the one table of columns: the Parquet schema, its units and its order are derived from its fields, so the
two cannot drift. None means not measured or not known; it is never written as 0.
"""

# ruff: noqa: RUF009 - the defaults are made by two helpers that call dataclasses.field
from __future__ import annotations

import types
import typing
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from operator import attrgetter
from typing import Any, Literal, NamedTuple

from placement.spec.task import Device, TaskKind

SCHEMA_VERSION = 3

Source = Literal["sweep", "production", "import"]
Provenance = Literal["measured", "estimated", "emulated"]
PROVENANCES: tuple[Provenance, ...] = ("measured", "estimated", "emulated")
"""Best first."""
GflopsBasis = Literal["sustained", "peak"]


def _col(what: str, unit: str = "") -> Any:
    return field(default=None, metadata={"unit": unit, "what": what})


def _must(what: str) -> Any:
    return field(metadata={"unit": "", "what": what})


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskRecord:
    """One run of a task on a device, or the mean of `repeats` equal runs: one row of the log.

    All seconds, joules and watts are those of ONE run of the task. Units stand in each field's metadata.
    """

    schema_version: int = field(default=SCHEMA_VERSION, metadata={"unit": "", "what": "of this row's columns"})
    run_id: str = _must("the sweep, or the cluster's session, that this row belongs to")
    batch_id: str | None = _col("<writer>:<number> of the batch that brought the row; resent batches count once")
    time_utc: float | None = _col("when the run began: seconds since the epoch; a UTC timestamp in the file", "s")
    source: Source = _must("sweep | production | import")
    function: str = _must("qualified name of the task's function")
    workload: str | None = _col("what is run (resnet18, ...); hold-outs by workload go by it")
    family: str | None = _col("kind of model or operation (vision, nas-nb201, gbm-xgboost, ...)")
    kind: TaskKind | None = _col("train | infer | preprocess | other")
    framework: str | None = _col("what runs it (torch, xgboost, ...)")
    config: str | None = _col("name of the node's NodeSpec")
    node_id: str | None = _col("Ray's id of the node")
    emulated: bool | None = _col("the node is an emulated one")
    device: Device = _must("where it ran: cpu | gpu")
    cpus: float | None = _col("CPUs granted", "1")
    gpus: float | None = _col("GPUs granted", "1")
    cpu_gflops: float | None = _col("throughput of the CPUs granted; see gflops_basis", "GFLOP/s")
    gpu_gflops: float | None = _col("throughput of the node's GPU; see gflops_basis", "GFLOP/s")
    gpu_memory_gb: float | None = _col("the node's GPU memory, 1e9 bytes", "GB")
    cpu_tdp_w: float | None = _col("thermal design power of the processor", "W")
    gpu_tdp_w: float | None = _col("thermal design power of the GPU", "W")
    flops: float | None = _col("of one step, a multiply-add counted as two", "FLOP")
    batch_size: int | None = _col("samples in a step", "samples")
    parameters: int | None = _col("of the model", "1")
    input_bytes: float | None = _col("of one step; imported pairs tell elements, taken as 4 bytes each", "B")
    ram_gb: float | None = _col("the node's memory, 1e9 bytes", "GB")
    memory_bytes: float | None = _col("device memory the task said it needs", "B")
    kernels: int | None = _col("kernel launches of one step", "1")
    inputs_on_device: bool | None = _col("its inputs lay on the device already: its seconds hold no transfer")
    steps: int | None = _col("steps in one run", "1")
    repeats: int | None = _col("runs this row is the mean of", "1")
    startup_s: float | None = _col("worker start and CUDA initialisation; no part of the label", "s")
    transfer_s: float | None = _col("host to device and back; None where it is not told apart from compute_s", "s")
    compute_s: float | None = _col("the rest of the warm run, its input pipeline included", "s")
    seconds_std: float | None = _col("standard deviation of the warm seconds over the repeats", "s")
    censored: bool | None = _col("did not finish within its time budget; its seconds are that budget")
    cpu_joules: float | None = _col("the task's share of the CPU's energy, on a GPU run too", "J")
    gpu_joules: float | None = _col("energy of the task's GPUs", "J")
    cpu_watts: float | None = _col("the task's share of the CPU's average power", "W")
    gpu_watts: float | None = _col("average power of the task's GPUs", "W")
    cpu_utilisation: float | None = _col("busy share of the node's CPUs, 0-1", "1")
    gpu_utilisation: float | None = _col("busy share of the task's GPUs, 0-1", "1")
    peak_memory_bytes: float | None = _col("most memory held: the device's on a GPU, the process's on a CPU", "B")
    time_provenance: Provenance | None = _col("measured | estimated | emulated")
    energy_provenance: Provenance | None = _col("measured | estimated | emulated")
    energy_error: float | None = _col("relative error of the joules: 0.5 is +-50 %", "1")
    probability: float | None = _col("the selector's P(GPU)", "1")
    propensity: float | None = _col("chance with which the policy took this device", "1")
    policy: str | None = _col("name of the policy that decided")
    selector_version: str | None = _col("version of the selector that was asked")
    snapshot_version: str | None = _col("version of the snapshot decided from")
    reason: str | None = _col("why this device was taken")
    weighed: str | None = _col("where something was waited for: wait + cost of the way taken and of the best other")
    fallback: str | None = _col("why it ran on another device than was chosen")
    error: str | None = _col("what the task raised")
    synthetic: bool | None = _col("its input data were generated")
    task_id: str | None = _col("Ray's id of the task")
    preset: str | None = _col("name of the sweep's cell; an imported pair's number")
    cpu_name: str | None = _col("the node's processor")
    gpu_name: str | None = _col("the node's GPU, on CPU rows too: it is the other half of the pair")
    source_name: str | None = _col("whose measurements these are, where imported; hold-outs by source go by it")
    probes: str | None = _col("a JSON object: seconds of each representative kernel that was timed on the node")
    gflops_basis: GflopsBasis | None = _col("what *_gflops are: sustained (probed) | peak (spec sheet)")
    pair_energy_ratio: float | None = _col("E_gpu / E_cpu, where a foreign table tells the ratio alone", "1")
    function_key: str | None = _col("the function by name and code, under which history keeps a placed task's runs")
    cold: bool | None = _col("the first run of its function in its process, which history leaves out")
    neighbours: int | None = _col("other tasks on its GPU, the most at once; null where it had no share of one", "1")
    neighbour_utilisation: float | None = _col("how busy they together are expected to have kept it", "1")

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> TaskRecord:
        """The record of a row of `pyarrow.Table.to_pylist()`; columns it does not know are left out."""
        known = {column.name: data[column.name] for column in COLUMNS if column.name in data}
        moment = known.get("time_utc")
        if hasattr(moment, "timestamp"):
            known["time_utc"] = moment.timestamp()  # type: ignore[union-attr]
        return cls(**known)


class Column(NamedTuple):
    """A column of the log: its Python type, its unit ("" where it has none) and what it says."""

    name: str
    type: type
    unit: str
    what: str


def _plain_type(hint: Any) -> type:
    """The one type of `X | None` or of a Literal of strings."""
    if typing.get_origin(hint) is Literal:
        return str
    if isinstance(hint, types.UnionType) or typing.get_origin(hint) is typing.Union:
        return next(_plain_type(arm) for arm in typing.get_args(hint) if arm is not type(None))
    return typing.cast(type, hint)


def _columns() -> tuple[Column, ...]:
    hints = typing.get_type_hints(TaskRecord)
    return tuple(
        Column(f.name, _plain_type(hints[f.name]), f.metadata["unit"], f.metadata["what"]) for f in fields(TaskRecord)
    )


COLUMNS: tuple[Column, ...] = _columns()
NAMES: tuple[str, ...] = tuple(column.name for column in COLUMNS)
REQUIRED = frozenset({"schema_version", "run_id", "source", "function", "device"})
_values: Callable[[TaskRecord], tuple[Any, ...]] = attrgetter(*NAMES)


class Rows(NamedTuple):
    """Rows of the log by column: the cheapest form to make, to send and to write.

    number: of rows.  same: column -> the value that all of them share.  each: column -> their values, in order.
    A column in neither is None in all of them.
    """

    number: int
    same: Mapping[str, Any]
    each: Mapping[str, Sequence[Any]]

    @classmethod
    def of(cls, records: Sequence[TaskRecord]) -> Rows:
        """Records by column."""
        return cls(len(records), {}, dict(zip(NAMES, zip(*map(_values, records), strict=True), strict=bool(records))))

    def column(self, name: str) -> Sequence[Any]:
        """The values of a column, in order."""
        return self.each[name] if name in self.each else [self.same.get(name)] * self.number

    def last(self, number: int) -> Rows:
        """The last so many rows."""
        kept = min(number, self.number)
        return Rows(kept, self.same, {name: values[self.number - kept :] for name, values in self.each.items()})


def how_many(some: Iterable[Rows]) -> int:
    """Rows in all."""
    return sum(rows.number for rows in some)
