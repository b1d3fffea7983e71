"""ThresholdTests: the two tests of the joint threshold for one GPU candidate, in the paper's terms. Pure."""

from __future__ import annotations

import math
from dataclasses import dataclass

from placement.prediction.estimate import Estimate, Spread, probability_worth
from placement.scheduling.cost_model import Option
from placement.scheduling.fastest_cpu import moved_ratios
from placement.spec.joint_threshold import JointThreshold


@dataclass(frozen=True, slots=True)
class ThresholdTests:
    """Is the GPU of a config fast enough (Eq. 1), and does it take little enough energy (Eq. 2)?

    cpu_config: the config of the CPU that it is compared with.  speedup: T_cpu / T_gpu; energy_ratio: E_gpu / E_cpu;
    None = not known.  p_gpu: the probability that the GPU is worth it.  energy_decides: False where the energy is too
    uncertain to be counted.
    """

    config: str
    cpu_config: str
    speedup: Spread | None
    energy_ratio: Spread | None
    p_gpu: float
    energy_decides: bool
    thresholds: JointThreshold

    @classmethod
    def of(cls, config: str, estimate: Estimate, thresholds: JointThreshold) -> ThresholdTests:
        """The tests of an estimate, against the CPU of the same config."""
        return cls(
            config, config, estimate.speedup, estimate.energy_ratio, estimate.p_gpu, estimate.energy_decides, thresholds
        )

    @classmethod
    def against_cpu(
        cls, config: str, estimate: Estimate, own_seconds: float, cpu: Option, joules: float | None,
        thresholds: JointThreshold,
    ) -> ThresholdTests:  # fmt: skip
        """The tests of an estimate, against the CPU of an option. own_seconds: on the CPU of its own config."""
        moved = moved_ratios(estimate, own_seconds, cpu.seconds, joules, thresholds)
        if moved is None or config in cpu.configs:
            return cls.of(config, estimate, thresholds)
        speedup, energy, power_std = moved
        p_gpu, decides = probability_worth(speedup, energy, power_std, thresholds)
        return cls(config, cpu.configs[0], speedup, energy, p_gpu, decides, thresholds)

    @property
    def speed(self) -> str:
        """The test of the speed-up: "2.6 x faster (1.9 to 3.5), needed 2.0: yes"."""
        if self.speedup is None:
            return f"the speed-up is unknown, P(GPU) is {self.p_gpu:.2f}"
        needed = self.thresholds.speedup
        verdict = "yes" if self.speedup.margin(needed) >= 0 else "no"
        faster = "faster" if self.speedup.mean >= 0 else "as fast"
        return f"{_times(self.speedup)[0]} x {faster} {_times(self.speedup)[1]}, needed {_number(needed)}: {verdict}"

    @property
    def energy(self) -> str:
        """The test of the energy: "0.8 x the energy (0.5 to 1.2), allowed 1.5: yes"."""
        if self.energy_ratio is None:
            return "the energy is not known: time alone decides"
        allowed = self.thresholds.energy_ratio
        verdict = "yes" if self.energy_ratio.margin(allowed) <= 0 else "no"
        if not self.energy_decides:
            verdict += ", but too uncertain to count"
        ratio, spread = _times(self.energy_ratio)
        return f"{ratio} x the energy {spread}, allowed {_number(allowed)}: {verdict}"

    def __str__(self) -> str:
        against = "" if self.cpu_config == self.config else f" against the CPU of {self.cpu_config}"
        return f"{self.config}{against}: {self.speed}; {self.energy}"


def _times(spread: Spread) -> tuple[str, str]:
    """A ratio and its range, a standard deviation either way."""
    low, middle, high = (_exp(spread.mean + side * spread.std) for side in (-1, 0, 1))
    return _number(middle), "" if not spread.std else f"({_number(low)} to {_number(high)})"


def _exp(log: float) -> float:
    return math.exp(min(max(log, -100.0), 100.0))


def _number(value: float) -> str:
    """Two significant digits, as a person writes them."""
    if value >= 99.5 or value < 0.01:
        return f"{value:,.0f}" if 99.5 <= value < 1e6 else f"{value:.1e}"
    return f"{value:.0f}" if value >= 9.95 else f"{value:.1f}" if value >= 0.95 else f"{value:.2g}"
