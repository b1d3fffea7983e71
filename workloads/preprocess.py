"""Preprocessing tasks, each a task of its own: placement applies to them too.

    jpeg_resize    JPEG files -> uint8 images              CPU (libjpeg) and GPU (nvJPEG)
    normalise      uint8 frames -> FP32, channels first    CPU and GPU
    tokenise       reviews -> token ids                    CPU only
    video_decode   mp4 -> uint8 frames                     CPU only (PyAV)
    parse_table    CSV text -> numbers                     CPU only

What has no GPU implementation has `has_gpu=False`; its spec is one operation of kind "pipeline", the bytes it writes,
and its FLOPs are unknown: there is nothing to choose. The other two have FLOPs by the formulas in their docstrings.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from placement.spec.task import Operation, TaskSpec
from workloads import image, text, video
from workloads.base import Batch, Outcome, Preset, pipeline_operation, require
from workloads.datasets import imagenet, imdb, kinetics
from workloads.steps import TransferClock, on_device

if TYPE_CHECKING:
    import torch

DECODE_FLOPS = 19
"""FLOPs of a decoded pixel: for each of its 1.5 samples (4:2:0) 8.5 of the inverse DCT (Arai, Agui, Nakajima 1988: 5
multiplications and 29 additions for 8 samples, by rows and by columns) and 1 of dequantisation; 5 for its colours."""
DECODE_BYTES = 12
"""Bytes of a decoded pixel: 1.5 coefficients of 2 bytes and 1.5 samples of 1 byte written and read, 3 bytes of RGB."""
TAP_FLOPS = 2
"""A multiply-add for each source sample under the filter."""


@dataclass(frozen=True, kw_only=True)
class PreprocessPreset(Preset):
    """batch: files, or rows of a table."""

    family = "image"
    framework = "torchvision"
    kind: Literal["preprocess"] = "preprocess"
    batch: int

    @property
    def name(self) -> str:
        """<task>_b<batch>_<sizes>."""
        return f"{self.workload}_b{self.batch}{super().name}"


@dataclass(frozen=True, kw_only=True)
class JpegResize(PreprocessPreset):
    """JPEG files decoded and scaled to size x size.

    pixels, file_bytes: width and height, and the bytes, of an average file.

    FLOPs: DECODE_FLOPS for each pixel of an average file, and for the antialiased bilinear filter in two passes, each
    output sample a multiply-add for each of the 2 * scale source samples below it.
    """

    dataset = "imagenet100"
    workload = "jpeg_resize"
    sizes = "_s{preset.size}"
    pixels: ClassVar[tuple[int, int]] = (imagenet.WIDTH, imagenet.HEIGHT)
    file_bytes: ClassVar[int] = imagenet.FILE_BYTES
    size: int

    def prepare(self, data_root: str | Path) -> Batch:
        """JPEG files."""
        return image.pictures(data_root, self.batch)

    def run(self, batch: Batch, device: str, steps: int = 1) -> Outcome:
        """Transfers are nvJPEG's own and are part of the compute time."""
        require(device, "cpu", "cuda")
        value = 0.0
        for _ in range(steps):
            value = mean_of(image.decode_resize(batch, self.size, device))
        return Outcome(value, steps * len(batch.files), 0.0 if device == "cpu" else None)

    def one_step(self) -> TaskSpec:
        """The spec, by the formulas above."""
        width, height = self.pixels
        pixels, written = self.batch * width * height, 3.0 * self.batch * self.size**2
        across = 3.0 * self.batch * self.size * height  # samples after the horizontal pass
        taps = [2 * max(1.0, side / self.size) for side in self.pixels]
        flops = DECODE_FLOPS * pixels + TAP_FLOPS * (across * taps[0] + written * taps[1])
        moved = DECODE_BYTES * pixels + 3.0 * pixels + 2 * across + written
        kernels = self.batch * 6  # Huffman, inverse DCT, colours; two passes and the stack: an estimate
        return placeable_spec(self, flops, self.file_bytes * self.batch, moved, kernels, 6.0 * pixels + written)


@dataclass(frozen=True, kw_only=True)
class Normalise(PreprocessPreset):
    """Decoded frames to FP32 of mean 0 and deviation 1, channels first.

    FLOPs: 3 for each sample (division, subtraction, division). Bytes: the copy to channels first (1 read, 1 written),
    the conversion (1 read, 4 written) and three passes in place (8 each).
    """

    family = "video"
    framework = "torch"
    dataset = "kinetics400"
    workload = "normalise"
    sizes = "_f{preset.frames}_s{preset.size}"
    frames: int
    size: int

    def prepare(self, data_root: str | Path) -> Batch:
        """Arrays: `frames`, uint8 (batch, frames, size, size, 3)."""
        batch = video.clips(data_root, self.batch)
        frames = video.frames_of(batch, self.frames, self.size)
        return Batch(batch.dataset, batch.synthetic, {"frames": frames}, names=batch.names)

    def run(self, batch: Batch, device: str, steps: int = 1) -> Outcome:
        """Value: the mean of the result."""
        require(device, "cpu", "cuda")
        clock, value = TransferClock(device), 0.0
        for _ in range(steps):
            with clock:
                pixels = on_device(batch.arrays["frames"], device)
            value = mean_of(image.normalised(video.channels_first(pixels)))
        return Outcome(value, steps * self.batch, clock.seconds())

    def one_step(self) -> TaskSpec:
        """The spec, by the formula above."""
        samples = 3.0 * self.batch * self.frames * self.size**2
        return placeable_spec(self, 3 * samples, samples, (2 + 5 + 3 * 8) * samples, 5, 5 * samples)


@dataclass(frozen=True, kw_only=True)
class Tokenise(PreprocessPreset):
    """Reviews to token ids, cut or padded to `length`."""

    family = "text"
    framework = "tokenizers"
    dataset = "aclImdb"
    has_gpu = False
    workload = "tokenise"
    sizes = "_l{preset.length}"
    length: int

    def prepare(self, data_root: str | Path) -> Batch:
        """Reviews, with the tokenizer."""
        return text.reviews(data_root, self.batch)

    def run(self, batch: Batch, device: str, steps: int = 1) -> Outcome:
        """Value: the mean id."""
        require(device, "cpu")
        for _ in range(steps):
            ids: Any = text.tokenised(batch, self.length)["input_ids"]
        return Outcome(float(ids.mean()), steps * len(ids), 0.0)

    def one_step(self) -> TaskSpec:
        """Bytes of average reviews in, ids and mask out."""
        return cpu_only_spec(self, imdb.REVIEW_BYTES * self.batch, imdb.encoded_bytes(self.batch, self.length))


@dataclass(frozen=True, kw_only=True)
class VideoDecode(PreprocessPreset):
    """Clips to sampled frames of size x size; all frames between the sampled ones are decoded too."""

    family = "video"
    framework = "av"
    dataset = "kinetics400"
    has_gpu = False
    workload = "video_decode"
    sizes = "_f{preset.frames}_s{preset.size}"
    frames: int
    size: int

    def prepare(self, data_root: str | Path) -> Batch:
        """Clips as mp4."""
        return video.clips(data_root, self.batch)

    def run(self, batch: Batch, device: str, steps: int = 1) -> Outcome:
        """Value: the mean pixel."""
        require(device, "cpu")
        for _ in range(steps):
            frames = video.frames_of(batch, self.frames, self.size)
        return Outcome(float(frames.mean()), steps * len(frames), 0.0)

    def one_step(self) -> TaskSpec:
        """Bytes of average clips in, decoded frames out."""
        return cpu_only_spec(self, kinetics.FILE_BYTES * self.batch, kinetics.decoded_bytes(self.batch, self.frames))


@dataclass(frozen=True, kw_only=True)
class ParseTable(PreprocessPreset):
    """Kinetics' CSV, its rows repeated up to `batch`, parsed and checked; the clips' seconds are summed."""

    family = "tabular"
    framework = "python"
    dataset = "kinetics400"
    has_gpu = False
    workload = "parse_table"

    def prepare(self, data_root: str | Path) -> Batch:
        """One file: the table as CSV."""
        folder = kinetics.folder_of(data_root)
        header, *rows = kinetics.table_of(folder).splitlines()
        repeated = [rows[number % len(rows)] for number in range(self.batch)] if rows else []
        table = "\n".join([header, *repeated]).encode()
        name = str(folder / kinetics.TABLE)
        return Batch(self.dataset, kinetics.is_synthetic(folder), files=(table,), names=(name,))

    def run(self, batch: Batch, device: str, steps: int = 1) -> Outcome:
        """Value: the clips' seconds together."""
        require(device, "cpu")
        for _ in range(steps):
            rows = kinetics.parse_table(batch.files[0].decode(), batch.names[0])
            seconds = sum(int(row["time_end"]) - int(row["time_start"]) for row in rows)
        return Outcome(float(seconds), steps * len(rows), 0.0)

    def one_step(self) -> TaskSpec:
        """Bytes of average rows, in and out."""
        return cpu_only_spec(self, kinetics.ROW_BYTES * self.batch, kinetics.ROW_BYTES * self.batch)


def mean_of(tensor: torch.Tensor) -> float:
    """Waits for the device; integers are summed as such."""
    return float(tensor.sum()) / tensor.numel()


def placeable_spec(
    preset: PreprocessPreset, flops: float, input_bytes: float, moved: float, kernels: int, memory_bytes: float
) -> TaskSpec:
    """The spec of a task that either device can run: work bound by memory, no parameters."""
    return TaskSpec(
        flops=float(flops),
        input_bytes=float(input_bytes),
        batch_size=preset.batch,
        parameters=0,
        memory_bytes=float(memory_bytes),
        kernels=kernels,
        framework=preset.framework,
        kind="preprocess",
        operations=(Operation("memory", float(flops), float(moved), kernels),),
    )


def cpu_only_spec(preset: PreprocessPreset, input_bytes: float, written: float) -> TaskSpec:
    """The spec of a task that only a CPU can run."""
    return TaskSpec(
        input_bytes=float(input_bytes),
        batch_size=preset.batch,
        parameters=0,
        kernels=0,
        framework=preset.framework,
        kind="preprocess",
        operations=(pipeline_operation(written),),
    )
