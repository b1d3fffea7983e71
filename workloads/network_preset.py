"""The common part of the presets of the networks: a batch with or without its loader, a step, a trace."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from placement.spec.task import TaskSpec
from workloads import networks
from workloads.base import Batch, Outcome, Preset
from workloads.networks import Network
from workloads.steps import Inputs

if TYPE_CHECKING:
    from torch import nn

Shapes = dict[str, tuple[tuple[int, ...], str]]


@dataclass(frozen=True, kw_only=True)
class NetworkPreset(Preset):
    """A size of a network.

    width: of all layers, 1.0 as published.  loader: the batch holds files that each step decodes.
    """

    framework = "torch"

    batch: int
    width: float = 1.0
    loader: bool = False

    @property
    @abstractmethod
    def network(self) -> Network:
        """The network it runs."""

    @abstractmethod
    def files(self, data_root: str | Path) -> Batch:
        """A batch of encoded files."""

    @abstractmethod
    def decode(self, batch: Batch) -> Inputs:
        """A batch of files as the network's inputs: the loader's work."""

    @abstractmethod
    def shapes(self) -> Shapes:
        """Name -> (shape, torch dtype's name) of the network's inputs, for a trace."""

    @property
    def name(self) -> str:
        """<architecture>_<kind>_b<batch>_<sizes>_w<width>, and `_compute` for training without its loader."""
        suffix = "_compute" if self.kind == "train" and not self.loader else ""
        return f"{self.network.architecture}_{self.kind}_b{self.batch}_{super().name}_w{self.width}{suffix}"

    def prepare(self, data_root: str | Path) -> Batch:
        """A batch of files with a loader; else arrays: the network's inputs by name, and `labels`."""
        batch = self.files(data_root)
        if self.loader:
            return batch
        inputs = self.decode(batch)
        arrays = {**inputs.arguments, "labels": inputs.labels}
        return Batch(batch.dataset, batch.synthetic, arrays, names=batch.names)

    def run(self, batch: Batch, device: str, steps: int = 1) -> Outcome:
        """Training steps, or forward passes, of the network."""
        step = networks.train_step if self.kind == "train" else networks.infer
        feed = partial(self.decode, batch) if self.loader else partial(arrays_of, batch)
        return step(self.network, feed, device, steps, loader=self.loader)

    def one_step(self) -> TaskSpec:
        """From a trace on the meta device, which `placement.describe` keeps."""
        import torch

        from placement import describe

        example = {
            name: torch.empty(shape, dtype=getattr(torch, dtype), device="meta")
            for name, (shape, dtype) in self.shapes().items()
        }
        return describe.of_module(self.traced(), example, train=self.kind == "train")

    def traced(self) -> Callable[[], nn.Module]:
        """The factory of the module that a trace runs."""
        return networks.factory(self.network)


def arrays_of(batch: Batch) -> Inputs:
    """A decoded batch as a network's inputs."""
    return Inputs({name: a for name, a in batch.arrays.items() if name != "labels"}, batch.arrays["labels"])
