"""Writes pictures in COCO's layout: coloured rectangles with boxes and captions that tell what is in them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from workloads.datasets.imagenet import picture

if TYPE_CHECKING:
    import numpy as np

WIDTH, HEIGHT = 640, 480
"""Pixels of most COCO pictures: the generator's and the cost formulas'."""
NOISE = 22
OBJECTS = 7
"""Objects of a picture: COCO's average is 7.3."""
CAPTIONS = 5
"""Captions of a picture, as COCO has them."""
CATEGORIES = {1: "person", 2: "bicycle", 3: "car", 17: "cat", 18: "dog", 44: "bottle", 62: "chair", 90: "toothbrush"}
COLOURS = {"red": (220, 40, 40), "green": (40, 200, 60), "blue": (50, 70, 220), "yellow": (230, 220, 50)}
PHRASES = ("a photo of {}", "{} in a room", "there is {} here", "a picture that shows {}", "{}, seen from the side")


def write(folder: Path, *, pictures: int = 48, split: str = "train2017", seed: int = 0) -> None:
    """Writes the pictures of a split and its two annotation files."""
    import numpy as np
    from PIL import Image

    rng = np.random.default_rng(seed)
    (folder / split).mkdir(parents=True)
    (folder / "annotations").mkdir()
    images: list[dict[str, Any]] = []
    boxes: list[dict[str, Any]] = []
    captions: list[dict[str, Any]] = []
    for image in range(1, pictures + 1):
        pixels = picture(rng, WIDTH, HEIGHT, NOISE)
        objects = [paint(rng, pixels) for _ in range(1 + int(rng.poisson(OBJECTS - 1)))]
        name = f"{image:012d}.jpg"
        Image.fromarray(pixels).save(folder / split / name, quality=90)
        images.append({"id": image, "file_name": name, "width": WIDTH, "height": HEIGHT})
        for category, _, box in objects:
            boxes.append({
                "id": len(boxes) + 1, "image_id": image, "category_id": category, "bbox": box,
                "area": box[2] * box[3], "iscrowd": 0,
            })  # fmt: skip
        for phrase in rng.permutation(PHRASES)[:CAPTIONS]:
            captions.append({"id": len(captions) + 1, "image_id": image, "caption": caption(phrase, objects)})
    kinds = [{"id": number, "name": name} for number, name in CATEGORIES.items()]
    files = {"instances": {"images": images, "annotations": boxes, "categories": kinds},
             "captions": {"images": images, "annotations": captions}}  # fmt: skip
    for kind, content in files.items():
        (folder / "annotations" / f"{kind}_{split}.json").write_text(json.dumps(content), encoding="utf-8")


def paint(rng: np.random.Generator, pixels: np.ndarray) -> tuple[int, str, list[float]]:
    """Paints an object; its category, its colour and its box as [x, y, width, height]."""
    import numpy as np

    category, colour = int(rng.choice(list(CATEGORIES))), str(rng.choice(list(COLOURS)))
    width, height = (int(rng.integers(side // 16, side // 3)) for side in (WIDTH, HEIGHT))
    left, top = int(rng.integers(WIDTH - width)), int(rng.integers(HEIGHT - height))
    pixels[top : top + height, left : left + width] //= 4
    pixels[top : top + height, left : left + width] += np.array(COLOURS[colour], np.uint8) // 4 * 3
    return category, colour, [float(left), float(top), float(width), float(height)]


def caption(phrase: str, objects: list[tuple[int, str, list[float]]]) -> str:
    """A sentence that names the two largest objects."""
    largest = sorted(objects, key=lambda one: -one[2][2] * one[2][3])[:2]
    named = " and ".join(f"a {colour} {CATEGORIES[category]}" for category, colour, _ in largest)
    return phrase.format(named).capitalize() + "."
