"""Clips with captions: Kinetics' layout, and beside each clip a picture and a text, with a table of captions.

clips/<split>.csv                     label,youtube_id,time_start,time_end,split (Kinetics' own columns)
clips/<split>/<label>/<clip>.mp4      the clip;  <clip>.jpg: its cover picture;  <clip>.txt: its description
clips/captions.csv                    youtube_id,caption, and FIGURES: what a site knows of a clip
"""

from __future__ import annotations

import csv
import math
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from workloads.base import DataError
from workloads.datasets import clip_tokenizer, imdb, kinetics
from workloads.datasets.clips_generator import write
from workloads.datasets.synthetic import ensure, is_synthetic, kept_text

if TYPE_CHECKING:
    import numpy as np

FOLDER = "clips"
CAPTIONS = "captions.csv"
FIGURES = ("views", "likes", "followers", "hour")
"""The numeric columns of the caption table; the first three count by logarithm."""
ENDINGS = {"clip": ".mp4", "cover": ".jpg", "description": ".txt"}


class Clips(NamedTuple):
    """The clips of one split. rows: as `rows_of` makes them.  labels: sorted names; a row has its position here."""

    rows: list[dict[str, Any]]
    labels: tuple[str, ...]
    synthetic: bool


def folder_of(data_root: str | Path) -> Path:
    """clips/ under the root, generated where missing."""
    return ensure(Path(data_root) / FOLDER, write)


def read(data_root: str | Path, split: str) -> Clips:
    """The clips of a split that are whole on disk.

    DataError where a table is broken or none is. Labels are those of all splits of the data set, sorted.
    """
    folder = folder_of(data_root)
    tables = {path.stem: path for path in sorted(folder.glob("*.csv")) if path.name != CAPTIONS}
    if split not in tables:
        raise DataError(f"{folder} has no {split}.csv; its splits are {', '.join(tables) or 'none'}.")
    parsed = {name: kinetics.parse_table(path.read_text("utf-8"), str(path)) for name, path in tables.items()}
    labels = tuple(sorted({row["label"] for table in parsed.values() for row in table}))
    rows = rows_of(folder, split, parsed[split], captions_of(folder / CAPTIONS), labels)
    if not rows:
        raise DataError(
            f"none of the {len(parsed[split])} clips of {tables[split]} is whole on disk: a clip needs a line in "
            f"{CAPTIONS} and {folder}/{split}/<label>/<youtube_id>_<start>_<end> with {', '.join(ENDINGS.values())}."
        )
    return Clips(rows, labels, is_synthetic(folder))


def rows_of(
    folder: Path, split: str, table: list[dict[str, str]], captions: dict[str, dict[str, Any]], labels: tuple[str, ...]
) -> list[dict[str, Any]]:
    """A row for each clip with all its files: their paths, `caption`, the figures as FP32, `label` and `id`."""
    rows = []
    for row in table:
        base = folder / split / row["label"] / kinetics.file_stem(row)
        paths = {name: base.with_name(base.name + ending) for name, ending in ENDINGS.items()}
        told = captions.get(row["youtube_id"])
        if told is not None and all(path.exists() for path in paths.values()):
            own = {"id": row["youtube_id"], "label": labels.index(row["label"]), **told}
            rows.append({**own, **{name: str(path) for name, path in paths.items()}})
    return rows


def captions_of(path: Path) -> dict[str, dict[str, Any]]:
    """youtube_id -> its caption and `figures`, FP32 of about 0 to 1; DataError that names the file and the line."""
    try:
        with path.open(encoding="utf-8", newline="") as file:
            reader = csv.DictReader(file)
            expected = ("youtube_id", "caption", *FIGURES)
            if missing := [name for name in expected if name not in (reader.fieldnames or ())]:
                raise DataError(f"{path} has no column {', '.join(missing)}; expected {','.join(expected)}.")
            return {row["youtube_id"]: {"caption": row["caption"], "figures": figures_of(row)} for row in reader}
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error}.") from error
    except (TypeError, ValueError) as error:
        if isinstance(error, DataError):
            raise
        raise DataError(f"{path}, line {reader.line_num}: {', '.join(FIGURES)} must be numbers ({error}).") from error


def figures_of(row: dict[str, str]) -> list[float]:
    """The figures of a line: counts by logarithm, the hour of the day as a share."""
    counts = [math.log10(1 + float(row[name])) / 8 for name in FIGURES[:-1]]
    return [*counts, float(row["hour"]) / 24]


def vocabulary(data_root: str | Path) -> str:
    """The tokenizer of the training clips' texts, as JSON; trained and kept at the first call."""
    folder = folder_of(data_root)
    texts = (text_of(row["caption"], row["description"]) for row in read(data_root, "train").rows)
    return kept_text(folder.parent / f"{FOLDER}-bpe.json", lambda: clip_tokenizer.trained(texts, folder))


def text_of(caption: str, description: str) -> str:
    """A caption with the description in that file."""
    return f"{caption} {imdb.text_of(Path(description).read_bytes(), description)}"


def images_of(clip: str, cover: str, frames: int, size: int) -> np.ndarray:
    """uint8 (frames + 1, size, size, 3): frames of the clip as `kinetics.decode` samples them, then the cover."""
    import numpy as np
    from PIL import Image

    sampled = kinetics.decode(Path(clip).read_bytes(), clip, frames, size)
    try:
        with Image.open(cover) as picture:
            scaled = np.asarray(picture.convert("RGB").resize((size, size)))
    except (OSError, SyntaxError, ValueError) as error:
        raise DataError(f"{cover} is not a picture that can be decoded ({error}); replace or remove it.") from error
    return np.concatenate([sampled, scaled[None]])
