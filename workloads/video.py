"""TimeSformer on Kinetics-400."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from placement.spec.task import Operation
from workloads.base import Batch, pipeline_operation
from workloads.datasets import kinetics
from workloads.image import normalised
from workloads.network_preset import NetworkPreset, Shapes
from workloads.networks import Network
from workloads.steps import Inputs

if TYPE_CHECKING:
    import numpy as np
    import torch


@dataclass(frozen=True, kw_only=True)
class VideoPreset(NetworkPreset):
    """frames of each clip; size: of the square frame, pixels, a multiple of 16.

    Decoded inputs: `pixel_values` FP32 (batch, frames, 3, size, size).
    """

    family = "video"
    dataset = "kinetics400"
    workload = "timesformer_k400"
    sizes = "f{preset.frames}_s{preset.size}"

    frames: int
    size: int

    @property
    def network(self) -> Network:
        """TimeSformer for these frames: its embeddings depend on them."""
        return Network("timesformer", self.width, self.size, self.frames)

    def files(self, data_root: str | Path) -> Batch:
        """Training clips as mp4."""
        return clips(data_root, self.batch)

    def decode(self, batch: Batch) -> Inputs:
        """The sampled frames decoded, scaled and normalised."""
        import numpy as np
        import torch

        pixels = channels_first(torch.from_numpy(frames_of(batch, self.frames, self.size)))
        return Inputs({"pixel_values": normalised(pixels).numpy()}, np.array(batch.labels, np.int64))

    def shapes(self) -> Shapes:
        """Frames, channels first."""
        return {"pixel_values": ((self.batch, self.frames, 3, self.size, self.size), "float32")}

    def pipeline(self) -> Operation | None:
        """Decoded pixels of all frames up to the last one sampled."""
        return pipeline_operation(kinetics.decoded_bytes(self.batch, self.frames)) if self.loader else None


def clips(data_root: str | Path, count: int) -> Batch:
    """A batch of clips as mp4 files."""
    found = kinetics.sample(data_root, count)
    return Batch("kinetics400", found.synthetic, files=found.files, names=found.names, labels=found.labels)


def frames_of(batch: Batch, frames: int, size: int) -> np.ndarray:
    """uint8 (clips, frames, size, size, 3)."""
    import numpy as np

    pairs = zip(batch.files, batch.names, strict=True)
    return np.stack([kinetics.decode(data, name, frames, size) for data, name in pairs])


def channels_first(pixels: torch.Tensor) -> torch.Tensor:
    """(clips, frames, height, width, 3) as decoders give them, to (clips, frames, 3, height, width), contiguous."""
    return pixels.permute(0, 1, 4, 2, 3).contiguous()
