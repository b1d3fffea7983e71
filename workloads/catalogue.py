"""All presets, four named subsets of them, and what other packages bring.

The grid spans where both answers are right: from work that a GPU's launches and copies cost more than they save (one
image of 32 pixels, 150 rows) to work that no CPU should get (BERT-base at batch 64 and 512 tokens).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import cache
from itertools import product
from typing import Literal, get_args

from workloads.base import Preset
from workloads.coco_preprocess import CaptionTokenise, CocoResize, ParseBoxes
from workloads.detection import DetectionPreset
from workloads.image import ImagePreset
from workloads.image_text import ImageTextPreset
from workloads.installed import installed_presets
from workloads.preprocess import JpegResize, Normalise, ParseTable, Tokenise, VideoDecode
from workloads.tabular import TabularPreset
from workloads.text import TextPreset
from workloads.video import VideoPreset

Subset = Literal["demo", "paper", "full", "multimodal", "installed"]
WIDTHS = (0.25, 1.0)
DETECTORS: tuple[tuple[Literal["retinanet", "ssdlite"], int], ...] = (
    ("retinanet", 128), ("retinanet", 320), ("retinanet", 800), ("ssdlite", 320),
)  # fmt: skip
"""(architecture, pixels); 800 and 320 are the published sizes."""
RUNS: tuple[tuple[Literal["train", "infer"], bool], ...] = (("train", True), ("train", False), ("infer", False))
"""(kind, loader): training with its loader, training on decoded input (`_compute`), inference on decoded input."""


def image_grid() -> Iterator[Preset]:
    """Training starts at batch 4: a batch norm cannot train on one image of 32 pixels."""
    for architecture, (kind, loader), size, width in product(
        ("resnet18", "mobilenetv3"), RUNS, (32, 64, 112, 224), WIDTHS
    ):
        for batch in (4, 8, 16, 64) if kind == "train" else (1, 8, 16, 64):
            yield ImagePreset(
                kind=kind, loader=loader, architecture=architecture, batch=batch, size=size, width=width
            )  # fmt: skip


def text_grid() -> Iterator[Preset]:
    """BERT."""
    for (kind, loader), batch, length, width in product(RUNS, (1, 4, 8, 64), (16, 32, 64, 128, 512), WIDTHS):
        yield TextPreset(kind=kind, loader=loader, batch=batch, length=length, width=width)


def video_grid() -> Iterator[Preset]:
    """TimeSformer."""
    for (kind, loader), batch, frames, size, width in product(RUNS, (1, 4, 16), (1, 4, 8), (32, 64, 112, 224), WIDTHS):
        yield VideoPreset(kind=kind, loader=loader, batch=batch, frames=frames, size=size, width=width)


def tabular_grid() -> Iterator[Preset]:
    """XGBoost."""
    for kind, rows, (trees, depth) in product(
        ("train", "infer"), (150, 1_000, 10_000, 100_000, 1_000_000), ((20, 3), (100, 6))
    ):
        yield TabularPreset(kind=kind, rows=rows, trees=trees, depth=depth)


def preprocess_grid() -> Iterator[Preset]:
    """The five preprocessing tasks."""
    for batch, size in product((1, 8, 64), (64, 224)):
        yield JpegResize(batch=batch, size=size)
    for batch, frames, size in product((1, 8), (1, 8), (64, 224)):
        yield Normalise(batch=batch, frames=frames, size=size)
        yield VideoDecode(batch=batch, frames=frames, size=size)
    for batch, length in product((1, 16, 64), (128, 512)):
        yield Tokenise(batch=batch, length=length)
    for rows in (100, 1_000, 10_000):
        yield ParseTable(batch=rows)


def image_text_grid() -> Iterator[Preset]:
    """CLIP. Training starts at a batch of 4: a pair alone has nothing to be told from."""
    for (kind, loader), length, size, width in product(RUNS, (16, 77), (64, 224), WIDTHS):
        for batch in (4, 16, 64) if kind == "train" else (1, 8, 64):
            yield ImageTextPreset(kind=kind, loader=loader, batch=batch, length=length, size=size, width=width)


def detection_grid() -> Iterator[Preset]:
    """RetinaNet and SSDlite. Training starts at a batch of 4: SSDlite's last map has one place."""
    for (kind, loader), (architecture, size) in product(RUNS, DETECTORS):
        for batch in (4, 16) if kind == "train" else (1, 4, 16):
            yield DetectionPreset(kind=kind, loader=loader, architecture=architecture, batch=batch, size=size)


def coco_preprocess_grid() -> Iterator[Preset]:
    """The preprocessing tasks of COCO."""
    for batch in (1, 8, 64):
        yield from (CocoResize(batch=batch, size=size) for size in (224, 800))
        yield from (CaptionTokenise(batch=batch, length=length) for length in (16, 77))
        yield ParseBoxes(batch=batch)


@cache
def full_grid() -> tuple[Preset, ...]:
    """Every preset of the paper's workloads and preprocessing tasks, by workload."""
    return (*text_grid(), *tabular_grid(), *image_grid(), *video_grid(), *preprocess_grid())


@cache
def multimodal_grid() -> tuple[Preset, ...]:
    """Every preset of CLIP and detection, and of their preprocessing."""
    return (*image_text_grid(), *detection_grid(), *coco_preprocess_grid())


@cache
def all_presets() -> tuple[Preset, ...]:
    """Every preset of this package, by workload. Names are unique."""
    return (*full_grid(), *multimodal_grid())


def preset(name: str) -> Preset:
    """The preset of that name, of this package or of an installed one.

    Raises ValueError with similar names where there is none.
    """
    found = by_name().get(name)
    if found is not None:
        return found
    others = {one.name: one for one in installed_presets()}
    if name in others:
        return others[name]
    from difflib import get_close_matches

    near = get_close_matches(name, [*by_name(), *others], n=3) or sorted({one.workload for one in all_presets()})
    raise ValueError(f"no preset is called {name!r}; near ones: {', '.join(near)}. workloads.all_presets() has all.")


@cache
def by_name() -> dict[str, Preset]:
    """All presets of this package by their names."""
    return {one.name: one for one in all_presets()}


def presets(subset: Subset = "full", *, workload: str | None = None) -> tuple[Preset, ...]:
    """A named subset, or only one workload of it.

    demo: cheap ones, all together 8 s on one core, with each workload at full width among them.
    paper: the presets nearest to the paper's own runs (Table 1 and 2). full: all of the paper's workloads, the grid
    that the figures and the shipped selector are made of. multimodal: CLIP and detection, which are not among them.
    installed: those of other packages (`workloads.installed`).
    """
    if subset not in get_args(Subset):
        raise ValueError(f"subset={subset!r} is unknown; valid are {', '.join(get_args(Subset))}.")
    grids = {"full": full_grid, "multimodal": multimodal_grid, "installed": installed_presets}
    names: Iterable[str] = DEMO_CPU_SECONDS if subset == "demo" else PAPER
    chosen = grids[subset]() if subset in grids else tuple(preset(name) for name in names)
    return tuple(one for one in chosen if workload in (None, one.workload))


PAPER = (
    "bert_train_b8_l128_w1.0",
    "xgboost_train_r150_t100_d6",
    "resnet18_train_b64_s224_w1.0",
    "mobilenetv3_train_b64_s224_w1.0",
    "timesformer_train_b1_f8_s224_w1.0",
)
DEMO_CPU_SECONDS = {
    "bert_infer_b1_l16_w1.0": 0.095,
    "bert_infer_b1_l64_w1.0": 0.18,
    "bert_infer_b8_l16_w1.0": 0.33,
    "bert_infer_b1_l16_w0.25": 0.014,
    "bert_infer_b8_l64_w0.25": 0.11,
    "bert_train_b1_l16_w1.0": 1.2,
    "bert_train_b4_l32_w0.25": 0.28,
    "bert_train_b8_l64_w0.25": 0.59,
    "xgboost_train_r150_t20_d3": 0.0087,
    "xgboost_train_r150_t100_d6": 0.039,
    "xgboost_train_r10000_t20_d3": 0.094,
    "xgboost_train_r100000_t20_d3": 0.63,
    "xgboost_infer_r150_t100_d6": 0.0027,
    "xgboost_infer_r100000_t20_d3": 0.072,
    "resnet18_infer_b1_s32_w1.0": 0.0097,
    "resnet18_infer_b1_s224_w1.0": 0.071,
    "resnet18_infer_b8_s112_w1.0": 0.14,
    "resnet18_infer_b8_s224_w1.0": 0.45,
    "resnet18_infer_b16_s64_w1.0": 0.094,
    "resnet18_train_b4_s32_w0.25": 0.044,
    "resnet18_train_b8_s64_w1.0": 0.29,
    "resnet18_train_b8_s64_w1.0_compute": 0.24,
    "mobilenetv3_infer_b1_s32_w1.0": 0.0091,
    "mobilenetv3_infer_b1_s224_w1.0": 0.02,
    "mobilenetv3_infer_b64_s64_w1.0": 0.051,
    "mobilenetv3_train_b4_s32_w0.25": 0.04,
    "mobilenetv3_train_b8_s64_w1.0": 0.099,
    "mobilenetv3_train_b8_s112_w1.0_compute": 0.097,
    "timesformer_infer_b1_f1_s32_w1.0": 0.13,
    "timesformer_infer_b1_f1_s112_w1.0": 0.29,
    "timesformer_infer_b1_f4_s64_w1.0": 0.34,
    "timesformer_infer_b1_f8_s64_w0.25": 0.074,
    "timesformer_infer_b1_f1_s32_w0.25": 0.019,
    "timesformer_train_b1_f1_s32_w1.0": 1.5,
    "timesformer_train_b1_f1_s64_w0.25": 0.18,
    "jpeg_resize_b1_s64": 0.0036,
    "jpeg_resize_b8_s224": 0.033,
    "normalise_b1_f8_s64": 0.00045,
    "normalise_b1_f8_s224": 0.0046,
    "normalise_b8_f8_s224": 0.059,
    "tokenise_b16_l128": 0.02,
    "tokenise_b64_l512": 0.059,
    "video_decode_b1_f1_s224": 0.0055,
    "video_decode_b1_f8_s224": 0.058,
    "parse_table_b1000": 0.0048,
    "parse_table_b10000": 0.049,
}
"""The demo's presets, and the CPU seconds of one step of each on one thread of a cloud VM of 2 cores: the least of
three, models built before. Measured once, to choose them by; another machine has others."""
