"""RetinaNet and SSDlite on COCO's boxes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from placement.spec.task import Operation
from workloads import detectors, image, networks
from workloads.base import Batch, pipeline_operation
from workloads.datasets import coco
from workloads.datasets.coco_generator import HEIGHT, WIDTH
from workloads.network_preset import NetworkPreset, Shapes
from workloads.networks import Network
from workloads.steps import Inputs

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True, kw_only=True)
class DetectionPreset(NetworkPreset):
    """size: of the square image, pixels; SSDlite has 320 alone.

    FLOPs of an image: RetinaNet 303.08e9 at 800 pixels, SSDlite 1.166e9 at 320 (torchvision's `_ops`, 151.54e9 and
    0.583e9 multiply-adds).
    Decoded inputs: `images` FP32 (batch, 3, size, size), `boxes` and `classes` as `coco.padded` gives them, in the
    image's pixels; the labels are the number of boxes of each picture.
    """

    family = "image"
    dataset = "coco"
    sizes = "s{preset.size}"

    architecture: Literal["retinanet", "ssdlite"]
    size: int

    def __post_init__(self) -> None:
        """Raises ValueError on a size or a width that the network does not have."""
        if self.width != 1.0 or (self.architecture == "ssdlite" and self.size != detectors.SSDLITE_SIZE):
            raise ValueError(
                f"{self.architecture} of width {self.width} at {self.size} pixels: valid are the width 1.0, and for "
                f"ssdlite {detectors.SSDLITE_SIZE} pixels."
            )

    @property
    def workload(self) -> str:  # type: ignore[override]
        """The architecture on COCO."""
        return f"{self.architecture}_coco"

    @property
    def network(self) -> Network:
        """The detector for this image size: it scales its images to it."""
        return Network(self.architecture, self.width, self.size)

    def files(self, data_root: str | Path) -> Batch:
        """JPEG files, with their boxes as arrays. labels: the number of boxes of each."""
        return boxed_pictures(data_root, self.batch)

    def decode(self, batch: Batch) -> Inputs:
        """The pictures decoded and scaled, and the boxes with them."""
        import numpy as np

        images = image.decode_resize(batch, self.size).float().div_(255).numpy()
        boxes = batch.arrays["boxes"] * np.float32(self.size)
        return Inputs(
            {"images": images, "boxes": boxes, "classes": batch.arrays["classes"]}, np.array(batch.labels, np.int64)
        )

    def shapes(self) -> Shapes:
        """The images alone: the boxes are for the loss, which is not traced."""
        return {"images": ((self.batch, 3, self.size, self.size), "float32")}

    def traced(self) -> Callable[[], nn.Module]:
        """The backbone and the head."""
        return partial(detectors.dense, networks.factory(self.network))

    def pipeline(self) -> Operation | None:
        """Decoded pixels of average files, 3 bytes each."""
        return pipeline_operation(3.0 * self.batch * WIDTH * HEIGHT) if self.loader else None


def boxed_pictures(data_root: str | Path, count: int) -> Batch:
    """A batch of JPEG files, with `boxes` and `classes` as arrays. labels: the number of boxes of each."""
    pictures, synthetic = coco.sample(data_root, count, boxes=True)
    names, files = tuple(str(one.path) for one in pictures), tuple(one.path.read_bytes() for one in pictures)
    return Batch("coco", synthetic, coco.padded(pictures), files, names, tuple(len(one.boxes) for one in pictures))
