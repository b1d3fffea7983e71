"""Preprocessing tasks of COCO, each a task of its own.

coco_resize        JPEG files -> uint8 images                  CPU (libjpeg) and GPU (nvJPEG)
caption_tokenise   captions -> CLIP's token ids                CPU only
box_parse          annotations as JSON -> boxes and classes    CPU only
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from placement.spec.task import TaskSpec
from workloads.base import Batch, Outcome, require
from workloads.datasets import clip_tokenizer, coco, coco_generator, imdb
from workloads.preprocess import JpegResize, PreprocessPreset, cpu_only_spec

BOX_BYTES = coco_generator.OBJECTS * 24
"""Bytes that the boxes of an average picture take: four FP32 and a class of 8 bytes each."""


@dataclass(frozen=True, kw_only=True)
class CocoResize(JpegResize):
    """COCO's JPEG files decoded and scaled to size x size, as `JpegResize` does it."""

    dataset = "coco"
    workload = "coco_resize"
    pixels = (coco_generator.WIDTH, coco_generator.HEIGHT)
    file_bytes = coco.FILE_BYTES

    def prepare(self, data_root: str | Path) -> Batch:
        """JPEG files."""
        pictures, synthetic = coco.sample(data_root, self.batch)
        files, names = tuple(one.path.read_bytes() for one in pictures), tuple(str(one.path) for one in pictures)
        return Batch(self.dataset, synthetic, files=files, names=names)


@dataclass(frozen=True, kw_only=True)
class CaptionTokenise(PreprocessPreset):
    """Captions to CLIP's token ids, cut or padded to `length`."""

    family = "multimodal"
    framework = "tokenizers"
    dataset = "coco"
    has_gpu = False
    workload = "caption_tokenise"
    sizes = "_l{preset.length}"
    length: int

    def prepare(self, data_root: str | Path) -> Batch:
        """Captions, with the tokenizer."""
        pictures, synthetic = coco.sample(data_root, self.batch)
        files, names = tuple(one.captions[0].encode() for one in pictures), tuple(str(one.path) for one in pictures)
        return Batch(self.dataset, synthetic, files=files, names=names, vocabulary=coco.vocabulary(data_root))

    def run(self, batch: Batch, device: str, steps: int = 1) -> Outcome:
        """Value: the mean id."""
        require(device, "cpu")
        texts = [text.decode() for text in batch.files]
        for _ in range(steps):
            ids: Any = clip_tokenizer.tokenise(texts, batch.vocabulary or "", self.length)["input_ids"]
        return Outcome(float(ids.mean()), steps * len(ids), 0.0)

    def one_step(self) -> TaskSpec:
        """Bytes of average captions in, ids and mask out."""
        return cpu_only_spec(self, coco.CAPTION_BYTES * self.batch, imdb.encoded_bytes(self.batch, self.length))


@dataclass(frozen=True, kw_only=True)
class ParseBoxes(PreprocessPreset):
    """COCO's annotations of `batch` pictures, as JSON, parsed and checked."""

    framework = "python"
    dataset = "coco"
    has_gpu = False
    workload = "box_parse"

    def prepare(self, data_root: str | Path) -> Batch:
        """One file: the JSON of the pictures drawn, numbered from 0."""
        pictures, synthetic = coco.sample(data_root, self.batch, boxes=True)
        images = [{"id": number, "file_name": one.path.name, "width": coco_generator.WIDTH,
                   "height": coco_generator.HEIGHT} for number, one in enumerate(pictures)]  # fmt: skip
        annotations = [annotation(number, kind, box) for number, one in enumerate(pictures)
                       for kind, box in zip(one.classes, one.boxes, strict=True)]  # fmt: skip
        content = json.dumps({"images": images, "annotations": annotations}).encode()
        return Batch(self.dataset, synthetic, files=(content,), names=(f"{self.name}.json",))

    def run(self, batch: Batch, device: str, steps: int = 1) -> Outcome:
        """Value: the mean number of boxes of a picture."""
        require(device, "cpu")
        for _ in range(steps):
            found = coco.boxes_of(json.loads(batch.files[0]), batch.names[0])
        boxes = sum(len(classes) for _, classes in found.values())
        return Outcome(boxes / len(found), steps * len(found), 0.0)

    def one_step(self) -> TaskSpec:
        """Bytes of average annotations in, boxes out."""
        return cpu_only_spec(self, coco.ANNOTATION_BYTES * self.batch, BOX_BYTES * self.batch)


def annotation(image: int, category: int, box: coco.Box) -> dict[str, Any]:
    """A box as an entry of COCO's JSON."""
    left, top, right, bottom = (
        share * side for share, side in zip(box, (coco_generator.WIDTH, coco_generator.HEIGHT) * 2, strict=True)
    )
    return {"image_id": image, "category_id": category, "iscrowd": 0, "bbox": [left, top, right - left, bottom - top]}
