"""The probe of this machine beside the vendor's figures: throughput, memory bandwidth, bus, memory, power limit."""

from __future__ import annotations

from typing import Any

from gpu_step import rehearsed, report

from placement.hardware import kernels
from placement.hardware.probe import probe
from profiling.emulation.hardware_table import row

LEAST_SHARE, MOST_SHARE = 0.4, 1.05
"""A large product reaches a good part of the peak, and no more than it; TF32 is off by default."""
MEMORY_AGREES = 0.1


def shares(spec: Any, vendor: dict[str, Any] | None) -> dict[str, float | None]:
    """Each measured figure over the vendor's; None where one of them is missing."""
    vendor, probes = vendor or {}, spec.probes
    copy, bus = probes.get("gpu_copy"), probes.get("gpu_host_to_device")
    measured = {
        "peak_gflops": spec.gpu_gflops,
        "bandwidth_gb_s": None if copy is None else 2 * kernels.COPY_BYTES / copy / 1e9,
        "bus_gb_s": None if bus is None else kernels.COPY_BYTES / bus / 1e9,
        "memory_gb": spec.gpu_memory_gb,
        "tdp_w": spec.gpu_tdp_w,
    }
    return {
        name: None if value is None or not vendor.get(name) else value / vendor[name]
        for name, value in measured.items()
    }


def main() -> None:
    """A fresh probe; the CPU's figures are printed beside the GPU's."""
    spec = probe(fresh=True)
    vendor = row("gpus", spec.gpu_name)
    found = shares(spec, vendor)
    peak, memory = found["peak_gflops"], found["memory_gb"]
    report(
        {
            "spec": spec.to_dict(),
            "vendor": vendor,
            "shares": found,
            "launch_us": 1e6 * spec.probes.get("gpu_launch", 0),
        },
        nothing_is_missing=not spec.not_measured,
        the_table_knows_this_gpu=rehearsed or vendor is not None,
        throughput_is_a_share_of_the_peak=peak is None or rehearsed or LEAST_SHARE <= peak <= MOST_SHARE,
        memory_agrees=memory is None or rehearsed or abs(memory - 1) <= MEMORY_AGREES,
    )


if __name__ == "__main__":
    main()
