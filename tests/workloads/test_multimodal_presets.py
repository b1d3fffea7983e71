"""CLIP and detection: their published sizes, their loaders, and a step of each."""

import json
import math

import numpy as np
import pytest
import torch

import workloads
from workloads import DataError, detectors, networks
from workloads.datasets import clip_tokenizer, coco
from workloads.datasets.coco_generator import write
from workloads.networks import Network

CLIP_FLOPS = 14.78e9
"""A pair at 224 pixels and 77 tokens: open_clip, docs/model_profile.csv, ViT-B-32."""
CLIP_PARAMETERS = 151_277_313


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """A data root with a small coco/."""
    folder = tmp_path_factory.mktemp("coco-root")
    write(folder / "coco", pictures=6)
    return folder


def test_the_grid_of_the_paper_has_none_of_them():
    multimodal = workloads.presets("multimodal")
    assert not {one.workload for one in workloads.presets("full")} & {one.workload for one in multimodal}
    assert {one.kind for one in multimodal if one.workload == "clip_coco"} == {"train", "infer"}
    assert {one.kind for one in multimodal if one.workload == "retinanet_coco"} == {"train", "infer"}


def test_clip_has_its_published_size_and_flops():
    spec = workloads.preset("clip_infer_b8_l77_s224_w1.0").spec()
    assert spec.flops == pytest.approx(8 * CLIP_FLOPS, rel=0.02)
    assert spec.parameters == CLIP_PARAMETERS
    assert spec.batch_size == 8


@pytest.mark.parametrize(
    ("name", "weights"),
    [
        ("retinanet_infer_b1_s800_w1.0", "RetinaNet_ResNet50_FPN_Weights"),
        ("ssdlite_infer_b1_s320_w1.0", "SSDLite320_MobileNet_V3_Large_Weights"),
    ],
)
def test_detectors_have_their_published_flops(name, weights):
    from torchvision.models import detection

    published = getattr(detection, weights).COCO_V1.meta
    spec = workloads.preset(name).spec()
    assert spec.flops == pytest.approx(2e9 * published["_ops"], rel=0.02)
    # torchvision's own count leaves out the batch norms that its published RetinaNet has frozen.
    assert spec.parameters == pytest.approx(published["num_params"], rel=0.002)


def test_coco_layout_is_read(root):
    pictures, synthetic = coco.sample(root, 4, boxes=True)
    assert not synthetic, "it was not written by the loader"
    assert coco.sample(root, 4, boxes=True)[0] == pictures
    instances = json.loads((root / "coco/annotations/instances_train2017.json").read_text())
    names = {one["file_name"]: one for one in instances["images"]}
    for one in pictures:
        image = names[one.path.name]
        boxes = [a["bbox"] for a in instances["annotations"] if a["image_id"] == image["id"]]
        left, top, width, height = boxes[0]
        assert len(one.boxes) == len(boxes)
        assert one.boxes[0] == pytest.approx((left / 640, top / 480, (left + width) / 640, (top + height) / 480))
        assert len(one.captions) == 5


def test_crowds_boxes_without_area_and_pictures_that_are_gone_are_left_out(tmp_path):
    write(tmp_path / "coco", pictures=2)
    file = tmp_path / "coco/annotations/instances_train2017.json"
    content = json.loads(file.read_text())
    content["annotations"] = [
        {"image_id": 1, "category_id": 3, "bbox": [64, 48, 64, 48], "iscrowd": 0},
        {"image_id": 1, "category_id": 4, "bbox": [0, 0, 10, 10], "iscrowd": 1},
        {"image_id": 1, "category_id": 5, "bbox": [0, 0, 0, 10]},
    ]
    file.write_text(json.dumps(content))
    (tmp_path / "coco/train2017/000000000002.jpg").unlink()
    (picture,) = coco.pictures_of(tmp_path / "coco")
    assert picture.classes == (3,)
    assert picture.boxes[0] == pytest.approx((0.1, 0.1, 0.2, 0.2))


@pytest.mark.parametrize(
    ("broken", "named"),
    [
        ("{", "cannot be read"),
        ('{"images": []}', "no annotations"),
        ('{"images": [], "annotations": [{"image_id": 1, "bbox": [1, 2]}]}', r"annotation image_id.*bbox"),
        ('{"images": [{"id": 1}], "annotations": []}', "width and height"),
    ],
)
def test_broken_annotations_are_named(tmp_path, broken, named):
    write(tmp_path / "coco", pictures=1)
    (tmp_path / "coco/annotations/instances_train2017.json").write_text(broken)
    with pytest.raises(DataError, match=rf"instances_train2017\.json.*{named}"):
        coco.pictures_of(tmp_path / "coco")


def test_a_folder_without_pictures_says_what_is_expected(tmp_path):
    (tmp_path / "coco").mkdir()
    with pytest.raises(DataError, match=r"train2017/\*\.jpg"):
        coco.sample(tmp_path, 1)


def test_the_end_of_a_text_is_its_highest_id_and_the_padding(root):
    tokens = clip_tokenizer.tokenise(["A red cat", "a blue dog and a green car"], coco.vocabulary(root), 12)
    ids, mask = tokens["input_ids"], tokens["attention_mask"]
    end = ids.max()
    assert (ids[:, 0] == end - 1).all()
    assert ids[0].argmax() == mask[0].sum() - 1
    assert (ids[0][mask[0] == 0] == end).all()
    assert end < clip_tokenizer.VOCABULARY
    assert (root / "coco-bpe.json").exists()


def test_clips_own_tokenizer_is_taken_where_it_is_there(tmp_path):
    words = {"c": 0, "a": 1, "t</w>": 2, "ca": 3, "cat</w>": 4, clip_tokenizer.START: 5, clip_tokenizer.END: 6}
    (tmp_path / "vocab.json").write_text(json.dumps(words))
    (tmp_path / "merges.txt").write_text("#version: 0.2\nc a\nca t</w>\n")
    tokens = clip_tokenizer.tokenise(["CAT"], clip_tokenizer.trained([], tmp_path), 5)
    assert tokens["input_ids"].tolist() == [[5, 4, 6, 6, 6]]


def test_clip_tells_its_texts_apart_and_trains(root):
    preset = workloads.preset("clip_train_b4_l16_s64_w0.25")
    batch = preset.prepare(root)
    inputs = preset.decode(batch)
    assert inputs.arguments["pixel_values"].shape == (4, 3, 64, 64)
    assert inputs.labels.tolist() == [0, 1, 2, 3]
    outcome = preset.run(batch, "cpu")
    assert outcome.value == pytest.approx(math.log(4), abs=0.2), "random weights tell four pairs no better than chance"
    model = networks.model_of(Network("clip", 0.25, 64), "cpu").eval()
    with torch.inference_mode():
        logits = model(**{name: torch.from_numpy(array) for name, array in inputs.arguments.items()}).logits_per_image
    assert len(np.unique(logits[0].numpy())) > 1


def test_boxes_are_scaled_with_their_pictures(root):
    preset = workloads.preset("ssdlite_train_b4_s320_w1.0")
    batch = preset.prepare(root)
    inputs = preset.decode(batch)
    assert inputs.arguments["images"].shape == (4, 3, 320, 320)
    assert 0 <= inputs.arguments["images"].min() < inputs.arguments["images"].max() <= 1
    pictures, _ = coco.sample(root, 4, boxes=True)
    assert inputs.labels.tolist() == [len(one.boxes) for one in pictures]
    assert inputs.arguments["boxes"][0, 0] == pytest.approx(np.array(pictures[0].boxes[0]) * 320, rel=1e-5)


def test_a_detector_trains_and_finds(root):
    trained = workloads.preset("ssdlite_train_b4_s320_w1.0").prepare(root)
    assert workloads.preset("ssdlite_train_b4_s320_w1.0").run(trained, "cpu").value > 0
    preset = workloads.preset("ssdlite_infer_b1_s320_w1.0")
    assert 0 < preset.run(preset.prepare(root), "cpu").value < 1
    networks.model_of.cache_clear()


def test_without_a_threshold_every_box_of_a_random_retinanet_is_weighed():
    model = networks.build(Network("retinanet", 1.0, 64)).eval()
    with torch.inference_mode():
        found = detectors.scores(model, {"images": torch.rand(1, 3, 64, 64)})
    assert len(found) > 100


def test_a_size_that_a_detector_does_not_have_is_refused():
    from workloads.detection import DetectionPreset

    with pytest.raises(ValueError, match="320 pixels"):
        DetectionPreset(kind="infer", architecture="ssdlite", batch=1, size=300)


@pytest.mark.parametrize("name", ["coco_resize_b8_s224", "caption_tokenise_b64_l77", "box_parse_b64"])
def test_preprocessing_runs(name, root):
    preset = workloads.preset(name)
    batch = preset.prepare(root)
    outcome = preset.run(batch, "cpu")
    assert outcome.samples == preset.batch
    assert math.isfinite(outcome.value)
    assert preset.spec().input_bytes == pytest.approx(batch.nbytes, rel=0.5)
    if not preset.has_gpu:
        with pytest.raises(ValueError, match="valid are cpu"):
            preset.run(batch, "cuda:0")
