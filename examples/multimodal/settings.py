"""Sizes of the model and of the batches. Plain data that travels to every worker."""

from __future__ import annotations

from dataclasses import dataclass, field

from placement.spec.task import Device, TaskSpec
from workloads.datasets import clips
from workloads.networks import Network


@dataclass(frozen=True)
class Settings:
    """vocabulary: the tokenizer as JSON.  labels: names of the classes.

    width: of CLIP's layers; 1.0 is ViT-B/32.  size: of an image, pixels.  frames: of a clip, sampled.
    tokens: of a text.  rows: of a batch on each device.  epochs, learning_rate: of the head.  seed: of all weights.
    """

    vocabulary: str
    labels: tuple[str, ...]
    width: float = 0.25
    size: int = 224
    frames: int = 2
    tokens: int = 77
    rows: dict[Device, int] = field(default_factory=lambda: {"cpu": 4, "gpu": 12})
    decode_rows: int = 6
    train_rows: int = 12
    epochs: int = 30
    learning_rate: float = 0.02
    seed: int = 0

    @property
    def images(self) -> int:
        """Images of a clip: its sampled frames and its cover."""
        return self.frames + 1

    @property
    def encoder(self) -> Network:
        """The network that embeds images and texts."""
        return Network("clip", self.width, self.size)

    @property
    def widths(self) -> dict[str, int]:
        """Numbers that each kind of data gives the head."""
        shared = round(512 * self.width)
        return {"video": shared, "text": shared, "figures": len(clips.FIGURES)}

    def row_spec(self) -> TaskSpec:
        """The spec of embedding one clip, traced without computing anything."""
        import torch

        from placement import describe
        from workloads import networks

        pixels = torch.empty((self.images, 3, self.size, self.size), device="meta")
        ids = torch.empty((1, self.tokens), dtype=torch.int64, device="meta")
        return describe.of_module(networks.factory(self.encoder), {"pixel_values": pixels, "input_ids": ids})
