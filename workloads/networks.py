"""The networks at their real sizes, kept per process, and the two things done with them: a step, an inference.

Weights are random: time does not depend on them. The networks are FP32. `width` scales every layer's channels, heads
included; 1.0 is the published network, narrower ones are for sizes at which a CPU can win.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import TYPE_CHECKING, Any, Literal

from workloads import detectors
from workloads.base import Outcome
from workloads.datasets.clip_tokenizer import VOCABULARY as CLIP_VOCABULARY
from workloads.objectives import CLASSIFICATION, OBJECTIVES
from workloads.steps import Feed, repeated

if TYPE_CHECKING:
    import torch
    from torch import nn

Architecture = Literal["resnet18", "mobilenetv3", "bert", "timesformer", "clip", "retinanet", "ssdlite"]
KEPT_MODELS = 3
"""Per process. BERT-base and TimeSformer take 0.45 and 0.49 GB each; a training step four times that while it runs."""
LEARNING_RATE = 1e-5
IMAGE_CLASSES, VIDEO_CLASSES, SENTIMENTS = 100, 400, 2
PATCH, CLIP_PATCH = 16, 32
"""The patches of TimeSformer and of CLIP, pixels: an image's side is a multiple of it."""
HIGHEST_ID = 2
"""transformers' CLIP reads a text at its highest id, as the published model does, where this is its end of a text."""


@dataclass(frozen=True)
class Network:
    """One network. image_size in pixels; frames of TimeSformer; both are 0 where it does not depend on them."""

    architecture: Architecture
    width: float = 1.0
    image_size: int = 0
    frames: int = 0


def build(network: Network) -> nn.Module:
    """The module, on torch's default device: under `torch.device("meta")` nothing is allocated."""
    return BUILDERS[network.architecture](network)


def build_resnet18(network: Network) -> nn.Module:
    """torchvision's ResNet-18. A narrow one scales the stem and all four stages (torchvision scales none)."""
    from torch import nn
    from torchvision.models.resnet import BasicBlock, ResNet

    stem = scaled(64, network.width)

    class Narrow(ResNet):
        def _make_layer(self, block: Any, planes: int, *args: Any, **kwargs: Any) -> Any:
            if planes == 64:
                self.inplanes = stem
            return super()._make_layer(block, scaled(planes, network.width), *args, **kwargs)

    module = Narrow(BasicBlock, [2, 2, 2, 2], num_classes=IMAGE_CLASSES)
    if stem != 64:
        module.conv1 = nn.Conv2d(3, stem, kernel_size=7, stride=2, padding=3, bias=False)
        module.bn1 = nn.BatchNorm2d(stem)
        module.fc = nn.Linear(scaled(512, network.width), IMAGE_CLASSES)
    return module


def build_mobilenetv3(network: Network) -> nn.Module:
    """torchvision's MobileNetV3-Small with its own width multiplier."""
    from torchvision.models import mobilenet_v3_small

    return mobilenet_v3_small(num_classes=IMAGE_CLASSES, width_mult=network.width)


def build_bert(network: Network) -> nn.Module:
    """transformers' BERT for sequence classification; width 1.0 is BERT-base (12 layers, 768 wide, 12 heads)."""
    from transformers import BertConfig, BertForSequenceClassification

    return BertForSequenceClassification(BertConfig(num_labels=SENTIMENTS, **transformer_sizes(network.width)))


def build_timesformer(network: Network) -> nn.Module:
    """transformers' TimeSformer with divided space-time attention; width 1.0 is the base size (12 layers, 768 wide)."""
    from transformers import TimesformerConfig, TimesformerForVideoClassification

    return TimesformerForVideoClassification(
        TimesformerConfig(
            num_labels=VIDEO_CLASSES,
            num_frames=network.frames,
            image_size=network.image_size,
            patch_size=PATCH,
            **transformer_sizes(network.width),
        )
    )


def build_clip(network: Network) -> nn.Module:
    """transformers' CLIP; width 1.0 is ViT-B/32 (12 layers of 768 and of 512, 512 shared)."""
    from transformers import CLIPConfig, CLIPModel

    text = {"vocab_size": CLIP_VOCABULARY, "eos_token_id": HIGHEST_ID, **transformer_sizes(network.width, 512)}
    vision = {"image_size": network.image_size, "patch_size": CLIP_PATCH, **transformer_sizes(network.width)}
    shared = scaled(512, network.width)
    return CLIPModel(CLIPConfig(text_config=text, vision_config=vision, projection_dim=shared))


def build_retinanet(network: Network) -> nn.Module:
    """torchvision's RetinaNet with ResNet-50 and a feature pyramid."""
    return detectors.retinanet(network.image_size)


def build_ssdlite(network: Network) -> nn.Module:  # noqa: ARG001
    """torchvision's SSDlite with MobileNetV3-Large, for images of 320 pixels."""
    return detectors.ssdlite()


BUILDERS: dict[Architecture, Callable[[Network], nn.Module]] = {
    "resnet18": build_resnet18,
    "mobilenetv3": build_mobilenetv3,
    "bert": build_bert,
    "timesformer": build_timesformer,
    "clip": build_clip,
    "retinanet": build_retinanet,
    "ssdlite": build_ssdlite,
}


def transformer_sizes(width: float, channels: int = 768) -> dict[str, int]:
    """12 layers at any width; heads stay 64 wide."""
    return {
        "hidden_size": scaled(channels, width),
        "num_attention_heads": scaled(channels // 64, width),
        "intermediate_size": scaled(4 * channels, width),
    }


def scaled(channels: int, width: float) -> int:
    """Number of channels, or heads, of a narrower network."""
    return max(1, round(channels * width))


def factory(network: Network) -> Callable[[], nn.Module]:
    """The factory for `describe.of_module`; factories of equal networks are equal."""
    return partial(build, network)


@lru_cache(maxsize=KEPT_MODELS)
def model_of(network: Network, device: str) -> nn.Module:
    """The network on the device, built at its first use in this process. `model_of.cache_clear()` frees them all."""
    import torch

    if network.architecture in ("bert", "timesformer", "clip"):
        # Their own initialisation takes 3 s on one core, a copy of one random block 0.3 s.
        with torch.device("meta"):
            module = build(network)
        return filled(module.to_empty(device=device))
    return build(network).to(device)


def filled(module: nn.Module) -> nn.Module:
    """A module of `to_empty` with usable values: norms at identity, all else one block of random numbers, repeated."""
    import torch

    with torch.no_grad():
        first = next(module.parameters())
        block = torch.empty(1 << 20, device=first.device).uniform_(-0.02, 0.02)
        for parameter in module.parameters():
            for piece in parameter.view(-1).split(block.numel()):
                piece.copy_(block[: piece.numel()])
        for part in module.modules():
            if isinstance(part, torch.nn.LayerNorm):
                part.reset_parameters()
        for name, buffer in module.named_buffers():
            # The only two of BERT and CLIP: position_ids count up, token_type_ids are 0.
            buffer.copy_(torch.arange(buffer.shape[-1]).expand_as(buffer) if name.endswith("position_ids") else 0)
    return module


def train_step(network: Network, feed: Feed, device: str, steps: int = 1, *, loader: bool = False) -> Outcome:
    """`steps` steps of AdamW on the batches of `feed`: forward, loss, backward, update. value: the last loss.

    feed: gives a batch of CPU arrays; where `loader`, it is called anew for each step, one step ahead in a thread.
    device: "cpu" or "cuda:N".
    """
    import torch

    model = model_of(network, device).train()
    loss_of = OBJECTIVES.get(network.architecture, CLASSIFICATION).loss
    # A task keeps no state: its optimiser's moments live as long as the call.
    optimiser = torch.optim.AdamW(model.parameters(), lr=LEARNING_RATE, fused=True)

    def step(arguments: dict[str, torch.Tensor], labels: torch.Tensor) -> torch.Tensor:
        loss = loss_of(model, arguments, labels)
        loss.backward()
        optimiser.step()
        optimiser.zero_grad(set_to_none=True)
        return loss.detach()

    try:
        return repeated(step, feed, device, steps, loader)
    finally:
        optimiser.zero_grad(set_to_none=True)


def infer(network: Network, feed: Feed, device: str, steps: int = 1, *, loader: bool = False) -> Outcome:
    """`steps` forward passes without gradients. value: the mean output of the last. Arguments of `train_step`."""
    import torch

    model = model_of(network, device).eval()
    output_of = OBJECTIVES.get(network.architecture, CLASSIFICATION).output

    def step(arguments: dict[str, torch.Tensor], labels: torch.Tensor) -> torch.Tensor:  # noqa: ARG001
        with torch.inference_mode():
            return output_of(model, arguments).mean()

    return repeated(step, feed, device, steps, loader)
