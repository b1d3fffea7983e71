"""The workloads of the paper, and two that are multimodal: real models at their real sizes, on real file formats.

    base             Preset, Batch, Outcome: the interface of a workload
    catalogue        all presets, and the subsets "demo", "paper", "full" and "multimodal"
    installed        presets that other packages bring by entry points, the subset "installed"
    image            ResNet-18 and MobileNetV3-Small on ImageNet-100
    text             BERT on IMDB
    video            TimeSformer on Kinetics-400
    tabular          XGBoost on Iris
    image_text       CLIP on COCO's captions
    detection        RetinaNet and SSDlite on COCO's boxes; detectors: those two networks
    preprocess       JPEG decoding, normalising, tokenising, video decoding, parsing; coco_preprocess: those of COCO
    networks         the networks, a training step, an inference; network_preset: what their presets share
    objectives       the loss and the output of each network
    steps            feeds a device step by step, from a decoded batch or a loader
    datasets         loaders of the standard layouts on disk, and generators of the same

Importing this package imports no torch.
"""

from workloads.base import Batch, DataError, Outcome, Preset
from workloads.catalogue import all_presets, preset, presets

__all__ = ["Batch", "DataError", "Outcome", "Preset", "all_presets", "preset", "presets"]
