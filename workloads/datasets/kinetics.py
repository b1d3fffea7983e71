"""Kinetics-400: kinetics400/train.csv (label,youtube_id,time_start,time_end,split) and the mp4 files it names.

A clip is <youtube_id>_<start>_<end>.mp4, seconds as six digits, in kinetics400/train/<label>/ or kinetics400/train/.
Rows whose clip is not on disk are passed over: many are gone from where they came.
"""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from workloads.base import DataError
from workloads.datasets.imagenet import Files, first_line, picture
from workloads.datasets.synthetic import ensure, is_synthetic

if TYPE_CHECKING:
    import numpy as np

FOLDER = "kinetics400"
TABLE = "train.csv"
COLUMNS = ("label", "youtube_id", "time_start", "time_end", "split")
CLASSES = 400
WIDTH, HEIGHT = 340, 256
"""Pixels of a clip as Kinetics is commonly stored: shorter side 256. The generator's and the cost formulas'."""
FILE_BYTES = 270_000
"""Bytes of a generated clip of 10 s, measured; real ones are larger."""
ROW_BYTES = 40
"""Bytes of the table's average row."""
FRAMES_A_SECOND = 25
STRIDE = 32
"""Frames from one sampled frame to the next: TimeSformer's own setting for 8 frames (Bertasius et al., ICML 2021)."""
LABELS = ("abseiling", "air drumming", "answering questions", "applauding", "archery", "arm wrestling")


class Clip(NamedTuple):
    """A clip on disk; label: its position in the sorted labels."""

    path: Path
    label: int


def sample(data_root: str | Path, count: int, *, seed: int = 0) -> Files:
    """`count` clips as mp4 bytes with their labels' positions in the sorted labels; generated where missing."""
    import numpy as np

    folder = folder_of(data_root)
    clips = clips_of(folder)
    chosen = [clips[int(index)] for index in np.random.default_rng(seed).integers(0, len(clips), count)]
    files = {clip.path: clip.path.read_bytes() for clip in chosen}
    return Files(
        tuple(files[clip.path] for clip in chosen),
        tuple(str(clip.path) for clip in chosen),
        tuple(clip.label for clip in chosen),
        is_synthetic(folder),
    )


def folder_of(data_root: str | Path) -> Path:
    """kinetics400/ under the root, generated where missing."""
    return ensure(Path(data_root) / FOLDER, write)


def table_of(folder: Path) -> str:
    """The text of the CSV; DataError that says where it should be."""
    try:
        return (folder / TABLE).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(
            f"{folder / TABLE} cannot be read ({error}); expected a CSV of {', '.join(COLUMNS)}."
        ) from error


def file_stem(row: Mapping[str, str]) -> str:
    """The name of a row's clip, without its ending."""
    return f"{row['youtube_id']}_{int(row['time_start']):06d}_{int(row['time_end']):06d}"


def parse_table(text: str, name: str) -> list[dict[str, str]]:
    """The CSV's rows; DataError that names the file and the columns or the row that is wrong."""
    reader = csv.DictReader(io.StringIO(text))
    missing = [column for column in COLUMNS if column not in (reader.fieldnames or ())]
    if missing:
        raise DataError(f"{name} has no column {', '.join(missing)}; its header must be {','.join(COLUMNS)}.")
    rows = list(reader)
    for number, row in enumerate(rows, start=2):
        if not (row["time_start"] or "").isdigit() or not (row["time_end"] or "").isdigit():
            raise DataError(f"{name}, line {number}: time_start and time_end must be whole seconds, not {row!r}.")
    return rows


@lru_cache(maxsize=2)
def clips_of(folder: Path) -> list[Clip]:
    """The clips on disk, in the table's order."""
    rows = parse_table(table_of(folder), str(folder / TABLE))
    labels = {label: position for position, label in enumerate(sorted({row["label"] for row in rows}))}
    clips = []
    for row in rows:
        file = f"{file_stem(row)}.mp4"
        places = (folder / row["split"] / row["label"] / file, folder / row["split"] / file)
        clips += [Clip(path, labels[row["label"]] % CLASSES) for path in places if path.exists()][:1]
    if not clips:
        raise DataError(
            f"none of the {len(rows)} clips of {folder / TABLE} is on disk; expected "
            f"{folder}/<split>/<label>/<youtube_id>_<start>_<end>.mp4, seconds as six digits."
        )
    return clips


def decode(data: bytes, name: str, frames: int, size: int) -> np.ndarray:
    """uint8 (frames, size, size, 3): every STRIDE-th frame from the first, scaled; the last repeats in short clips.

    All frames up to the last one sampled are decoded: a video cannot be read otherwise. DataError names a broken file.
    """
    import av
    import numpy as np

    sampled: list[np.ndarray] = []
    try:
        with av.open(io.BytesIO(data)) as container:
            stream = container.streams.video[0]
            stream.thread_count = int(os.environ.get("OMP_NUM_THREADS") or 1)
            for number, frame in enumerate(container.decode(stream)):
                if number % STRIDE == 0:
                    sampled.append(frame.to_ndarray(width=size, height=size, format="rgb24"))
                if len(sampled) == frames:
                    break
    except (av.error.FFmpegError, IndexError, ValueError) as error:
        raise DataError(
            f"{name} is not a video that can be decoded ({first_line(error)}); replace or remove it."
        ) from error
    if not sampled:
        raise DataError(f"{name} has no frames; replace or remove it.")
    return np.stack(sampled + sampled[-1:] * (frames - len(sampled)))


def decoded_bytes(count: int, frames: int) -> float:
    """Bytes that decoding `count` clips writes: every frame up to the last one sampled, in YUV 4:2:0 (1.5 bytes a
    pixel).
    """
    return count * (1 + (frames - 1) * STRIDE) * 1.5 * WIDTH * HEIGHT


def write(folder: Path, *, clips: int = 6, seconds: int = 10, seed: int = 0) -> None:
    """Writes clips of a picture that is panned over, and their table."""
    import numpy as np

    rng = np.random.default_rng(seed)
    lines = [",".join(COLUMNS)]
    for number in range(clips):
        label, youtube_id, start = LABELS[number % len(LABELS)], f"synthetic{number:02d}", 10 * number
        target = folder / "train" / label
        target.mkdir(parents=True, exist_ok=True)
        write_clip(target / f"{youtube_id}_{start:06d}_{start + seconds:06d}.mp4", rng, seconds * FRAMES_A_SECOND)
        lines.append(f"{label},{youtube_id},{start},{start + seconds},train")
    (folder / TABLE).write_text("\n".join(lines) + "\n", encoding="utf-8")


def write_clip(
    path: Path, rng: np.random.Generator, frames: int, tint: tuple[int, int, int] = (127, 127, 127)
) -> np.ndarray:
    """An mp4 of H.264, or of MPEG-4 part 2 where FFmpeg was built without an H.264 encoder; its last frame, uint8.

    tint: the colour to which the picture is shifted; grey leaves it as it is.
    """
    import av
    import numpy as np

    h264 = "libx264" in av.codecs_available
    shift = np.array(tint, np.int16) - 127
    wide = np.clip(picture(rng, WIDTH + 2 * frames, HEIGHT, noise=4) + shift, 0, 255).astype(np.uint8)
    with av.open(str(path), "w") as container:
        stream = container.add_stream(
            "libx264" if h264 else "mpeg4", rate=FRAMES_A_SECOND, options={"preset": "ultrafast"} if h264 else {}
        )
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        stream.thread_count = 1
        for number in range(frames):
            view = np.ascontiguousarray(wide[:, 2 * number : 2 * number + WIDTH])
            container.mux(stream.encode(av.VideoFrame.from_ndarray(view, format="rgb24")))
        container.mux(stream.encode())
    return view
