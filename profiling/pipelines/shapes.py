"""The pipelines of the benchmark: a stage that prepares rows on CPUs, and one that a model computes on either device.

The shapes are those of Ray's multimodal inference benchmarks (image classification, document embedding, audio
transcription, video object detection, large-image embedding) and the package's own multimodal example. FLOPs and
parameters are the models' published ones; the seconds of the first stage are of one CPU core.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from placement.spec.task import TaskSpec


@dataclass(frozen=True)
class Shape:
    """A pipeline. Bytes, seconds and FLOPs are of one row; batch: rows of a batch of the model's stage.

    prepare_s: of the first stage, on one CPU.  growth: factor of the model's work in the second half of the rows.
    """

    name: str
    read_bytes: int
    prepared_bytes: int
    result_bytes: int
    prepare_s: float
    flops: float
    parameters: int
    batch: int
    growth: float = 1.0

    def spec(self, rows: int, scale: float = 1.0) -> TaskSpec:
        """The spec of a batch of the model's stage. scale: of the work of each row."""
        return TaskSpec(
            flops=self.flops * rows * scale, input_bytes=float(self.prepared_bytes * rows) * scale, batch_size=rows,
            parameters=self.parameters, framework="torch", kind="infer",
        )  # fmt: skip

    def growing(self) -> Shape:
        """The shape whose images are twice as wide and high from the middle on."""
        return replace(self, growth=4.0)


SHAPES: dict[str, Shape] = {
    shape.name: shape
    for shape in (
        Shape("image_classification", 110_000, 150_528, 8, 0.008, 3.64e9, 11_700_000, 32),  # ResNet-18, 224 x 224
        Shape("document_embedding", 4_000, 2_048, 1_536, 0.005, 5.4e9, 22_700_000, 64),  # MiniLM-L6, 256 tokens
        Shape("audio_transcription", 480_000, 960_000, 512, 0.15, 2.9e10, 8_200_000, 8),  # Whisper tiny's encoder, 30 s
        Shape("video_detection", 60_000, 1_228_800, 256, 0.012, 6.5e9, 2_600_000, 16),  # YOLO11n, 640 x 640
        Shape("large_image_embedding", 2_000_000, 150_528, 3_072, 0.2, 3.5e10, 86_600_000, 16),  # ViT-B/16
        Shape("multimodal", 200_000, 160_000, 4_096, 0.025, 1.47e10, 151_000_000, 16),  # CLIP ViT-B/32
    )
}
