"""Gradient descent on many of the paper's nets at once, as one batched product. torch is imported when it begins."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from placement.errors import OptionError
from placement.prediction.mlp import LAYERS

if TYPE_CHECKING:
    import torch


EVERY_EPOCHS = 50  # between two reports of progress


@contextmanager
def one_thread() -> Iterator[None]:
    """Runs torch on one thread in the `with` block: nets this small gain nothing from more."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@dataclass(frozen=True, slots=True)
class MiniBatch:
    """Training data of many nets: inputs (parts, n, 9), gpu (n,), training and validation weights (parts, n)."""

    inputs: torch.Tensor
    gpu: torch.Tensor
    training: torch.Tensor
    validating: torch.Tensor


@dataclass
class Best:
    """The best weights of each net so far, by its validation loss."""

    loss: np.ndarray
    epoch: np.ndarray
    weights: list[np.ndarray]

    def take(self, epoch: int, losses: np.ndarray, parameters: Sequence[torch.Tensor]) -> None:
        """Keeps the weights of those nets that are better now."""
        better = losses < self.loss - 1e-5
        if better.any():
            self.loss[better], self.epoch[better] = losses[better], epoch
            for kept, now in zip(self.weights, parameters, strict=True):
                kept[better] = now.detach().numpy()[better]


def descend(batch: MiniBatch, options: TrainingOptions, on_epoch: Callable[[int, float], None] | None) -> Best:
    """Stochastic gradient descent on all nets at once; each keeps its own best weights."""
    import torch

    chance = torch.Generator().manual_seed(options.seed)
    nets, rows = batch.inputs.shape[:2]
    parameters = _initial(nets, chance)
    optimiser = torch.optim.SGD(
        parameters, lr=options.learning_rate, momentum=options.momentum, weight_decay=options.weight_decay
    )
    batch_size = options.batch_size or max(32, rows // 12)
    best = Best(np.full(nets, np.inf), np.zeros(nets, int), [p.detach().numpy().copy() for p in parameters])
    for epoch in range(1, options.epochs + 1):
        order = torch.randperm(rows, generator=chance)
        for picked in order.split(batch_size):
            loss = _loss(
                _logits(batch.inputs[:, picked], parameters, options.dropout, chance),
                batch.gpu[picked], batch.training[:, picked],
            )  # fmt: skip
            optimiser.zero_grad()
            loss.sum().backward()  # type: ignore[no-untyped-call]
            optimiser.step()
        with torch.no_grad():
            losses = _loss(_logits(batch.inputs, parameters), batch.gpu, batch.validating).numpy()
        best.take(epoch, losses, parameters)
        if on_epoch is not None and epoch % EVERY_EPOCHS == 0:
            on_epoch(epoch, float(losses.mean()))
        if (epoch - best.epoch > options.patience).all():
            break
    return best


def _initial(nets: int, chance: torch.Generator) -> list[torch.Tensor]:
    """Weights (nets, in, out) and biases (nets, 1, out), uniform in +-1/sqrt(in), the same for every net."""
    import torch

    parameters = []
    for inputs, outputs in pairwise(LAYERS):
        for shape in ((inputs, outputs), (1, outputs)):
            drawn = (torch.rand(shape, generator=chance) * 2 - 1) / inputs**0.5
            parameters.append(drawn.expand(nets, *shape).clone().requires_grad_())
    return parameters


def _logits(
    inputs: torch.Tensor,
    parameters: Sequence[torch.Tensor],
    dropout: float = 0.0,
    chance: torch.Generator | None = None,
) -> torch.Tensor:
    """(nets, n): the logit of P(GPU). Dropout acts on both hidden layers."""
    import torch

    hidden = inputs
    for weight, bias in zip(parameters[0:-2:2], parameters[1:-2:2], strict=True):
        hidden = torch.relu(torch.baddbmm(bias, hidden, weight))
        if dropout:
            hidden = hidden * (torch.rand(hidden.shape, generator=chance) >= dropout) / (1 - dropout)
    return torch.baddbmm(parameters[-1], hidden, parameters[-2])[..., 0]


def _loss(logits: torch.Tensor, gpu: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
    """(nets,): mean binary cross-entropy over the rows that count."""
    from torch.nn.functional import binary_cross_entropy_with_logits

    each = binary_cross_entropy_with_logits(logits, gpu.expand_as(logits), reduction="none")
    return (each * weights).sum(dim=1) / weights.sum(dim=1).clamp(min=1.0)


@dataclass(frozen=True, slots=True)
class TrainingOptions:
    """Hyperparameters of a fit. The paper gives the learning rate (0.05), the epochs (800) and the kinds of
    regularisation; their strengths, the batch, the momentum and the patience are ours.

    batch_size: None: a twelfth of the rows, at least 32, so that an epoch costs the same for any log.
    patience: epochs without a better validation loss after which a net is done.
    validation: share of the training rows that early stopping looks at and no gradient does.
    """

    epochs: int = 800
    learning_rate: float = 0.05
    momentum: float = 0.9
    batch_size: int | None = None
    dropout: float = 0.05
    weight_decay: float = 1e-4
    patience: int = 80
    validation: float = 0.15
    seed: int = 0

    def __post_init__(self) -> None:
        faults = [
            f"{name}={value!r}"
            for name, value, valid in (
                ("epochs", self.epochs, self.epochs >= 1),
                ("learning_rate", self.learning_rate, self.learning_rate > 0),
                ("momentum", self.momentum, 0 <= self.momentum < 1),
                ("batch_size", self.batch_size, self.batch_size is None or self.batch_size >= 1),
                ("dropout", self.dropout, 0 <= self.dropout < 1),
                ("weight_decay", self.weight_decay, self.weight_decay >= 0),
                ("patience", self.patience, self.patience >= 1),
                ("validation", self.validation, 0 < self.validation < 1),
            )
            if not valid
        ]
        if faults:
            raise OptionError(f"TrainingOptions({', '.join(faults)}): out of range.")
