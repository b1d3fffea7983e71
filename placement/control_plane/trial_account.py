"""The account of exploration: device seconds of all placed tasks, and those of trials, from the rows of workers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from placement.scheduling.trial_budget import DEFAULT_SHARE, TrialSeconds
from placement.spec.task_record import Rows

TRIALS = ("cold_start_tries_", "tries_")
"""First words of the reasons of trials."""
FIELDS = ("device_s", "trial_s", "expected_s", "excess_s", "trials")


class TrialAccount:
    """Counts of one cluster. before: those of an earlier life of the placement actor, as `to_dict` gives them.

    device_s: seconds of placed tasks that ended.  trial_s: of those that tried a device; trials: how many.
    expected_s, excess_s: of all trials that callers have sent, as they expected them: see `TrialSeconds`.
    """

    def __init__(self, before: Mapping[str, float] | None = None) -> None:
        self.device_s, self.trial_s, self.expected_s, self.excess_s, self.trials = (
            float((before or {}).get(name, 0.0)) for name in FIELDS
        )

    def expect(self, trials: TrialSeconds) -> None:
        """Counts trials that a caller has sent."""
        self.expected_s += trials.expected_s
        self.excess_s += trials.excess_s

    @property
    def cost_s(self) -> float:
        """Seconds that trials cost: the excess that was expected, and what they took longer than expected."""
        return self.excess_s + max(0.0, self.trial_s - self.expected_s)

    def count(self, rows: Iterable[Rows]) -> None:
        """Counts rows of tasks that ended; those of functions that are not placed count for nothing."""
        for some in rows:
            if some.same.get("policy") is None:
                continue
            known = zip(some.column("compute_s"), some.column("transfer_s"), strict=True)
            seconds = sum(compute + (transfer or 0.0) for compute, transfer in known if compute is not None)
            self.device_s += seconds
            if str(some.same.get("reason")).startswith(TRIALS):
                self.trial_s += seconds
                self.trials += some.number

    def left_s(self, share: float | None) -> float:
        """Seconds that trials may still cost. share: of the device seconds, None = DEFAULT_SHARE."""
        return (DEFAULT_SHARE if share is None else share) * self.device_s - self.cost_s

    def view(self, share: float | None) -> dict[str, Any]:
        """The data that `placement status` shows."""
        return {
            "share": DEFAULT_SHARE if share is None else share, "device_s": self.device_s, "trial_s": self.trial_s,
            "cost_s": self.cost_s, "trials": int(self.trials), "left_s": self.left_s(share),
        }  # fmt: skip

    def to_dict(self) -> dict[str, float]:
        """The counts as plain data."""
        return {name: getattr(self, name) for name in FIELDS}
