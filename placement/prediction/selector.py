"""The paper's selector: nine features -> 16 -> 16 -> one probability that the GPU is worth it; and the selector file.

A selector file is JSON, checked on load: nothing of it is ever executed or unpickled. 9 -> 16 -> 16 -> 1 has
9*16+16 + 16*16+16 + 16+1 = 449 parameters and 2*(9*16 + 16*16 + 16) = 832 FLOPs, the paper's two numbers.
"""

from __future__ import annotations

from typing import Any, Protocol, runtime_checkable

from placement.prediction.estimate import Estimate
from placement.spec.joint_threshold import JointThreshold
from placement.spec.node import NodeSpec
from placement.spec.task import TaskSpec


@runtime_checkable
class Selector(Protocol):
    """Features -> Estimate. Its version goes with every decision and record.

    One that can answer for many kinds of node at once also has `prepare(nodes, cpus) ->
    placement.prediction.estimate.Prepared`.
    """

    @property
    def version(self) -> str:
        """Names the fitted weights."""
        ...

    @property
    def thresholds(self) -> JointThreshold:
        """The thresholds of which P(GPU) is the probability."""
        ...

    def estimate(self, task: TaskSpec, node: NodeSpec, cpus: float) -> Estimate | None:
        """The estimate, or None where a feature that it needs is unknown."""
        ...

    def to_dict(self) -> dict[str, Any]:
        """The selector file's content."""
        ...
