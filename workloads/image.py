"""ResNet-18 and MobileNetV3-Small on ImageNet-100."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from placement.spec.task import Operation
from workloads.base import Batch, pipeline_operation
from workloads.datasets import imagenet
from workloads.network_preset import NetworkPreset, Shapes
from workloads.networks import Network
from workloads.steps import Inputs

if TYPE_CHECKING:
    import torch

MEAN, DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
"""Mean and deviation of ImageNet's channels at pixel values 0 to 1, those of every torchvision model."""
Channels = tuple[tuple[float, float, float], tuple[float, float, float]]
"""Mean and deviation of a data set's channels."""


@dataclass(frozen=True, kw_only=True)
class ImagePreset(NetworkPreset):
    """size: of the square image, pixels. Decoded inputs: `x` FP32 (batch, 3, size, size)."""

    family = "image"
    dataset = "imagenet100"
    sizes = "s{preset.size}"

    architecture: Literal["resnet18", "mobilenetv3"]
    size: int

    @property
    def workload(self) -> str:  # type: ignore[override]
        """The architecture on ImageNet-100."""
        return f"{self.architecture}_imagenet100"

    @property
    def network(self) -> Network:
        """The network; its weights do not depend on the image size."""
        return Network(self.architecture, self.width)

    def files(self, data_root: str | Path) -> Batch:
        """JPEG files of the training set."""
        return pictures(data_root, self.batch)

    def decode(self, batch: Batch) -> Inputs:
        """The files decoded, scaled and normalised."""
        import numpy as np

        return Inputs({"x": normalised(decode_resize(batch, self.size)).numpy()}, np.array(batch.labels, np.int64))

    def shapes(self) -> Shapes:
        """Images, channels first."""
        return {"x": ((self.batch, 3, self.size, self.size), "float32")}

    def pipeline(self) -> Operation | None:
        """Decoded pixels of average ImageNet files, 3 bytes each."""
        return pipeline_operation(imagenet.decoded_bytes(self.batch)) if self.loader else None


def pictures(data_root: str | Path, count: int) -> Batch:
    """A batch of JPEG files."""
    found = imagenet.sample(data_root, count)
    return Batch("imagenet100", found.synthetic, files=found.files, names=found.names, labels=found.labels)


def decode_resize(batch: Batch, size: int, device: str = "cpu") -> torch.Tensor:
    """uint8 (files, 3, size, size) on the device: each JPEG decoded there, by nvJPEG on a GPU, and scaled."""
    import torch
    from torchvision.transforms.v2 import functional

    if device == "cpu":
        decoded = [imagenet.decode(data, name) for data, name in zip(batch.files, batch.names, strict=True)]
    else:
        decoded = decode_on_gpu(batch, device)
    return torch.stack([functional.resize(picture, [size, size], antialias=True) for picture in decoded])


def decode_on_gpu(batch: Batch, device: str) -> list[torch.Tensor]:
    """All files at once by nvJPEG; where it refuses one (CMYK, PNG, broken), all by the CPU, which names it."""
    import numpy as np
    import torch
    from torchvision.io import ImageReadMode, decode_jpeg

    files = [torch.from_numpy(np.frombuffer(data, np.uint8).copy()) for data in batch.files]
    try:
        return decode_jpeg(files, mode=ImageReadMode.RGB, device=device)
    except torch.cuda.OutOfMemoryError:
        raise
    except RuntimeError:
        pairs = zip(batch.files, batch.names, strict=True)
        return [imagenet.decode(data, name).to(device) for data, name in pairs]


def normalised(pixels: torch.Tensor, channels: Channels = (MEAN, DEVIATION)) -> torch.Tensor:
    """uint8 (..., 3, height, width) to FP32 of mean 0 and deviation 1 by the data set's channels, where the tensor
    lies.
    """
    import torch

    mean, deviation = (torch.tensor(values, device=pixels.device).view(3, 1, 1) for values in channels)
    return pixels.float().div_(255).sub_(mean).div_(deviation)
