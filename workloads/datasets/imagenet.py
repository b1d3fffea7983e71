"""ImageNet-100: class folders of JPEG files.

Generated pictures have ImageNet's average size, 500 x 375, and, by their smooth colours under noise, about its
average file size (about 110 kB), so that decoding one costs what decoding a real one does.
"""

from __future__ import annotations

import io
from functools import lru_cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from workloads.base import DataError
from workloads.datasets.synthetic import ensure, is_synthetic

if TYPE_CHECKING:
    import numpy as np
    import torch

FOLDER = "imagenet100"
CLASSES = 100
WIDTH, HEIGHT = 500, 375
"""Pixels of an average ImageNet picture: the generator's and the cost formulas'."""
FILE_BYTES = 110_000
"""Bytes of an average file."""
NOISE = 30
SUFFIXES = {".jpeg", ".jpg"}


class Files(NamedTuple):
    """Encoded files, where they came from, and their labels."""

    files: tuple[bytes, ...]
    names: tuple[str, ...]
    labels: tuple[int, ...]
    synthetic: bool


def sample(data_root: str | Path, count: int, *, seed: int = 0) -> Files:
    """`count` files of imagenet100/ under the root, classes and files drawn at random; generated where missing."""
    import numpy as np

    folder = ensure(Path(data_root) / FOLDER, write_small)
    classes = class_folders(folder)
    rng = np.random.default_rng(seed)
    labels = tuple(int(label) for label in rng.integers(0, len(classes), count))
    paths = []
    for label in labels:
        pictures = pictures_of(classes[label])
        paths.append(pictures[int(rng.integers(len(pictures)))])
    return Files(tuple(path.read_bytes() for path in paths), tuple(map(str, paths)), labels, is_synthetic(folder))


def decoded_bytes(count: int) -> float:
    """Bytes that decoding `count` average files writes: 3 bytes a pixel."""
    return float(count * 3 * WIDTH * HEIGHT)


def class_folders(folder: Path) -> list[Path]:
    """The class folders of `folder/train`, or of `folder` itself, sorted: a class's label is its position."""
    base = folder / "train" if (folder / "train").is_dir() else folder
    classes = sorted(path for path in base.iterdir() if path.is_dir())
    if not classes:
        raise DataError(f"{base} has no class folders; expected {base}/<class>/*.JPEG.")
    return classes[:CLASSES]


@lru_cache(maxsize=CLASSES)
def pictures_of(folder: Path) -> list[Path]:
    """The JPEG files of a class, sorted; kept, since a real class has 1,300."""
    pictures = sorted(path for path in folder.iterdir() if path.suffix.lower() in SUFFIXES)
    if not pictures:
        raise DataError(f"{folder} has no JPEG files; expected {folder}/*.JPEG.")
    return pictures


def decode(data: bytes, name: str) -> torch.Tensor:
    """uint8 (3, height, width) on the CPU. DataError that names the file where it is not a picture."""
    import numpy as np
    import torch
    from torchvision.io import ImageReadMode, decode_jpeg

    try:
        return decode_jpeg(torch.from_numpy(np.frombuffer(data, np.uint8).copy()), mode=ImageReadMode.RGB)
    except RuntimeError as error:
        # ImageNet has a few CMYK pictures and a PNG among its JPEG files: Pillow reads them.
        from PIL import Image

        try:
            with Image.open(io.BytesIO(data)) as picture:
                return torch.from_numpy(np.array(picture.convert("RGB"))).permute(2, 0, 1).contiguous()
        except (OSError, SyntaxError, ValueError):
            raise DataError(
                f"{name} is not a picture that can be decoded ({first_line(error)}); replace or remove it."
            ) from error


def first_line(error: BaseException) -> str:
    """An error's message without the native stack below it."""
    return (str(error).splitlines() or [type(error).__name__])[0]


def picture(rng: np.random.Generator, width: int, height: int, noise: int) -> np.ndarray:
    """uint8 (height, width, 3): smooth colours under noise of so many grey levels."""
    import numpy as np
    from PIL import Image

    coarse = rng.integers(0, 256, (height // 24, width // 24, 3), dtype=np.uint8)
    smooth = np.asarray(Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC), dtype=np.int16)
    grain = rng.integers(-noise, noise + 1, (height, width, 1), dtype=np.int16)
    return np.clip(smooth + grain, 0, 255).astype(np.uint8)


def write(folder: Path, *, classes: int = CLASSES, per_class: int = 4, seed: int = 0) -> None:
    """Writes train/<class>/<class>_<n>.JPEG below `folder`."""
    import numpy as np
    from PIL import Image

    rng = np.random.default_rng(seed)
    for number in range(classes):
        name = f"n{number:08d}"  # WordNet-like, as ImageNet's folders are named
        class_folder = folder / "train" / name
        class_folder.mkdir(parents=True)
        for index in range(per_class):
            made = Image.fromarray(picture(rng, WIDTH, HEIGHT, NOISE))
            made.save(class_folder / f"{name}_{index}.JPEG", quality=90)


write_small = partial(write, per_class=1)
"""Enough for a demonstration: all 100 classes, in about two seconds."""
