"""The loss by which a network is trained, and the output by which an inference is read."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, NamedTuple

from workloads import detectors

if TYPE_CHECKING:
    import torch
    from torch import nn

Tensors = Mapping[str, "torch.Tensor"]


class Objective(NamedTuple):
    """loss(model, arguments, labels): a scalar.  output(model, arguments): the values of which the mean is told."""

    loss: Callable[[nn.Module, Tensors, torch.Tensor], torch.Tensor]
    output: Callable[[nn.Module, Tensors], torch.Tensor]


def cross_entropy(model: nn.Module, arguments: Tensors, labels: torch.Tensor) -> torch.Tensor:
    """The loss of a classifier."""
    import torch

    return torch.nn.functional.cross_entropy(logits(model, arguments), labels)


def logits(model: nn.Module, arguments: Tensors) -> torch.Tensor:
    """The logits of a torchvision model (a tensor) or a transformers one (an output object)."""
    output = model(**arguments)
    return getattr(output, "logits", output)


def contrastive(model: nn.Module, arguments: Tensors, labels: torch.Tensor) -> torch.Tensor:  # noqa: ARG001
    """CLIP's own loss: each text must find its picture in the batch, and each picture its text."""
    return model(**arguments, return_loss=True).loss


def similarities(model: nn.Module, arguments: Tensors) -> torch.Tensor:
    """CLIP's logits, (pictures, texts)."""
    return model(**arguments).logits_per_image


CLASSIFICATION = Objective(cross_entropy, logits)
DETECTION = Objective(detectors.loss, detectors.scores)
OBJECTIVES: dict[str, Objective] = {
    "clip": Objective(contrastive, similarities),
    "retinanet": DETECTION,
    "ssdlite": DETECTION,
}
"""By architecture; the others are classifiers."""
