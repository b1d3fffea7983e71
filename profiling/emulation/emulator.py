"""Predicts a task's time and power on hardware that is not at hand, from its operations and the hardware's roofline.

    emulate(task, node, device, cpus=..., train=..., precision=...) -> Emulation
    emulated(task, node, device, cpus) -> placement.messages.envelope.Emulated      called by emulated nodes

The parts: `step_cost` (the roofline of a step, calibrated), `hardware_table` (bandwidths by name),
`power` (watts by what is busy), `profiling.emulation.calibrate` (makes data/emulator.json),
`profiling.emulation.benchmark` (tests it against measurements). Every figure here is an estimate, never a measurement.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, NamedTuple

from placement.errors import OptionError
from placement.spec.features import granted_gflops
from placement.spec.node import NodeSpec
from placement.spec.task import DEVICES, Device, Operation, TaskSpec
from profiling.emulation import power as power
from profiling.emulation.gpu_sharing import beside_others, gpu_busy
from profiling.emulation.hardware_table import SUSTAINED_SHARE, cpu_of, gpu_of
from profiling.emulation.step_cost import Parts, StepCosts, Variant, calibration, costs_of, tree_costs

if TYPE_CHECKING:
    from placement.messages.envelope import Emulated

Precision = Literal["fp32", "amp"]


@dataclass(frozen=True, slots=True)
class Emulation:
    """Predicted seconds, joules and watts of a task, all its steps together. None = unknown; then `error` is infinite.

    startup_s: worker start and CUDA initialisation, not part of seconds.  seconds: transfer_s + compute_s (warm).
    cpu_watts, gpu_watts: means over the seconds; the CPU's are those of the CPUs granted.  *_joules: over the seconds.
    error: of the seconds, relative, 1 sigma.  energy_error: of the joules likewise.
    fits: the device's memory holds it.  bound: what takes the most time: compute, memory, launch, transfer or pipeline.
    unknown: inputs that were not known and widened the error.
    gpu_busy: share of the seconds in which kernels run on the GPU.
    """

    startup_s: float
    transfer_s: float | None
    compute_s: float | None
    seconds: float | None
    cpu_watts: float | None
    gpu_watts: float | None
    cpu_joules: float | None
    gpu_joules: float | None
    error: float
    energy_error: float
    fits: bool
    bound: str
    unknown: tuple[str, ...] = ()
    gpu_busy: float | None = None


def emulate(
    task: TaskSpec, node: NodeSpec, device: Device, *, cpus: float, train: bool | None = None,
    precision: Precision = "fp32", loader_workers: float = 1.0,
) -> Emulation:  # fmt: skip
    """The time and power of a task on a device of a node.

    cpus: granted to the task.  train: None takes the task's kind.  loader_workers: cores that the input pipeline
    (operations of kind "pipeline") uses. On a GPU it overlaps with the device's work; on a CPU both share the cores.
    Raises OptionError on an unknown device or precision, or CPUs that are not positive.
    """
    _check_options(device, precision, cpus, loader_workers)
    train = task.kind == "train" if train is None else train
    operations, unknown = operations_of(task, train)
    unknown += strangeness(task, node, device, train, precision)
    fits = fits_memory(task, node, device, train)
    peak = peak_flops(node, device, cpus, precision)
    startup_s = float(calibration()["assumed"][f"{device}_startup_s"])
    if operations is None or peak is None:
        reason = "work" if operations is None else f"{device}_gflops"
        return Emulation(startup_s, *(None,) * 7, math.inf, math.inf, fits, "unknown", (*unknown, reason))
    costs = costs_of(device, train, precision, variant_of(task, node, device))
    parts = step_parts(operations, node, device, peak, cpus, costs)
    step = _step_of(task, node, device, operations, parts, min(loader_workers, cpus))
    transfer_s = task.steps * step.transfer_s + step.transfer_once_s
    seconds = task.steps * step.seconds + step.transfer_once_s
    cpu_w = power.cpu_watts(node, cpus, parts if device == "cpu" else None, step.loader_core_s, step.seconds)
    gpu_w = power.gpu_watts(node, parts, step.seconds) if device == "gpu" else None
    error = error_of(base_error(operations, device, costs), unknown)
    return Emulation(
        startup_s=startup_s,
        transfer_s=transfer_s,
        compute_s=seconds - transfer_s,
        seconds=seconds,
        cpu_watts=cpu_w,
        gpu_watts=gpu_w,
        cpu_joules=None if cpu_w is None else cpu_w * seconds,
        gpu_joules=None if gpu_w is None else gpu_w * seconds,
        error=error,
        energy_error=math.hypot(error, calibration()["power"]["error"]),
        fits=fits,
        bound=bound_of(parts, step.loader_s, step.transfer_s + step.transfer_once_s / task.steps),
        unknown=unknown,
        gpu_busy=gpu_busy(parts, step.seconds) if device == "gpu" else None,
    )


class _Step(NamedTuple):
    """Seconds of one step.

    loader_core_s, loader_s: of the input pipeline, on one core and on those it uses.  transfer_s: of each step's
    transfer.  transfer_once_s: of the transfer that the whole task pays once.
    """

    seconds: float
    loader_core_s: float
    loader_s: float
    transfer_s: float
    transfer_once_s: float


def _step_of(
    task: TaskSpec, node: NodeSpec, device: Device, operations: tuple[Operation, ...], parts: Parts, loader_cores: float
) -> _Step:
    """The step of a task: on a GPU the input pipeline overlaps with the device's work, on a CPU it adds to it."""
    loader_core_s = loader_seconds(operations, node)
    loader_s = loader_core_s / loader_cores
    transfer_s, transfer_once_s = transfer_seconds(task, node, device)
    on_device_s = parts.seconds + transfer_s
    seconds = max(loader_s, on_device_s) if device == "gpu" else loader_s + on_device_s
    return _Step(seconds, loader_core_s, loader_s, transfer_s, transfer_once_s)


def _check_options(device: str, precision: str, cpus: float, loader_workers: float) -> None:
    if device not in DEVICES or precision not in ("fp32", "amp") or not cpus > 0 or not loader_workers > 0:
        raise OptionError(
            f"emulate({device=}, {precision=}, {cpus=}, {loader_workers=}): device is one of {DEVICES}, "
            "precision fp32 or amp, cpus and loader_workers positive."
        )


def emulated(task: TaskSpec, node: NodeSpec, device: Device, cpus: float, others: float = 0.0) -> Emulated:
    """The figures that an emulated node reports of a task: "profiling.emulation.emulator:emulated" is placement's name
    for this function.

    others: how busy the task's neighbours on the GPU keep it.
    """
    from placement.messages.envelope import Emulated

    out = emulate(task, node, device, cpus=max(cpus, 1.0))
    alone = Emulated(
        out.startup_s,
        out.transfer_s,
        out.compute_s,
        out.cpu_joules,
        out.gpu_joules,
        out.cpu_watts,
        out.gpu_watts,
        out.energy_error if math.isfinite(out.energy_error) else None,
        out.gpu_busy,
    )
    return beside_others(alone, node, others) if others else alone


def operations_of(task: TaskSpec, train: bool) -> tuple[tuple[Operation, ...] | None, tuple[str, ...]]:
    """The task's operations, or a guess from its FLOPs alone, which says so; None where nothing is known."""
    if task.operations is not None:
        return task.operations, ()
    if not task.flops:
        return None, ()
    guess = calibration()["assumed"]["without_operations"]
    launches = task.kernels if task.kernels is not None else int(guess["launches"] * (3 if train else 1))
    return (Operation("conv", task.flops, task.flops / guess["flops_per_byte"], launches),), ("operations",)


def variant_of(task: TaskSpec, node: NodeSpec, device: Device) -> Variant:
    """The variant of the calibrated set that is meant for this task on this device."""
    if runtime_of(node, device) == "tflite":
        return "tflite"
    if device == "gpu":
        return "channels_last" if task.memory_format == "channels_last" else ""
    return "eager" if task.execution == "eager" else ""


def runtime_of(node: NodeSpec, device: Device) -> str:
    """The runtime of networks on a device: "torch", or a phone's "tflite"."""
    return gpu_of(node).runtime if device == "gpu" else cpu_of(node).runtime


def strangeness(task: TaskSpec, node: NodeSpec, device: Device, train: bool, precision: Precision) -> tuple[str, ...]:
    """Names of `widening` in data/emulator.json: features of this task that the calibration did not cover."""
    known = gpu_of(node).known if device == "gpu" else cpu_of(node).known
    name = (node.gpu_name if device == "gpu" else node.cpu_name) or ""
    runtime = runtime_of(node, device)
    calibrated = any(seen in name for seen in calibration()["calibrated_on"])
    found = {
        "unknown_hardware": not known,
        "other_hardware": known and not calibrated,
        "fp32_on_gpu": device == "gpu" and precision == "fp32" and runtime == "torch",
        "cpu_training": device == "cpu" and train,
        "mobile_training": train and runtime == "tflite",
        "compiled_on_gpu": device == "gpu" and task.execution == "compiled",
        "eager_on_cpu": device == "cpu" and task.execution == "eager" and not train,
        "amp_on_cpu": device == "cpu" and precision == "amp",
        "input_bytes": device == "gpu" and task.input_bytes is None,
        "framework": task.framework not in (None, "torch", "torchvision", "xgboost", "tflite"),
        "loader": any(operation.kind == "pipeline" for operation in task.operations or ()),
    }
    return tuple(reason for reason, holds in found.items() if holds)


def fits_memory(task: TaskSpec, node: NodeSpec, device: Device, train: bool) -> bool:
    """The device's memory holds the task (with a CUDA context); an unknown memory counts as enough."""
    available_gb = node.gpu_memory_gb if device == "gpu" else node.ram_gb
    needed = task.memory_bytes
    if needed is None:
        needed = 4.0 * (task.parameters or 0) * (4 if train else 1) + (task.input_bytes or 0)
    if device == "gpu":
        needed += calibration()["assumed"]["cuda_context_bytes"]
    return available_gb is None or needed <= available_gb * 1e9


def peak_flops(node: NodeSpec, device: Device, cpus: float, precision: Precision) -> float | None:
    """FLOP/s that no step exceeds: the CPUs granted, or the GPU's FP32 or tensor rate; None where unknown."""
    if device == "cpu":
        granted = granted_gflops(node, cpus)
        return granted * 1e9 if granted else None
    if not node.gpus or not node.gpu_gflops:
        return None
    # FP32 is held against the rate a large product sustains, AMP against the tensor cores' peak.
    ratio = gpu_of(node).amp_ratio / SUSTAINED_SHARE if precision == "amp" else 1.0
    return node.gpu_gflops * 1e9 * ratio


def step_parts(
    operations: tuple[Operation, ...],
    node: NodeSpec,
    device: Device,
    peak: float,
    cpus: float,
    costs: StepCosts,
) -> Parts:
    """The seconds of one step on the device, the input pipeline left out."""
    if device == "gpu":
        bandwidth = gpu_of(node).bandwidth
    else:
        # A few cores saturate the memory: each brings a fair share times this, up to all of it.
        lone = calibration()["assumed"]["cpu_bandwidth_of_a_share"]
        bandwidth = cpu_of(node).bandwidth * min(1.0, lone * cpus / max(node.cpus, 1))
    trees = [operation for operation in operations if operation.kind == "tree"]
    rest = [operation for operation in operations if operation.kind not in ("tree", "pipeline")]
    sums = (costs.parts(rest, peak, bandwidth), tree_costs(device).parts(trees, peak, bandwidth))
    return Parts(*(sum(values) for values in zip(*sums, strict=True)))


def loader_seconds(operations: tuple[Operation, ...], node: NodeSpec) -> float:
    """Core seconds of a step's input pipeline: decoded bytes at a core's rate, by its clock."""
    rate = calibration()["pipeline"]["bytes_s_core"]
    clock = cpu_of(node).boost_ghz / calibration()["pipeline"]["boost_ghz"]
    return sum(operation.bytes for operation in operations if operation.kind == "pipeline") / (rate * clock)


def transfer_seconds(task: TaskSpec, node: NodeSpec, device: Device) -> tuple[float, float]:
    """Seconds of host to device copies: of a step's input, and once of the parameters. 0 on a CPU, where the inputs lie
    on the device already, and where the GPU works in the CPU's memory.
    """
    if device == "cpu" or task.inputs_on_device or gpu_of(node).shared_memory:
        return 0.0, 0.0
    assumed = calibration()["assumed"]
    bus = gpu_of(node).bus * assumed["bus_share"]
    return (task.input_bytes or 0.0) / bus + assumed["copy_s"], 4.0 * (task.parameters or 0) / bus


def base_error(operations: tuple[Operation, ...], device: Device, costs: StepCosts) -> float:
    """Relative error of the calibrated set."""
    if any(operation.kind == "tree" for operation in operations):
        return tree_costs(device).error
    return costs.error


def error_of(base: float, unknown: tuple[str, ...]) -> float:
    """The relative error with everything unknown added, as independent parts."""
    widening = calibration()["widening"]
    return math.hypot(base, *(widening[reason] for reason in unknown))


def bound_of(parts: Parts, loader_s: float, transfer_s: float) -> str:
    """The part of a step that takes the most time."""
    times = {**parts._asdict(), "pipeline": loader_s, "transfer": transfer_s}
    return max(times, key=lambda name: times[name])
