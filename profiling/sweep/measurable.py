"""Measurable: the interface of what a sweep measures, which presets and users' functions have."""

from __future__ import annotations

from typing import Any, Protocol

from placement.spec.task import TaskSpec


class Measurable(Protocol):
    """One piece of work; see `workloads.base.Preset`. It is pickled to the node that it is measured on."""

    @property
    def name(self) -> str:
        """The name of its cells in the log."""

    @property
    def workload(self) -> str:
        """The log's column of that name; so are family, framework, function and function_key."""

    @property
    def family(self) -> str | None: ...  # noqa: D102

    @property
    def framework(self) -> str | None: ...  # noqa: D102

    @property
    def function(self) -> str: ...  # noqa: D102

    @property
    def function_key(self) -> str | None: ...  # noqa: D102

    @property
    def has_gpu(self) -> bool:
        """Whether it can run on a GPU."""

    @property
    def runtime_env(self) -> dict[str, Any] | None:
        """Ray's runtime_env that it runs in; None: the job's."""

    def spec(self) -> TaskSpec:
        """Its costs."""

    def prepare(self, data_root: str) -> Any:
        """Its input, with `synthetic`: whether it was generated, None where that is not known."""

    def run(self, batch: Any, device: str) -> Any:
        """Runs it once on "cpu" or "cuda:0"; `transfer_s` of what it returns is the seconds of copies to the device."""
