"""The processor: RAPL's package counters where they may be read, else an estimate from load and TDP.

RAPL: https://docs.kernel.org/power/powercap/powercap.html (energy_uj, max_energy_range_uj, constraint_0_max_power_uw).
AMD's packages are found under the same names. DRAM and other subdomains are no part of a package's figure here.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path

from placement.hardware.meters.channel import Channel, Meter, MeterLostError

POWERCAP = Path("/sys/class/powercap")
PROC = Path("/proc")
HINT = "allow it until the next boot with: sudo chmod a+r /sys/class/powercap/intel-rapl:*/energy_uj"

_MICRO = 1e-6
_RAPL_ERROR = 0.02
"""Our assumption for package energy over windows of a second or more; no vendor states a figure."""
ESTIMATE_ERROR = 0.5
"""Energy from TDP is off by about half: 49 % mean absolute error over published RAPL tables."""
IDLE_SHARE_OF_TDP = 0.2
"""Our assumption: power rises on a line from a fifth of TDP at rest to TDP with all CPUs busy (Fan et al. 2007)."""


BUSY = Channel("busy:cpu", "busy_s", resolution_s=0.1)
ESTIMATE = Channel("cpu:estimate", "joules", provenance="estimated", error=ESTIMATE_ERROR)


@dataclass(frozen=True, slots=True)
class RaplMeter:
    """One package's energy counter, J."""

    domain: Path
    channel: Channel

    def read(self) -> float:
        """J since the counter's last wrap. Raises MeterLostError."""
        try:
            return int((self.domain / "energy_uj").read_text()) * _MICRO
        except (OSError, ValueError) as fault:
            raise MeterLostError(f"{self.domain.name}: {fault}") from fault


@dataclass(frozen=True, slots=True)
class BusyMeter:
    """CPU seconds that all logical CPUs have been busy, from /proc/stat."""

    channel: Channel = BUSY
    proc: Path = PROC

    def read(self) -> float:
        """Busy CPU seconds since boot. Raises MeterLostError."""
        return _cpu_seconds(self.proc)[0]


@dataclass(frozen=True, slots=True)
class EstimatedCpuMeter:
    """Joules guessed from load: TDP * (share at rest + the rest * load), integrated. Wrong by about +-50 %."""

    tdp_w: float
    cpus: int
    proc: Path = PROC
    channel: Channel = ESTIMATE

    def read(self) -> float:
        """J since boot, by the estimate. Raises MeterLostError."""
        busy_s, all_s = _cpu_seconds(self.proc)
        return self.tdp_w * (IDLE_SHARE_OF_TDP * all_s + (1 - IDLE_SHARE_OF_TDP) * busy_s) / self.cpus


def _cpu_seconds(proc: Path) -> tuple[float, float]:
    """(busy, all) CPU seconds since boot of all logical CPUs. Time stolen by a hypervisor is not busy here."""
    try:
        words = (proc / "stat").read_text().split("\n", 1)[0].split()
        user, nice, system, idle, waiting, interrupts, soft = (int(word) for word in words[1:8])
    except (OSError, ValueError) as fault:
        raise MeterLostError(f"/proc/stat: {fault}") from fault
    ticks = os.sysconf("SC_CLK_TCK")
    busy = user + nice + system + interrupts + soft
    return busy / ticks, (busy + idle + waiting) / ticks


def cpu_meters(
    tdp_w: float | None = None, powercap: Path = POWERCAP, proc: Path = PROC
) -> tuple[list[Meter], dict[str, str]]:
    """The meters of the processor's energy and load, and {"cpu": reason} where there is none of its energy.

    tdp_w: for the estimate where RAPL cannot be read; without it the energy is not measured.
    """
    meters, reason = _rapl(powercap)
    load = BusyMeter(proc=proc)
    try:
        load.read()
    except MeterLostError as fault:
        return meters, {} if meters else {"cpu": f"{reason}; no estimate: {fault}"}
    if not meters and tdp_w:
        meters = [EstimatedCpuMeter(tdp_w, logical_cpus(), proc)]
    unmeasured = {} if meters else {"cpu": f"{reason}; no estimate: the TDP is not known"}
    return [*meters, load], unmeasured


def _rapl(powercap: Path) -> tuple[list[Meter], str]:
    """A meter for each package, or none and the reason: half of the packages would be half of the truth."""
    domains = _packages(powercap)
    if not domains:
        return [], f"no RAPL package under {powercap}"
    meters: list[Meter] = []
    for domain in domains:
        try:
            wraps_at = int((domain / "max_energy_range_uj").read_text()) * _MICRO
            channel = Channel(
                f"cpu:{(domain / 'name').read_text().strip()}",
                "joules",
                wraps_at=wraps_at,
                resolution_s=0.01,
                error=_RAPL_ERROR,
            )
            meter = RaplMeter(domain, channel)
            int((domain / "energy_uj").read_text())
        except PermissionError:
            return [], f"RAPL may not be read; {HINT}"
        except (OSError, ValueError) as fault:
            return [], f"RAPL cannot be read: {fault}"
        meters.append(meter)
    return meters, ""


def _packages(powercap: Path) -> list[Path]:
    """Package domains only: no subdomains (core, uncore, dram), no psys, no mmio doubles."""
    found = []
    for domain in sorted(powercap.glob("intel-rapl:*")):
        try:
            name = (domain / "name").read_text().strip()
        except OSError:
            continue
        if re.fullmatch(r"intel-rapl:\d+", domain.name) and name.startswith("package"):
            found.append(domain)
    return found


def cpu_tdp_w(powercap: Path = POWERCAP) -> float | None:
    """Thermal design power of all packages, W, as RAPL tells it (constraint_0_max_power_uw); None where it does not."""
    watts = []
    for domain in _packages(powercap):
        try:
            watts.append(int((domain / "constraint_0_max_power_uw").read_text()) * _MICRO)
        except (OSError, ValueError):
            return None
    return sum(watts) if watts and min(watts) > 0 else None


def cpu_name(proc: Path = PROC) -> str | None:
    """The processor's model name, from /proc/cpuinfo; None where it is not there."""
    try:
        text = (proc / "cpuinfo").read_text()
    except OSError:
        return None
    found = re.search(r"^(?:model name|Model|Hardware)\s*:\s*(.+)$", text, re.MULTILINE)
    return found.group(1).strip() if found else None


def logical_cpus() -> int:
    """CPUs of the machine, not of this process: the load is the machine's."""
    return os.cpu_count() or 1
