"""The probe of a machine: sustained throughput by timed kernels, memory, thermal design power.

It describes the share of the machine that Ray may grant (`MachineShare`), not the whole of it. The kernels run in a
process of their own with a thread for each CPU of the share, so that no CUDA context and no thread pool stays behind.
That process writes each part of the probe as soon as it is done: where a library cannot be imported, a driver hangs or
the process dies, the other parts hold, and `NodeSpec.not_measured` has the reasons. A complete result is kept on the
machine's disk and taken again where the hardware and the share are the same.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import platform
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from placement.errors import SpecError
from placement.hardware import kernels
from placement.hardware.meters import Gpu, cpu_name, cpu_tdp_w, find_gpus
from placement.spec.node import NodeSpec
from placement.spec.ray_start_args import device_entries

VERSION = 2
PROBE_TIMEOUT_S = 180.0
WATTS_A_THREAD = 5.3  # median TDP a thread of 15 desktop and server processors (vendors' pages), for want of a counter
GPU_WATTS = 250.0  # a common TDP of a data-centre or desktop card, for want of a reading


@dataclass(frozen=True, slots=True)
class MachineShare:
    """The part of a machine that Ray may grant. None = all of it.

    visible_devices: its GPUs, as CUDA_VISIBLE_DEVICES names them.  memory_gb: 1e9 bytes.
    """

    cpus: float | None = None
    gpus: float | None = None
    visible_devices: str | None = None
    memory_gb: float | None = None

    @classmethod
    def of_process(cls) -> MachineShare:
        """The share of this process: the CPUs it may run on, and the GPUs its CUDA_VISIBLE_DEVICES names."""
        return cls(len(os.sched_getaffinity(0)), None, os.environ.get("CUDA_VISIBLE_DEVICES"))

    @property
    def threads(self) -> int:
        """Threads that the share's CPUs run at once; no more than the machine has."""
        machine = os.cpu_count() or 1
        return machine if self.cpus is None else max(1, min(machine, math.ceil(self.cpus)))

    @property
    def whole_cpus(self) -> int:
        """The CPUs of the share, rounded up."""
        return (os.cpu_count() or 1) if self.cpus is None else math.ceil(self.cpus)


def granted_devices(visible_devices: str | None, gpus: float) -> str:
    """The CUDA_VISIBLE_DEVICES of the GPUs that a node of Ray's grants, which are the first of those it sees.

    visible_devices: the node's own; None where it is not set.
    """
    count = math.ceil(gpus)
    if visible_devices is None:
        return ",".join(str(index) for index in range(count))
    return ",".join(device_entries(visible_devices)[:count])


def visible_gpu_count(visible_devices: str | None) -> int:
    """The number of GPUs and MIG slices that a CUDA_VISIBLE_DEVICES names and the driver knows; None: of the node."""
    gpus = find_gpus(visible_devices)
    slices = [entry for entry in device_entries(visible_devices or "") if entry.strip().startswith("MIG-")]
    return len(gpus) + (len(slices) if slices and any(gpu.mig for gpu in find_gpus(None)) else 0)


def probe(config: str | None = None, share: MachineShare | None = None, *, fresh: bool = False) -> NodeSpec:
    """The NodeSpec of this machine. It never fails: `not_measured` names the figures it lacks and why.

    config: its name, else one derived from the hardware.  share: what Ray may grant, else the share of this process.
    fresh: time it again. Takes a few seconds at the first call on a machine.
    """
    share = share or MachineShare.of_process()
    path = _cache_path(share)
    spec = None if fresh else _read(path)
    if spec is None:
        spec = spec_of(*run_parts(share), share)
        if not spec.not_measured:
            _write(path, spec)
    return replace(spec, config=config or spec.config)


Part = Mapping[str, Any]


def parts(share: MachineShare) -> Iterator[tuple[str, Part]]:
    """The parts of the probe as they are measured: (name, figures); figures {"fault": reason} of one that failed.

    The parts that most rarely fail come first.
    """
    threads = share.threads
    for name, part in (
        ("cpu kernels", lambda: _prefixed("cpu", kernels.numpy_kernels())),
        ("gpus", lambda: _gpu_figures(find_gpus(share.visible_devices), share)),
        ("torch on the CPU", lambda: _prefixed("cpu", kernels.torch_kernels(threads))),
        ("XGBoost on the CPU", lambda: _prefixed("cpu", kernels.tree_kernels("cpu", threads))),
        ("gpu kernels", lambda: _prefixed("gpu", _gpu_kernels(share))),
    ):
        try:
            yield name, part()
        except Exception as error:
            yield name, {"fault": f"{type(error).__name__}: {error}".splitlines()[0][:300]}


PARTS = ("cpu kernels", "gpus", "torch on the CPU", "XGBoost on the CPU", "gpu kernels")


def run_parts(
    share: MachineShare, command: tuple[str, ...] = (sys.executable, "-m", "placement.hardware.probe"),
    timeout_s: float = PROBE_TIMEOUT_S,
) -> tuple[dict[str, Part], str | None]:  # fmt: skip
    """`parts` in a process of its own, and why it ended early; None where it did not."""
    names = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
    env = {**os.environ, **dict.fromkeys(names, str(share.threads))}
    if share.visible_devices is None:
        env.pop("CUDA_VISIBLE_DEVICES", None)
    else:
        env["CUDA_VISIBLE_DEVICES"] = share.visible_devices
    with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as err:
        process = subprocess.Popen([*command, json.dumps(asdict(share))], env=env, stdout=out, stderr=err)
        ended = None
        try:
            if process.wait(timeout_s):
                err.seek(0)
                lines = err.read().strip().splitlines() or [""]
                ended = f"the probe's process ended with {process.returncode} {lines[-1][:300]}".strip()
        except subprocess.TimeoutExpired:
            ended = f"the probe did not end within {timeout_s:g} s"
            process.kill()  # not waited for: a process that hangs in a driver may never end
        out.seek(0)
        return dict(_complete_lines(out.read())), ended


def _complete_lines(text: str) -> Iterator[tuple[str, Part]]:
    for line in text.splitlines():
        try:
            name, part = json.loads(line)
        except ValueError:  # a library's own words, or a line cut off
            continue
        if name in PARTS and isinstance(part, dict):
            yield name, part


def spec_of(found: Mapping[str, Part], ended: str | None, share: MachineShare) -> NodeSpec:
    """The NodeSpec of the parts that were measured. ended: why the others are missing."""
    figures = {key: value for part in found.values() for key, value in part.items() if key != "fault"}
    faults = [f"{name}: {part['fault']}" for name, part in found.items() if "fault" in part]
    missing = [name for name in PARTS if name not in found]
    if missing:
        faults.append(f"{', '.join(missing)}: {ended or 'the probe gave no answer'}")
    times = {key: value for key, value in figures.items() if key.startswith(("cpu_", "gpu_"))}
    gpus = _granted_gpus(figures.get("gpus"), share)
    name, gpu_name = cpu_name() or platform.processor() or platform.machine(), figures.get("name") if gpus else None
    cpu_w, cpu_estimated = machine_tdp_w()
    gpu_w = figures.get("power_limit_w") if gpus else None
    estimated = ("cpu_tdp_w",) * (cpu_estimated or share.threads < (os.cpu_count() or 1))
    estimated += ("gpu_tdp_w",) * bool(gpus and gpu_w is None)
    return NodeSpec(
        config=config_name(name, share.whole_cpus, gpu_name), cpus=share.whole_cpus, gpus=gpus,
        cpu_name=name, gpu_name=gpu_name,
        cpu_gflops=_gflops(times.get("cpu_matmul_large")), gpu_gflops=_gflops(times.get("gpu_matmul_large")),
        gpu_memory_gb=figures.get("memory_gb") if gpus else None,
        ram_gb=_ram_gb() if share.memory_gb is None else share.memory_gb,
        probes=times, estimated=estimated, not_measured=tuple(faults),
        cpu_tdp_w=cpu_w * share.threads / (os.cpu_count() or 1), gpu_tdp_w=gpu_w or (GPU_WATTS if gpus else None),
    )  # fmt: skip


def machine_tdp_w() -> tuple[float, bool]:
    """(the processor's thermal design power, W; whether it is an estimate). Of the whole machine."""
    measured = cpu_tdp_w()
    return ((os.cpu_count() or 1) * WATTS_A_THREAD, True) if measured is None else (measured, False)


def config_name(cpu: str, cpus: int, gpu: str | None) -> str:
    """A config derived from the hardware, valid as a Ray label: letters, digits and dashes."""
    words = re.sub(r"\([^)]*\)|\bCPU\b|\bProcessor\b|@.*", " ", cpu)
    text = f"{words} {cpus}cpu" + (f" {gpu}" if gpu else "")
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")[:60].strip("-")


def _granted_gpus(visible: int | None, share: MachineShare) -> int:
    """GPUs that Ray may grant and the driver knows; where the driver could not be asked, those that Ray may grant."""
    granted = None if share.gpus is None else math.ceil(share.gpus)
    counts = [count for count in (visible, granted) if count is not None]
    return min(counts, default=0)


def _gpu_figures(gpus: tuple[Gpu, ...], share: MachineShare) -> dict[str, Any]:
    """The number of GPUs, and the figures of the first, which Ray grants first. Of MIG slices only the number."""
    if not gpus:
        return {"gpus": visible_gpu_count(share.visible_devices)}
    first, count = gpus[0], visible_gpu_count(share.visible_devices)
    return {"gpus": count, "name": first.name, "memory_gb": first.memory_gb, "power_limit_w": first.power_limit_w}


def _gpu_kernels(share: MachineShare) -> dict[str, float]:
    if not find_gpus(share.visible_devices):
        return {}
    timed = kernels.cuda_kernels()
    return timed | kernels.tree_kernels("cuda", share.threads) if timed else {}


def _prefixed(prefix: str, times: Mapping[str, float]) -> dict[str, float]:
    return {f"{prefix}_{name}": seconds for name, seconds in times.items()}


def _gflops(seconds: float | None) -> float | None:
    """Throughput of the large matrix product: 2 n^3 FLOPs."""
    return None if seconds is None else 2 * kernels.LARGE**3 / seconds / 1e9


def _ram_gb() -> float:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9


def _cache_path(share: MachineShare) -> Path:
    """One file for each user, host, hardware, share and set of libraries: another of any of them is probed anew."""
    libraries = "".join(str(int(find_spec(name) is not None)) for name in ("torch", "xgboost"))
    gpus = "".join(sorted(p.name for p in Path("/proc/driver/nvidia/gpus").glob("*"))) or "none"
    part = hashlib.sha256(json.dumps([os.cpu_count(), asdict(share)]).encode()).hexdigest()[:12]
    name = f"placement-probe-{VERSION}-{os.getuid()}-{platform.node()}-{gpus}-{libraries}-{part}.json"
    return Path(tempfile.gettempdir()) / name


def _read(path: Path) -> NodeSpec | None:
    """The NodeSpec kept in a file; None where there is none, or none that is whole and of this user's."""
    try:
        if path.stat().st_uid != os.getuid():
            return None
        return NodeSpec.from_dict(json.loads(path.read_text()))
    except (OSError, ValueError, TypeError, SpecError):
        return None


def _write(path: Path, spec: NodeSpec) -> None:
    with tempfile.NamedTemporaryFile("w", dir=path.parent, prefix=path.name, delete=False) as file:
        json.dump(spec.to_dict(), file)
    os.replace(file.name, path)


if __name__ == "__main__":
    for measured in parts(MachineShare(**json.loads(sys.argv[1])) if sys.argv[1:] else MachineShare.of_process()):
        print(json.dumps(measured), flush=True)
