"""The stages of the pipeline: ordinary functions and classes of a batch, as Ray Data takes them, and their specs."""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import placement
from examples.multimodal.settings import Settings
from placement import TaskSpec
from workloads.base import pipeline_operation
from workloads.datasets import clip_tokenizer, clips, kinetics

if TYPE_CHECKING:
    import numpy as np

Columns = dict[str, "np.ndarray"]


def decode(batch: Columns, settings: Settings) -> Columns:
    """Paths to numbers: frames and covers decoded and resized, texts tokenised, figures as FP32. No torch is needed."""
    import numpy as np

    pairs = zip(batch["clip"], batch["cover"], strict=True)
    texts = [clips.text_of(*pair) for pair in zip(batch["caption"], batch["description"], strict=True)]
    return {
        "id": batch["id"],
        "label": batch["label"],
        "pixels": np.stack([clips.images_of(*pair, settings.frames, settings.size) for pair in pairs]),
        "figures": np.stack(list(batch["figures"])).astype(np.float32),
        **clip_tokenizer.tokenise(texts, settings.vocabulary, settings.tokens),
    }


def decode_spec(batch: Columns, settings: Settings) -> TaskSpec:
    """Work of the CPU alone: the bytes that a decoder writes."""
    rows = len(batch["id"])
    written = kinetics.decoded_bytes(rows, settings.frames)
    return TaskSpec(
        batch_size=rows, parameters=0, kernels=0, framework="av", kind="preprocess",
        operations=(pipeline_operation(written),),
    )  # fmt: skip


@dataclass(frozen=True)
class EmbedSpec:
    """The spec of a batch to embed. row: of one clip; its memory, with the weights, is an upper bound for each."""

    row: TaskSpec

    def __call__(self, batch: Columns) -> TaskSpec:
        """So many times one clip."""
        rows, one = len(batch["id"]), self.row
        return TaskSpec(
            flops=(one.flops or 0.0) * rows, input_bytes=(one.input_bytes or 0.0) * rows, batch_size=rows,
            parameters=one.parameters, memory_bytes=(one.memory_bytes or 0.0) * rows, kernels=one.kernels,
            framework="torch", kind="infer",
        )  # fmt: skip


class Embed:
    """CLIP's two towers on one device: `video`, the mean of a clip's images, and `text`, the mean of its tokens.

    The weights are random and the same in every worker: no file is needed. Put a checkpoint's in their place.
    """

    def __init__(self, settings: Settings) -> None:
        import torch

        from workloads import networks

        self.device = placement.current_device()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(settings.seed)
            self.model = networks.build(settings.encoder).to(self.device).eval()

    def __call__(self, batch: Columns) -> Columns:
        """The embeddings of a batch, beside its ids, labels and figures."""
        import torch

        with torch.inference_mode():
            embedded = {"video": self.video(batch["pixels"]), "text": self.text(batch)}
        kept = {name: batch[name] for name in ("id", "label", "figures")}
        return {**kept, **{name: tensor.cpu().numpy() for name, tensor in embedded.items()}}

    def video(self, pixels: np.ndarray) -> Any:
        """uint8 (clips, images, size, size, 3) to FP32 (clips, width)."""
        from workloads.image import normalised
        from workloads.image_text import CHANNELS
        from workloads.steps import on_device

        count, images = pixels.shape[:2]
        flat = on_device(pixels, self.device).flatten(0, 1).permute(0, 3, 1, 2).contiguous()
        found = self.model.get_image_features(pixel_values=normalised(flat, CHANNELS)).pooler_output
        return found.view(count, images, -1).mean(1)

    def text(self, batch: Columns) -> Any:
        """Token ids (clips, tokens) to FP32 (clips, width)."""
        from workloads.steps import on_device

        ids, mask = (on_device(batch[name], self.device) for name in ("input_ids", "attention_mask"))
        hidden = self.model.get_text_features(input_ids=ids, attention_mask=mask).last_hidden_state
        weights = mask.unsqueeze(-1).to(hidden.dtype)
        return (hidden * weights).sum(1) / weights.sum(1)


class Classify(Embed):
    """The whole trained model: the towers, then the head. checkpoint: of the head, as `fusion.to_bytes` makes it."""

    def __init__(self, settings: Settings, checkpoint: bytes) -> None:
        import torch

        from examples.multimodal.fusion import FusionHead

        super().__init__(settings)
        self.head = FusionHead(settings.widths, len(settings.labels))
        self.head.load_state_dict(torch.load(io.BytesIO(checkpoint), weights_only=True))
        self.head.to(self.device).eval()

    def __call__(self, batch: Columns) -> Columns:
        """`predicted` and `confidence` by all kinds of data, and `by_<kind>`, the answer of each kind alone."""
        import torch

        from examples.multimodal.fusion import tensors

        embedded = super().__call__(batch)
        with torch.inference_mode():
            parts: Mapping[str, Any] = self.head.parts(tensors(embedded, self.device))
            chances = sum(parts.values()).softmax(-1)
        best = chances.max(-1)
        answers = {"predicted": best.indices, "confidence": best.values}
        answers.update({f"by_{kind}": logits.argmax(-1) for kind, logits in parts.items()})
        return {
            "id": batch["id"],
            "label": batch["label"],
            **{name: tensor.cpu().numpy() for name, tensor in answers.items()},
        }
