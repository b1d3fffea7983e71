"""Writes clips whose label no kind of data tells alone: colours tell three groups of labels, words three others.

label              0  1  2  3  4  5
colour             0  0  1  1  2  2
words              0  1  2  0  1  2
many views         0  0  0  1  1  1
"""

from __future__ import annotations

import csv
from pathlib import Path
from typing import TYPE_CHECKING, Any

from workloads.datasets import kinetics

if TYPE_CHECKING:
    import numpy as np

TINTS = ((215, 95, 80), (80, 205, 95), (85, 100, 220))
WORDS = (
    ("rope", "rock", "summit", "helmet", "ledge", "wall"),
    ("crowd", "stage", "music", "drum", "hall", "concert"),
    ("table", "teacher", "answer", "school", "pencil", "lesson"),
)
FILLER = ("someone", "in", "the", "with", "and", "near", "a", "people", "while", "day", "then", "video")
SECONDS = 2
"""Long enough for two frames at Kinetics' stride."""
NOISE = 0.06
"""Share of the clips whose colour, or whose words, are those of another group."""
SIZES = {"train": 60, "test": 30}


def write(folder: Path, *, sizes: dict[str, int] = SIZES, seed: int = 0) -> None:
    """Writes so many clips of each split, their tables and the table of captions."""
    import numpy as np

    rng = np.random.default_rng(seed)
    captions: list[dict[str, Any]] = []
    for split, count in sizes.items():
        lines = []
        for number in range(count):
            label = number % len(kinetics.LABELS)
            row = {"label": kinetics.LABELS[label], "youtube_id": f"{split}{number:05d}", "time_start": "0",
                   "time_end": str(SECONDS), "split": split}  # fmt: skip
            lines.append(row)
            captions.append({"youtube_id": row["youtube_id"], **write_files(folder / split, row, rng, label)})
        write_table(folder / f"{split}.csv", lines)
    write_table(folder / "captions.csv", captions)


def write_files(folder: Path, row: dict[str, str], rng: np.random.Generator, label: int) -> dict[str, Any]:
    """Writes a clip, its cover and its description; its caption and figures."""
    from PIL import Image

    target = folder / row["label"]
    target.mkdir(parents=True, exist_ok=True)
    base = target / kinetics.file_stem(row)
    colour, words = (int(rng.integers(3)) if rng.random() < NOISE else group for group in (label // 2, label % 3))
    last = kinetics.write_clip(
        base.with_name(f"{base.name}.mp4"), rng, SECONDS * kinetics.FRAMES_A_SECOND, TINTS[colour]
    )
    Image.fromarray(last).save(base.with_name(f"{base.name}.jpg"), quality=90)
    base.with_name(f"{base.name}.txt").write_text(sentence(rng, WORDS[words], 40), encoding="utf-8")
    likely = 5.0 if label >= 3 else 3.5  # powers of ten
    views = 10 ** rng.normal(likely, 0.5)
    return {
        "caption": sentence(rng, WORDS[words], 10), "views": int(views), "likes": int(views * rng.uniform(0.01, 0.1)),
        "followers": int(10 ** rng.normal(4, 1)), "hour": int(rng.integers(24)),
    }  # fmt: skip


def sentence(rng: np.random.Generator, words: tuple[str, ...], length: int) -> str:
    """So many words, half of them of the group."""
    drawn = [str(rng.choice(words if rng.random() < 0.5 else FILLER)) for _ in range(length)]
    return " ".join(drawn).capitalize() + "."


def write_table(path: Path, rows: list[dict[str, Any]]) -> None:
    """A CSV with the columns of the first row."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, fieldnames=list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
