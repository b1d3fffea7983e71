"""From a batch to its spec, to the request that waits for a worker, and to the envelope that goes with its run."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from placement.messages.envelope import Envelope
from placement.scheduling.decision import Decision
from placement.scheduling.policies.balanced import Balanced
from placement.scheduling.policies.map_order import DeviceOfMap, Gain
from placement.scheduling.policies.registry import name_of
from placement.spec.task import DEVICES, Device, TaskSpec
from placement.stages.batch_queue import Request
from placement.stages.batches import bytes_of, described, rows_of
from placement.stages.stage import Stage
from placement.submission.placer import Placer
from placement.submission.snapshot_client import caller
from placement.submission.spec_reader import SpecReader, takes_anything


def spec_reader(stage: Stage) -> SpecReader:
    """The reader of the user's spec."""
    return SpecReader(stage.name, stage.options, takes_anything)


def spec_of(stage: Stage, read: Callable[..., TaskSpec], batch: Any) -> TaskSpec:
    """The spec of a batch; where the user's tells of no batch size and no bytes, they are the batch's own.

    Raises SpecError, and names the batch.
    """
    try:
        task = read((batch, *stage.fn_args), stage.fn_kwargs)
    except Exception as error:
        error.add_note(f"It was asked of {described(batch)} of stage {stage.name}.")
        raise
    if task.batch_size is None and task.input_bytes is None:
        task = replace(task, batch_size=max(rows_of(batch), 1), input_bytes=float(bytes_of(batch)))
    return task


class Requests:
    """The requests of one stage's batches."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self._placer = Placer(stage.name, stage.options, _shape(stage), takes_anything)
        self._placer.key = stage.key
        self._gain_policy = DeviceOfMap(device="gpu")

    def request(self, batch: Any) -> tuple[Request, Envelope]:
        """The batch's request and the envelope of its run, by the policy of the cluster or of the stage."""
        task = spec_of(self._stage, self._placer.task, batch)
        snapshot, rows = caller().current(), rows_of(batch)
        decision = self._placer.decide(task, snapshot, None)
        envelope = Envelope(task, decision, not self._stage.options.side_effects, self._stage.key)
        found = self._placer.table_for(snapshot, None).candidates(task)
        if not found.gpu or not found.cpu_configs:
            return Request(rows, devices=(decision.device,), possible=(decision.device,)), envelope
        if not isinstance(self._placer._policy or snapshot.policy, Balanced):
            return Request(rows, devices=(decision.device,)), envelope  # the policy has the last word
        gain: Gain | None = self._gain_policy.gain(task, found)
        if gain is None:
            return Request(rows), envelope
        return Request(rows, gain.gain, gain.cpu, gain.gpu), envelope

    def choices(self) -> tuple[Device, ...]:
        """The devices of the cluster on which a batch could run, whatever its size."""
        snapshot = caller().current()
        table = self._placer.table_for(snapshot, None)
        kinds = [kind.spec.config for kind in snapshot.inventory.kinds]
        return tuple(device for device in DEVICES if any(table.candidate_table.can[config, device] for config in kinds))

    def nodes(self) -> int:
        """The nodes of the cluster on which a batch could run."""
        snapshot = caller().current()
        can = self._placer.table_for(snapshot, None).candidate_table.can
        return sum(k.count for k in snapshot.inventory.kinds if any(can[k.spec.config, d] for d in DEVICES))

    def slots(self) -> dict[Device, float]:
        """Workers that the cluster could run at once, by device."""
        snapshot, stage = caller().current(), self._stage
        can = self._placer.table_for(snapshot, None).candidate_table.can
        found: dict[Device, float] = {}
        for device in DEVICES:
            granted = sum(
                kind.count * (kind.grants_cpus if device == "cpu" else kind.grants_gpus)
                for kind in snapshot.inventory.kinds
                if can[kind.spec.config, device]
            )
            each = stage.need(device).get("CPU" if device == "cpu" else "GPU") or 1.0
            found[device] = min(granted / each, stage.most.get(device, math.inf))
        return found

    def only_decision(self, device: Device) -> Decision:
        """The decision for every batch of a stage that has one device."""
        snapshot, limits = caller().current(), self._placer.table_for(caller().current(), None).limits
        gpus = limits.gpus if device == "gpu" else 0.0
        policy = name_of(self._placer._policy or snapshot.policy)
        return Decision(
            device, None, (), limits.cpus[device], gpus, "only_device", policy,
            snapshot.selector.version, snapshot.version,
        )  # fmt: skip


def sent_to(envelope: Envelope, device: Device, cpus: float, gpus: float) -> Envelope:
    """The envelope of a batch that a worker of this device runs."""
    decision: Decision = envelope.decision
    reason = decision.reason if device == decision.device else f"stage: a {device} worker was free"
    return envelope._replace(decision=replace(decision, device=device, cpus=cpus, gpus=gpus, reason=reason))


def _shape(stage: Stage) -> dict[str, Any]:
    """The options that limit where a batch can run."""
    return {name: value for name, value in stage.ray_options.items() if value is not None}
