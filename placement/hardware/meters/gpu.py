"""NVIDIA GPUs through NVML (the `pynvml` module of nvidia-ml-py), which is loaded at first use.

The energy counter (Volta and later) is read where there is one, else power is read and integrated. NVML states
+-5 % for power (nvmlDeviceGetPowerUsage). Without a driver there are no GPUs, and no error.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from placement.hardware.meters.channel import Channel, Meter, MeterLostError

_MILLI = 1e-3
_ERROR = 0.05
_COUNTER_RESOLUTION_S = 0.1
"""The counter moves about every 100 ms."""
NOT_AVAILABLE = 2**63
"""Older bindings give NVML's "not available" as a number of this size or more."""
MIG_REASON = "a MIG slice: NVML tells the energy of the whole GPU only"


@dataclass(frozen=True, slots=True)
class Gpu:
    """A GPU as the driver tells it. index: in the order of the PCI bus.  power_limit_w: its default limit, W.

    mig: it is cut into MIG slices, so that no task's energy is known.
    """

    uuid: str
    index: int
    name: str | None = None
    memory_gb: float | None = None
    power_limit_w: float | None = None
    mig: bool = False


@dataclass(frozen=True, slots=True)
class NvmlMeter:
    """Reads one figure of a GPU. It gets a new handle each time: after a GPU was gone, its old handle is stale."""

    channel: Channel
    uuid: str
    function: str
    scale: float

    def read(self) -> float:
        """The figure, in the channel's unit. Raises MeterLostError where the GPU or the driver is gone."""
        nvml = nvml_module()
        if nvml is None:
            raise MeterLostError(f"gpu {self.uuid}: the NVIDIA driver is gone")
        try:
            value = getattr(nvml, self.function)(nvml_handle(nvml, self.uuid))
        except Exception as fault:  # NVML's error, or a binding of another package without this function
            raise MeterLostError(f"gpu {self.uuid}: {fault}") from fault
        return float(getattr(value, "gpu", value)) * self.scale


def nvml_module() -> Any | None:
    """The `pynvml` module, initialised (NVML counts how often, and it costs nothing again); None without a driver.

    Several packages bring a module of this name: where one of them raises or lacks a function, there is no driver.
    """
    try:
        import pynvml

        pynvml.nvmlInit()
    except Exception:
        return None
    return pynvml


def nvml_handle(nvml: Any, uuid: str) -> Any:
    """A GPU's handle. Older bindings hand the UUID to C as it is, which takes bytes alone."""
    try:
        return nvml.nvmlDeviceGetHandleByUUID(uuid)
    except (TypeError, ctypes.ArgumentError):
        return nvml.nvmlDeviceGetHandleByUUID(uuid.encode())


def nvml_answer(nvml: Any, function: str, *arguments: Any) -> Any | None:
    """The answer of one of NVML's functions; None where the GPU, the driver or the binding has none."""
    try:
        return getattr(nvml, function)(*arguments)
    except Exception:
        return None


_OF_PROCESS: Any = object()


def find_gpus(visible: str | None = _OF_PROCESS) -> tuple[Gpu, ...]:
    """The GPUs that a CUDA_VISIBLE_DEVICES names, in its order; by default this process's own, None: all of the node.

    GPUs that do not answer are left out. Empty without a driver.
    """
    gpus = _all_gpus()
    visible = os.environ.get("CUDA_VISIBLE_DEVICES") if visible is _OF_PROCESS else visible
    by_uuid = {gpu.uuid: gpu for gpu in gpus}
    return tuple(by_uuid[uuid] for uuid in visible_gpus(visible, gpus)[0])


def _all_gpus() -> tuple[Gpu, ...]:
    """The GPUs of the node, by index."""
    nvml = nvml_module()
    if nvml is None:
        return ()
    found = []
    for index in range(nvml_answer(nvml, "nvmlDeviceGetCount") or 0):
        handle = nvml_answer(nvml, "nvmlDeviceGetHandleByIndex", index)
        uuid = handle is not None and nvml_answer(nvml, "nvmlDeviceGetUUID", handle)
        if not uuid:
            continue
        tell = partial(nvml_answer, nvml)
        memory = tell("nvmlDeviceGetMemoryInfo", handle)
        limit = tell("nvmlDeviceGetPowerManagementDefaultLimit", handle) or tell(
            "nvmlDeviceGetPowerManagementLimit", handle
        )
        modes = tell("nvmlDeviceGetMigMode", handle)
        found.append(
            Gpu(
                _text(uuid),
                index,
                _text(tell("nvmlDeviceGetName", handle)),
                memory.total / 1e9 if memory else None,
                limit * _MILLI if limit else None,
                bool(modes and modes[0]),
            )
        )
    return tuple(found)


def _text(value: Any) -> Any:
    return value.decode() if isinstance(value, bytes) else value  # older pynvml modules give bytes


def _known_handle(nvml: Any, uuid: str) -> Any | None:
    try:
        return nvml_handle(nvml, uuid)
    except Exception:
        return None


def free_gb(gpu: Gpu, ours: Callable[[int], bool | None]) -> float | None:
    """The memory of a GPU beside that of other programs, 1e9 bytes; None where NVML does not tell.

    ours: whether a process is one of Ray's, whose memory is free again when its task ends; None where the process
    cannot be looked up. Memory counts as another program's only where that is certain.
    """
    nvml = nvml_module()
    handle = nvml and _known_handle(nvml, gpu.uuid)
    running = handle and nvml_answer(nvml, "nvmlDeviceGetComputeRunningProcesses", handle)
    if running is None or gpu.memory_gb is None:
        return None
    held = [process.usedGpuMemory for process in running if ours(process.pid) is False]
    if any(used is None or used >= NOT_AVAILABLE for used in held):
        return None
    return max(0.0, gpu.memory_gb - sum(held) / 1e9)


def gpu_meters(gpus: Sequence[Gpu] | None = None) -> tuple[list[Meter], dict[str, str]]:
    """The meters of the GPUs' energy and load (default: of all), and UUID -> reason for those that have none."""
    meters: list[Meter] = []
    unmeasured = {}
    for gpu in find_gpus(None) if gpus is None else gpus:
        if gpu.mig:
            unmeasured[gpu.uuid] = MIG_REASON
            continue
        energy = _energy_meter(gpu)
        if energy is None:
            unmeasured[gpu.uuid] = f"{gpu.name or 'this GPU'} tells neither its energy nor its power"
            continue
        meters.append(energy)
        load = NvmlMeter(
            Channel(f"busy:gpu:{gpu.uuid}", "busy_s", rate=True), gpu.uuid, "nvmlDeviceGetUtilizationRates", 0.01
        )
        if _answers(load):
            meters.append(load)
    return meters, unmeasured


def _energy_meter(gpu: Gpu) -> Meter | None:
    counter = Channel(f"gpu:{gpu.uuid}", "joules", resolution_s=_COUNTER_RESOLUTION_S, error=_ERROR)
    power = Channel(f"gpu:{gpu.uuid}", "joules", rate=True, resolution_s=_COUNTER_RESOLUTION_S, error=_ERROR)
    for channel, function in (
        (counter, "nvmlDeviceGetTotalEnergyConsumption"),
        (power, "nvmlDeviceGetPowerUsage"),
    ):
        meter = NvmlMeter(channel, gpu.uuid, function, _MILLI)
        if _answers(meter):
            return meter
    return None


def _answers(meter: Meter) -> bool:
    try:
        meter.read()
    except MeterLostError:
        return False
    return True


def visible_gpus(value: str | None, gpus: Sequence[Gpu]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """(UUIDs, reasons) of the GPUs that a CUDA_VISIBLE_DEVICES names; None means all of them.

    It may hold indexes, UUIDs or their unique beginnings, and MIG slices, which are a reason. As in CUDA, what comes
    after the first entry that names no GPU is not visible. Indexes are taken in the order of the PCI bus, as Ray gives
    them; CUDA's own default order differs where a node mixes kinds of GPU.
    """
    if value is None:
        return tuple(gpu.uuid for gpu in gpus), ()
    uuids: list[str] = []
    reasons: list[str] = []
    for token in filter(None, (part.strip() for part in value.split(","))):
        if token.startswith("MIG-"):
            reasons.append(f"{token}: {MIG_REASON}")
            continue
        named = [gpu.uuid for gpu in gpus if _is(gpu, token)]
        if len(named) != 1:
            reasons.append(f"CUDA_VISIBLE_DEVICES={value!r}: {token!r} names no one GPU of this node")
            break
        uuids += [uuid for uuid in named if uuid not in uuids]
    return tuple(uuids), tuple(reasons)


def _is(gpu: Gpu, token: str) -> bool:
    return gpu.index == int(token) if token.isdecimal() else token.startswith("GPU-") and gpu.uuid.startswith(token)
