"""The report of a worker's finished runs: rows of the log by column, timings for the history, GPUs that failed.

Many runs have the same Envelope; the columns that they share are worked out and sent once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from placement.messages.envelope import ANOTHERS_CUDA, Emulated, Envelope, TaskRun, common, comparison_of, unpack
from placement.messages.node_context import NodeContext
from placement.messages.reports import Observation, Unfit
from placement.prediction.runtime_history import Place, Sample, size_of
from placement.spec.features import granted_gflops
from placement.spec.joint_threshold import run_joules
from placement.spec.task_record import SCHEMA_VERSION, Rows

if TYPE_CHECKING:
    from placement.hardware.meters import Energy

ENERGY_COLUMNS = ("cpu_joules", "gpu_joules", "cpu_watts", "gpu_watts", "cpu_utilisation", "gpu_utilisation")
NODE_COLUMNS = ("gpu_gflops", "gpu_memory_gb", "cpu_tdp_w", "gpu_tdp_w", "ram_gb", "cpu_name", "gpu_name")


class RunRecords(NamedTuple):
    """The records of some runs. The rows of one Rows share their function, device and decision."""

    rows: list[Rows]
    observations: list[Observation]
    unfit: list[Unfit]


def recorded(
    runs: Sequence[TaskRun], context: NodeContext, energy: Mapping[int, Energy], batch_id: str | None = None
) -> RunRecords:
    """The records of finished runs. energy: of those whose energy is known, by the position of the run.

    batch_id: by which a reader counts a batch sent twice once.
    """
    alike: dict[tuple[Any, ...], list[int]] = {}
    for i, run in enumerate(runs):
        envelope_of = run.packed and common(run.packed)
        # Neighbours change the emulated times, and what a failure says.
        beside = run.neighbour_utilisation if context.emulated else bool(run.neighbours)
        alike.setdefault((run.function, envelope_of, run.device, run.fallback, run.error, beside), []).append(i)
    records = RunRecords([], [], [])
    for at in alike.values():
        some, energies = [runs[i] for i in at], [energy.get(i) for i in at]
        packed = some[0].packed
        if packed is None:
            if context.logs:
                records.rows.append(_rows(some, energies, None, None, context, batch_id))
            continue
        envelope = unpack(packed)
        emulated = context.emulate(envelope, some[0].device, some[0].neighbour_utilisation)
        records.rows.append(_rows(some, energies, envelope, emulated, context, batch_id))
        if context.spec is not None:
            _learned(records, some, energies, envelope, emulated, context)
    return records


def _rows(
    runs: list[TaskRun], energies: list[Energy | None], envelope: Envelope | None, emulated: Emulated | None,
    context: NodeContext, batch_id: str | None,
) -> Rows:  # fmt: skip
    one = runs[0]
    same = {
        "schema_version": SCHEMA_VERSION, "run_id": context.run_id, "batch_id": batch_id, "source": "production",
        "function": one.function, "workload": one.function.rsplit(".", 1)[-1], "node_id": context.node_id,
        "config": context.spec.config if context.spec else None, "emulated": context.emulated, "device": one.device,
        "repeats": 1, "error": one.error, "fallback": one.fallback,
    }  # fmt: skip
    each: dict[str, list[Any]] = {
        "time_utc": [run.began for run in runs],
        "task_id": [run.task_id and run.task_id.hex() for run in runs],
    }
    if any(run.memory_bytes is not None for run in runs):
        each["peak_memory_bytes"] = [run.memory_bytes for run in runs]
    if any(run.neighbours is not None for run in runs):
        each["neighbours"] = [run.neighbours for run in runs]
        each["neighbour_utilisation"] = [run.neighbour_utilisation for run in runs]
    if envelope is not None:
        same |= _decided(envelope, context)
        each["cold"] = [run.cold for run in runs]
        comparisons = [run.packed and comparison_of(run.packed) for run in runs]
        if any(comparisons):
            each["weighed"] = [one and str(one) for one in comparisons]
    if context.emulated:
        # Real seconds of a host that plays another machine say nothing of that machine.
        if emulated is not None:
            same |= {**emulated._asdict(), "time_provenance": "emulated", "energy_provenance": "emulated"}
        return Rows(len(runs), same, each)
    same["time_provenance"] = "measured"
    each |= {"startup_s": [run.startup_s for run in runs], "compute_s": [run.seconds for run in runs]}
    return Rows(len(runs), same, each | _measured(energies))


def _decided(envelope: Envelope, context: NodeContext) -> dict[str, Any]:
    spec, decision, node = envelope.spec, envelope.decision, context.spec
    columns: dict[str, Any] = {
        "function_key": envelope.key or None,
        "kind": spec.kind or "other", "framework": spec.framework, "cpus": decision.cpus, "gpus": decision.gpus,
        "flops": spec.flops, "batch_size": spec.batch_size, "parameters": spec.parameters,
        "input_bytes": spec.input_bytes, "memory_bytes": spec.memory_bytes, "kernels": spec.kernels,
        "inputs_on_device": spec.inputs_on_device,
        "steps": spec.steps, "probability": decision.probability, "propensity": decision.propensity,
        "policy": decision.policy, "selector_version": decision.selector_version,
        "snapshot_version": str(decision.snapshot_version), "reason": decision.reason,
    }  # fmt: skip
    if node is None:
        return columns
    hardware = {name: getattr(node, name) for name in NODE_COLUMNS}
    throughput = {"cpu_gflops": granted_gflops(node, decision.cpus), "gflops_basis": "sustained"}
    return columns | hardware | throughput | {"probes": node.probes_json}


def _measured(energies: list[Energy | None]) -> dict[str, list[Any]]:
    """The columns of energy; none where nothing was measured or estimated of any run."""
    known = [energy if energy is not None and energy.provenance is not None else None for energy in energies]
    if not any(known):
        return {}
    columns = {name: [energy and getattr(energy, name) for energy in known] for name in ENERGY_COLUMNS}
    provenances = [energy and energy.provenance for energy in known]
    return columns | {"energy_provenance": provenances, "energy_error": [energy and energy.error for energy in known]}


def _learned(
    records: RunRecords, runs: list[TaskRun], energies: list[Energy | None], envelope: Envelope,
    emulated: Emulated | None, context: NodeContext,
) -> None:  # fmt: skip
    """Adds what history learns: warm timings of runs that went well, and a GPU that could not take the task."""
    one = runs[0]
    assert context.spec is not None
    key, config = (envelope.key or one.function, size_of(envelope.spec)), context.spec.config
    if one.fallback is not None:
        if not one.fallback.startswith(ANOTHERS_CUDA):
            share = envelope.decision.gpus if one.neighbours else 1.0
            records.unfit.append(Unfit(key, config, one.fallback, share))
        return
    if one.error is not None:
        return
    samples = _emulated_samples(runs, emulated) if context.emulated else _samples(runs, energies)
    if samples:
        records.observations.append((key, Place(config, one.device, envelope.decision.cpus), samples))


def _emulated_samples(runs: list[TaskRun], emulated: Emulated | None) -> list[Sample]:
    if emulated is None or emulated.compute_s is None:
        return []
    joules = run_joules(runs[0].device, emulated.cpu_joules, emulated.gpu_joules)
    seconds = (emulated.transfer_s or 0.0) + emulated.compute_s
    error, busy = emulated.energy_error or 0.0, emulated.gpu_utilisation if runs[0].device == "gpu" else None
    return [Sample(seconds, joules, error, utilisation=busy)] * len(runs)


def _samples(runs: list[TaskRun], energies: list[Energy | None]) -> list[Sample]:
    return [_sample(run, energy) for run, energy in zip(runs, energies, strict=True) if not run.cold]


def _sample(run: TaskRun, energy: Energy | None) -> Sample:
    if energy is None:
        return Sample(run.seconds, memory_bytes=run.memory_bytes)
    joules = run_joules(run.device, energy.cpu_joules, energy.gpu_joules)
    busy = energy.gpu_utilisation if run.device == "gpu" and not run.neighbours else None
    return Sample(run.seconds, joules, energy.error or 0.0, run.memory_bytes, busy)
