"""torchvision's one-stage detectors at their real sizes: built, trained, read, and without what depends on data.

A batch is `images`, FP32 (pictures, 3, size, size) at values 0 to 1; `boxes`, FP32 (pictures, most, 4) in the images'
pixels, and `classes`, int64 (pictures, most).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from workloads.datasets.coco import CLASSES

if TYPE_CHECKING:
    import torch
    from torch import nn

SSDLITE_SIZE = 320
"""Pixels of SSDlite's square image, which its boxes are laid out for."""


def retinanet(size: int) -> nn.Module:
    """RetinaNet with ResNet-50 and a feature pyramid, for square images of `size` pixels.

    Random weights score every box 0.01: without a threshold as many of them reach the suppression of overlaps as in a
    trained network in a crowded picture.
    """
    from torchvision.models.detection import retinanet_resnet50_fpn

    return retinanet_resnet50_fpn(
        weights=None, weights_backbone=None, num_classes=CLASSES, min_size=size, max_size=size, score_thresh=0.0
    )


def ssdlite() -> nn.Module:
    """SSDlite with MobileNetV3-Large."""
    from torchvision.models.detection import ssdlite320_mobilenet_v3_large

    return ssdlite320_mobilenet_v3_large(weights=None, weights_backbone=None, num_classes=CLASSES)


def dense(build: Callable[[], nn.Module]) -> nn.Module:
    """A detector's backbone and head alone, from normalised images to each place's classes and boxes.

    Resizing, the match of boxes to places, the losses and the suppression of overlaps depend on data and have next to
    no FLOPs: torchvision's own figures leave them out too.
    """
    from torch import nn

    class Dense(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.detector = build()

        def forward(self, images: torch.Tensor) -> dict[str, torch.Tensor]:
            features = self.detector.backbone(images)
            return self.detector.head(list(features.values()))

    return Dense()


def loss(model: nn.Module, arguments: Mapping[str, torch.Tensor], labels: torch.Tensor) -> torch.Tensor:
    """The sum of the detector's losses, of classes and of boxes. labels: the number of boxes of each picture."""
    import torch

    targets = [
        {"boxes": boxes[:count], "labels": classes[:count]}
        for boxes, classes, count in zip(arguments["boxes"], arguments["classes"], labels.tolist(), strict=True)
    ]
    return torch.stack(list(model(list(arguments["images"]), targets).values())).sum()


def scores(model: nn.Module, arguments: Mapping[str, torch.Tensor]) -> torch.Tensor:
    """The scores of all boxes that were found, (boxes,)."""
    import torch

    return torch.cat([found["scores"] for found in model(list(arguments["images"]))])
