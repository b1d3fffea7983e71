"""ConsideredCandidate: one (config, device) of an explanation."""

from __future__ import annotations

from dataclasses import dataclass

from placement.prediction.estimate import NO_BASIS, Basis, Estimate
from placement.spec.task import Device


@dataclass(frozen=True, slots=True)
class ConsideredCandidate:
    """One row of explain(): a (config, device), whether it was taken, and why or why not.

    wait_s, seconds (warm, of the whole task), joules (of the whole task): expected there; None = not known, or it
    cannot run there.  basis: spread and provenance of the seconds and joules.  emulated: the node plays
    another machine.
    needs_bytes, memory_bytes: device memory that the task needs and that it gets there, GPUs alone; None = not known.
    feasible: the task can run there.
    """

    config: str
    device: Device
    cpus: float
    taken: bool
    reason: str
    estimate: Estimate | None = None
    wait_s: float | None = None
    seconds: float | None = None
    joules: float | None = None
    basis: Basis = NO_BASIS
    emulated: bool = False
    needs_bytes: float | None = None
    memory_bytes: float | None = None
    feasible: bool = True

    @property
    def provenance(self) -> str:
        """Where the seconds and joules come from: "history, 5 runs; joules: power model; emulated"."""
        runs = self.basis.runs
        parts = [self.basis.seconds_from + (f", {runs} run{'s' * (runs > 1)}" if runs else "")]
        if self.basis.joules_from not in ("", self.basis.seconds_from):
            parts.append(f"joules: {self.basis.joules_from}")
        if self.emulated and parts[0]:
            parts.append("emulated")
        return "; ".join(part for part in parts if part)
