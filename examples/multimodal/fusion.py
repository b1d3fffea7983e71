"""The late-fusion head, and the loop of the Ray Train worker that trains it from the stream."""

from __future__ import annotations

import io
import json
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn

from examples.multimodal.settings import Settings

CHECKPOINT = "head.pt"
SEEN = "seen.jsonl"
"""A line for each batch that came, and for each epoch: `pipeline` shows it while the loop runs."""
Batch = dict[str, torch.Tensor]


class FusionHead(nn.Module):
    """A linear layer for each kind of data gives logits of its own; the sum of these is the answer.

    widths: kind -> its numbers.  Inputs are centred and scaled by their own mean and deviation.
    """

    def __init__(self, widths: Mapping[str, int], classes: int) -> None:
        super().__init__()
        self.layers = nn.ModuleDict(
            {kind: nn.Sequential(nn.BatchNorm1d(w, affine=False), nn.Linear(w, classes)) for kind, w in widths.items()}
        )

    def parts(self, batch: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        """Kind -> its logits, (rows, classes)."""
        return {kind: layer(batch[kind]) for kind, layer in self.layers.items()}

    def forward(self, batch: Mapping[str, torch.Tensor]) -> torch.Tensor:
        """The logits of all kinds together, (rows, classes)."""
        return torch.stack(list(self.parts(batch).values())).sum(0)


def tensors(batch: Mapping[str, Any], device: str | torch.device) -> Batch:
    """The columns that are numbers, on the device."""
    return {name: torch.as_tensor(array.copy()).to(device) for name, array in batch.items() if array.dtype != object}


def train_loop(config: dict[str, Any]) -> None:
    """Trains a head in a Ray Train worker. The first epoch is the stream itself: it trains while clips are decoded.

    config: `settings`, and `folder`, where SEEN is written. The last report holds a checkpoint of the head.
    """
    import ray.train
    import ray.train.torch

    torch.set_num_threads(1)  # the head is so small that threads only wait for one another
    settings: Settings = config["settings"]
    cuda = torch.cuda.is_available()  # an emulated GPU computes on the CPU
    device = ray.train.torch.get_device() if cuda else torch.device("cpu")
    torch.manual_seed(settings.seed)
    head = FusionHead(settings.widths, len(settings.labels)).to(device)
    optimiser = torch.optim.AdamW(head.parameters(), lr=settings.learning_rate, weight_decay=0.1)
    stream = ray.train.get_dataset_shard("train").iter_batches(batch_size=settings.train_rows, batch_format="numpy")
    came: list[Batch] = []
    start = time.perf_counter()
    with (Path(config["folder"]) / SEEN).open("w", encoding="utf-8") as seen:
        for epoch in range(settings.epochs):
            batches = streamed(stream, device, came) if not epoch else shuffled(came, settings.train_rows)
            metrics = {"epoch": epoch, **one_epoch(head, optimiser, batches, seen if not epoch else None)}
            metrics["seconds"] = time.perf_counter() - start
            print(json.dumps(metrics), file=seen, flush=True)
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / CHECKPOINT).write_bytes(to_bytes(head))
        ray.train.report(metrics, checkpoint=ray.train.Checkpoint.from_directory(folder))


def streamed(stream: Any, device: torch.device, came: list[Batch]) -> Iterator[Batch]:
    """The batches of the stream as they come; `came` keeps them for the later epochs."""
    for batch in stream:
        came.append(tensors(batch, device))
        yield came[-1]


def shuffled(came: list[Batch], rows: int) -> Iterator[Batch]:
    """The rows that came, in another order, in batches of about `rows`."""
    whole = {name: torch.cat([batch[name] for batch in came]) for name in came[0]}
    count = len(whole["label"])
    for part in torch.randperm(count).tensor_split(-(-count // rows)):
        yield {name: column[part] for name, column in whole.items()}


def one_epoch(
    head: FusionHead, optimiser: torch.optim.Optimizer, batches: Iterator[Batch], seen: Any
) -> dict[str, Any]:
    """A step for each batch: `loss`, its mean, `accuracy` on what was trained on, and `rows`."""
    head.train()
    loss_sum, right, rows = 0.0, 0, 0
    for batch in batches:
        labels = batch["label"]
        rows += len(labels)
        if len(labels) > 1:  # one row has no deviation
            logits = head(batch)
            loss = nn.functional.cross_entropy(logits, labels)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            loss_sum += loss.item() * len(labels)
            right += int((logits.argmax(-1) == labels).sum())
        if seen is not None:
            print(json.dumps({"rows": rows}), file=seen, flush=True)
    return {"loss": loss_sum / rows, "accuracy": right / rows, "rows": rows}


def to_bytes(head: FusionHead) -> bytes:
    """The weights, as torch saves them."""
    sink = io.BytesIO()
    torch.save(head.state_dict(), sink)
    return sink.getvalue()
