"""COCO 2017: coco/train2017/*.jpg, coco/annotations/instances_train2017.json and captions_train2017.json; or val2017.

The split is the first of SPLITS whose picture folder is there. Pictures that are not on disk are passed over. The
tokenizer of the captions is CLIP's own where coco/ has its vocab.json and merges.txt; else a byte-level BPE of the
same kind is trained on the captions at hand and kept beside the folder.
"""

from __future__ import annotations

import json
from collections import defaultdict
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from workloads.base import DataError
from workloads.datasets import clip_tokenizer
from workloads.datasets.coco_generator import write
from workloads.datasets.synthetic import ensure, is_synthetic, kept_text

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy as np

FOLDER = "coco"
SPLITS = ("train2017", "val2017")
CLASSES = 91
"""Category ids are 1 to 90, with gaps; 0 is the background."""
FILE_BYTES = 160_000
"""Bytes of an average file: 18 GB of 118,287 training pictures."""
CAPTION_BYTES = 52
"""Bytes of an average caption: ten words."""
ANNOTATION_BYTES = 650
"""Bytes of a picture's boxes in the JSON, without the outlines; measured on generated ones."""
Box = tuple[float, float, float, float]


class Picture(NamedTuple):
    """A picture on disk. boxes: (left, top, right, bottom) as shares of its width and height; classes: their ids."""

    path: Path
    boxes: tuple[Box, ...]
    classes: tuple[int, ...]
    captions: tuple[str, ...]


def folder_of(data_root: str | Path) -> Path:
    """coco/ under the root, generated where missing."""
    return ensure(Path(data_root) / FOLDER, write)


def sample(data_root: str | Path, count: int, *, boxes: bool = False, seed: int = 0) -> tuple[list[Picture], bool]:
    """`count` pictures drawn at random, and whether they are synthetic. boxes: only pictures that have some."""
    import numpy as np

    folder = folder_of(data_root)
    pictures = [one for one in pictures_of(folder) if (one.boxes if boxes else one.captions)]
    if not pictures:
        raise DataError(f"no picture of {folder} has {'boxes' if boxes else 'captions'}; see {folder}/annotations.")
    drawn = np.random.default_rng(seed).integers(0, len(pictures), count)
    return [pictures[int(index)] for index in drawn], is_synthetic(folder)


@lru_cache(maxsize=2)
def pictures_of(folder: Path) -> tuple[Picture, ...]:
    """The pictures on disk of the split that is there, in the order of the annotations."""
    split = split_of(folder)
    on_disk = {path.name for path in (folder / split).iterdir()}
    boxes_file, captions_file = (folder / "annotations" / f"{kind}_{split}.json" for kind in ("instances", "captions"))
    instances, captions = read_json(boxes_file), read_json(captions_file)
    boxes = boxes_of(instances, str(boxes_file))
    lines = defaultdict(list)
    for one in captions["annotations"]:
        lines[one["image_id"]].append(one["caption"].strip())
    found = tuple(
        Picture(folder / split / one["file_name"], *boxes[one["id"]], tuple(lines[one["id"]]))
        for one in instances["images"]
        if one.get("file_name") in on_disk
    )
    if not found:
        raise DataError(f"none of the {len(instances['images'])} pictures of {boxes_file} is in {folder / split}.")
    return found


def split_of(folder: Path) -> str:
    """The first split whose folder is there."""
    for split in SPLITS:
        if (folder / split).is_dir():
            return split
    raise DataError(f"{folder} has no pictures; expected {folder}/{SPLITS[0]}/*.jpg or {folder}/{SPLITS[1]}/*.jpg.")


def read_json(path: Path) -> dict[str, Any]:
    """An annotation file; DataError that names it where it cannot be read or has no images or annotations."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DataError(f"{path} cannot be read ({error}); expected COCO's annotations as JSON.") from error
    missing = [name for name in ("images", "annotations") if not isinstance(found, dict) or name not in found]
    if missing:
        raise DataError(f"{path} has no {' and no '.join(missing)}; expected COCO's annotations as JSON.")
    return dict(found)


def boxes_of(instances: Mapping[str, Any], name: str) -> dict[int, tuple[tuple[Box, ...], tuple[int, ...]]]:
    """Image id -> (boxes, classes). Crowds and boxes without an area are left out, as in training.

    DataError that names the file and the entry that is wrong.
    """
    found: dict[int, tuple[list[Box], list[int]]] = {}
    entry: Any = None
    try:
        for entry in instances["images"]:
            found[entry["id"]] = [], []
        sizes = {one["id"]: (float(one["width"]), float(one["height"])) for one in instances["images"]}
        for entry in instances["annotations"]:
            left, top, width, height = map(float, entry["bbox"])
            across, down = sizes[entry["image_id"]]
            if not entry.get("iscrowd") and width > 0 and height > 0:
                boxes, classes = found[entry["image_id"]]
                boxes.append((left / across, top / down, (left + width) / across, (top + height) / down))
                classes.append(int(entry["category_id"]))
    except (KeyError, TypeError, ValueError, ZeroDivisionError) as error:
        raise DataError(
            f"{name}: {str(entry)[:200]} is not as COCO has it ({error!r}): an image has id, file_name, width and "
            "height, an annotation image_id, category_id and bbox [x, y, width, height]."
        ) from error
    return {image: (tuple(boxes), tuple(classes)) for image, (boxes, classes) in found.items()}


def vocabulary(data_root: str | Path) -> str:
    """The tokenizer of the captions under the root, as JSON; trained and kept at the first call."""
    folder = folder_of(data_root)
    texts = (caption for one in pictures_of(folder) for caption in one.captions)
    return kept_text(folder.parent / f"{FOLDER}-bpe.json", lambda: clip_tokenizer.trained(texts, folder))


def padded(pictures: Sequence[Picture]) -> dict[str, np.ndarray]:
    """`boxes` FP32 (pictures, most, 4) and `classes` int64 (pictures, most); free places have the class 0."""
    import numpy as np

    most = max((len(one.classes) for one in pictures), default=0)
    boxes, classes = np.zeros((len(pictures), most, 4), np.float32), np.zeros((len(pictures), most), np.int64)
    for number, one in enumerate(pictures):
        boxes[number, : len(one.boxes)] = one.boxes
        classes[number, : len(one.classes)] = one.classes
    return {"boxes": boxes, "classes": classes}
