"""The waits of tasks that take more or less than one CPU or GPU."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from placement.scheduling.candidates import Queue, Waits
from placement.scheduling.gpu_share import GpuShare
from placement.scheduling.queue_model import Backlog
from placement.spec.task import Device


def waits_under(
    backlog: Backlog, cpus: Mapping[Device, float], gpus: float, shares: Mapping[str, GpuShare] | None = None
) -> Waits:
    """The waits of tasks that take so many CPUs, or GPUs; an exact backlog counts whole tasks, of any size.

    shares: of the GPUs of each config, where a share was chosen for each.
    """
    needs: dict[Device, float] = {"cpu": cpus["cpu"], "gpu": gpus}
    if shares is not None:
        return SizedWaits(backlog, needs, {config: share.gpus for config, share in shares.items()})
    return backlog if backlog.exact or all(need == 1 for need in needs.values()) else SizedWaits(backlog, needs)


class SizedWaits:
    """The waits of tasks that take more or less than one CPU or GPU."""

    __slots__ = ("_backlog", "_needs", "_shares")

    def __init__(
        self, backlog: Backlog, needs: Mapping[Device, float], shares: Mapping[str, float] | None = None
    ) -> None:
        self._backlog, self._needs, self._shares = backlog, needs, shares or {}

    @property
    def age_s(self) -> float | None:
        """Seconds since the last poll."""
        return self._backlog.age_s

    @property
    def gpu_price(self) -> float | None:
        """The price of a second of GPU in seconds of CPU; None = never moved."""
        return self._backlog.gpu_price

    @property
    def draw_w(self) -> float:
        """Watts that the running tasks draw."""
        return self._backlog.draw_w

    def wait_s(self, config: str, device: Device, /) -> float | None:
        """Seconds until a task of these needs is expected to start there; see Backlog.wait_s."""
        need = self._shares.get(config, self._needs[device]) if device == "gpu" else self._needs[device]
        return self._backlog.wait_of(config, device, need)

    def waits_s(self, queues: Sequence[Queue], /) -> list[float | None]:
        """The result of wait_s for each of many queues."""
        return [self.wait_s(config, device) for config, device in queues]
