"""Candidate and Choice, the input and the answer of a policy; and the Policy, with what it may know of the queues."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple, Protocol, cast, runtime_checkable

from placement.deprecation import deprecated_attribute
from placement.prediction.estimate import Estimate
from placement.scheduling.trial_budget import NO_SECONDS, TrialSeconds
from placement.spec.task import Device, TaskSpec

_SIDE = r"(.+) (cpu|gpu) (\S+)\+(\S+) s"
_COMPARISON = re.compile(rf"{_SIDE}, not {_SIDE}, gpu rate (\S+)")

Queue = tuple[str, Device]
"""(config, device)."""
Tiers = tuple[tuple[str, ...], ...]
"""Configs in groups that are as good, the best group first."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """One way to run a task: on a device of a kind of node, with so many CPUs and GPUs granted.

    estimate: of the task on that kind of node; None where neither the selector nor history knows it.
    wait_s: seconds until such a device is expected to be free for it; None where nothing is known of the queues.
    """

    config: str
    device: Device
    cpus: float
    gpus: float
    estimate: Estimate | None = None
    wait_s: float | None = None

    @property
    def seconds(self) -> float | None:
        """Warm seconds of the whole task on this device, transfer included; None = not known."""
        return None if self.estimate is None else self.estimate.seconds_on(self.device)

    @property
    def joules(self) -> float | None:
        """Joules of the whole task on this device; None = not known."""
        e = self.estimate
        return None if e is None else e.gpu_joules if self.device == "gpu" else e.cpu_joules


@dataclass(frozen=True, slots=True)
class Choice:
    """The pick of a policy: a device and the configs that will do, best first; why; and how sure.

    probability: P(GPU) of the estimate decided on, None where none was.
    propensity: probability with which this policy picks this device here; 1.0 unless it explores.
    wait_s, seconds: expected until it starts, and of the run; None where the policy did not look.
    comparison: of the way taken with the best other, where something would have to be waited for.
    gpu_price: the price of a second of GPU from now on, in seconds of CPU; None where the policy moves no price.
    tiers: the configs in groups that are as good, the best group first; Ray takes the best that is free. Empty: any of
    the configs is as good.
    trial: expected costs where it tries the device (`placement.scheduling.exploration`); nothing of any other.
    joules: expected of the run; None where the policy does not follow the cluster's draw.
    """

    device: Device
    configs: tuple[str, ...]
    reason: str
    probability: float | None = None
    propensity: float = 1.0
    wait_s: float | None = None
    seconds: float | None = None
    comparison: Comparison | None = None
    gpu_price: float | None = None
    tiers: Tiers = ()
    trial: TrialSeconds = NO_SECONDS
    joules: float | None = None
    weighed = deprecated_attribute("weighed", "comparison", until="0.4")


class Comparison(NamedTuple):
    """The comparison behind a choice that had to wait for something: the way taken and the best of the others.

    wait_s: until it is free.  cost_s: of the run, joules priced in.  gpu_price: of a second of GPU, in seconds of CPU.
    With these `placement.scheduling.policies.balanced.score` gives what the policy compared.
    """

    config: str
    device: Device
    wait_s: float
    cost_s: float
    other_config: str
    other_device: Device
    other_wait_s: float
    other_cost_s: float
    gpu_price: float

    def __str__(self) -> str:
        return (
            f"{self.config} {self.device} {self.wait_s:.4g}+{self.cost_s:.4g} s, not {self.other_config} "
            f"{self.other_device} {self.other_wait_s:.4g}+{self.other_cost_s:.4g} s, gpu rate {self.gpu_price:.4g}"
        )

    @classmethod
    def of(cls, text: str) -> Comparison:
        """From its text in a row of the log. Raises ValueError where it is none."""
        found = _COMPARISON.fullmatch(text)
        if found is None:
            raise ValueError(f"{text!r} is not what a decision compared: {_COMPARISON.pattern}")
        config, device, wait, cost, other, other_device, other_wait, other_cost, gpu_price = found.groups()
        here, there = (cast(Device, one) for one in (device, other_device))
        return cls(
            config, here, float(wait), float(cost), other, there, float(other_wait), float(other_cost), float(gpu_price)
        )


class Waits(Protocol):
    """The lengths of the queues, as `placement.scheduling.queue_model.Backlog` knows them."""

    @property
    def age_s(self) -> float | None:
        """Seconds since the cluster was last asked; None = never."""
        ...

    @property
    def gpu_price(self) -> float | None:
        """Price of a second of GPU in seconds of CPU, as `balanced` last moved it; None = never moved."""
        ...

    @property
    def draw_w(self) -> float:
        """Watts that the running tasks draw, as far as their joules are known."""
        ...

    def wait_s(self, config: str, device: Device, /) -> float | None:
        """Seconds until a new task is expected to start there; None = not known."""
        ...

    def waits_s(self, queues: Sequence[Queue], /) -> list[float | None]:
        """The result of wait_s for each of many queues."""
        ...


Capability = Literal["needs_estimates", "draws", "stateless", "ignores_queues"]
CAPABILITIES: Mapping[Capability, str] = {
    "needs_estimates": "cannot choose where nothing is known of the task: a cold start is decided in its place",
    "draws": "draws by chance: explain() asks a copy of it",
    "stateless": "its choice depends on the task and the candidates alone: its decisions may be kept",
    "ignores_queues": "looks at no wait: the cluster's queues need not be followed for it",
}
"""Class attribute of a policy -> what True says of it."""


@runtime_checkable
class Policy(Protocol):
    """Picks one candidate. `candidates` holds at least one; the same candidates may come in any order.

    A policy's class may set any of CAPABILITIES to True; those that are left out are False.
    """

    def choose(self, task: TaskSpec, candidates: Sequence[Candidate]) -> Choice:
        """The pick, with its reason."""
        ...


def has(policy: Policy, capability: Capability) -> bool:
    """Whether a policy's class declares the capability; a user's own declares none unless it says so."""
    return getattr(type(policy), capability, False) is True
