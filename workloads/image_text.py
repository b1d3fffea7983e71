"""CLIP on COCO's pictures and captions."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from placement.spec.task import Operation
from workloads import image
from workloads.base import Batch, pipeline_operation
from workloads.datasets import clip_tokenizer, coco, imdb
from workloads.datasets.coco_generator import HEIGHT, WIDTH
from workloads.network_preset import NetworkPreset, Shapes
from workloads.networks import Network
from workloads.steps import Inputs

CHANNELS = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)
"""Mean and deviation of the channels, those of every published CLIP."""


@dataclass(frozen=True, kw_only=True)
class ImageTextPreset(NetworkPreset):
    """length: tokens of each caption, at most 77; size: of the square image, pixels, a multiple of 32.

    FLOPs: of ViT-B/32 at 224 pixels and 77 tokens 14.78e9 a pair (open_clip, docs/model_profile.csv).
    Decoded inputs: `pixel_values` FP32 (batch, 3, size, size); `input_ids` and `attention_mask`, int64 (batch, length).
    """

    family = "multimodal"
    dataset = "coco"
    workload = "clip_coco"
    sizes = "l{preset.length}_s{preset.size}"

    length: int
    size: int

    @property
    def network(self) -> Network:
        """CLIP for this image size: its embeddings of places depend on it."""
        return Network("clip", self.width, self.size)

    def files(self, data_root: str | Path) -> Batch:
        """JPEG files, then a caption of each, with the tokenizer. names: of the pictures; labels: each caption's."""
        pictures, synthetic = coco.sample(data_root, self.batch)
        names = tuple(str(one.path) for one in pictures)
        files = (*(one.path.read_bytes() for one in pictures), *(one.captions[0].encode() for one in pictures))
        labels = tuple(range(self.batch))
        return Batch("coco", synthetic, {}, files, names, labels, coco.vocabulary(data_root))

    def decode(self, batch: Batch) -> Inputs:
        """The pictures decoded, scaled and normalised, and the captions tokenised."""
        import numpy as np

        count = len(batch.labels)
        pixels = image.decode_resize(replace(batch, files=batch.files[:count]), self.size)
        texts = [text.decode() for text in batch.files[count:]]
        tokens = clip_tokenizer.tokenise(texts, batch.vocabulary or "", self.length)
        arguments = {"pixel_values": image.normalised(pixels, CHANNELS).numpy(), **tokens}
        return Inputs(arguments, np.array(batch.labels, np.int64))

    def shapes(self) -> Shapes:
        """Without the attention mask: transformers looks at its values, and a trace has none."""
        return {
            "pixel_values": ((self.batch, 3, self.size, self.size), "float32"),
            "input_ids": ((self.batch, self.length), "int64"),
        }

    def pipeline(self) -> Operation | None:
        """Decoded pixels of average files, and the ids and the mask that the tokenizer writes."""
        written = 3.0 * self.batch * WIDTH * HEIGHT + imdb.encoded_bytes(self.batch, self.length)
        return pipeline_operation(written) if self.loader else None
