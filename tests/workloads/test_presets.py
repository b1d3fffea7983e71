"""Presets: named, described, fed and run."""

import json
import math

import numpy as np
import pytest

import workloads
from workloads import Batch, DataError, networks
from workloads.datasets import imagenet
from workloads.networks import Network
from workloads.steps import Inputs

FIVE = {"bert_imdb", "xgboost_iris", "resnet18_imagenet100", "mobilenetv3_imagenet100", "timesformer_k400"}
PREPROCESSING = {"jpeg_resize", "normalise", "tokenise", "video_decode", "parse_table"}
MULTIMODAL = {"clip_coco", "retinanet_coco", "ssdlite_coco", "coco_resize", "caption_tokenise", "box_parse"}


def test_importing_the_package_imports_no_torch_and_no_ray(loaded_by):
    assert not {"torch", "ray", "numpy"} & loaded_by("workloads:all_presets")


def test_names_are_unique_and_find_their_preset():
    everything = workloads.all_presets()
    assert len({preset.name for preset in everything}) == len(set(everything)) == len(everything)
    assert all(workloads.preset(preset.name) is preset for preset in everything)
    assert {preset.workload for preset in everything} == FIVE | PREPROCESSING | MULTIMODAL
    assert workloads.preset("resnet18_train_b8_s64_w1.0").batch == 8


def test_the_demo_has_every_workload_at_full_width_and_every_preprocessing_task():
    demo = workloads.presets("demo")
    assert {preset.workload for preset in demo} == FIVE | PREPROCESSING
    full_width = {preset.workload for preset in demo if getattr(preset, "width", None) == 1.0}
    assert full_width == FIVE - {"xgboost_iris"}
    assert {preset.workload for preset in workloads.presets("paper")} == FIVE
    assert all(preset.workload == "tokenise" for preset in workloads.presets("demo", workload="tokenise"))


def test_the_grid_spans_what_it_must():
    networks_only = [preset for preset in workloads.all_presets() if preset.workload in FIVE - {"xgboost_iris"}]
    assert {preset.batch for preset in networks_only} >= {1, 64}
    assert {preset.kind for preset in networks_only} == {"train", "infer"}
    assert {p.size for p in networks_only if p.family == "image"} >= {32, 224}
    assert {p.length for p in networks_only if p.family == "text"} >= {16, 512}
    assert {p.frames for p in networks_only if p.family == "video"} == {1, 4, 8}
    assert {p.rows for p in workloads.presets("full", workload="xgboost_iris")} >= {150, 1_000_000}


def test_unknown_names_list_valid_ones():
    with pytest.raises(ValueError, match=r"resnet18_train_b8_s64_w1\.0"):
        workloads.preset("resnet18_train_b8_s64")
    with pytest.raises(ValueError, match="demo, paper, full, multimodal"):
        workloads.presets("tiny")


@pytest.mark.parametrize("preset", workloads.presets("demo"), ids=lambda preset: preset.name)
def test_demo_presets_run_on_files_read_from_disk(preset, data_root):
    batch = preset.prepare(data_root)
    outcome = preset.run(batch, "cpu")
    assert math.isfinite(outcome.value)
    assert outcome.samples == (batch_size := getattr(preset, "batch", None) or preset.rows)
    assert outcome.transfer_s == 0.0
    assert (outcome.loader_s is not None) == getattr(preset, "loader", False)
    assert batch.synthetic is (preset.workload != "xgboost_iris" or batch_size != 150)
    assert batch.dataset == preset.dataset
    assert batch.nbytes > 0


def test_a_forest_is_fitted_without_xgboosts_metric_which_asks_for_a_gpu():
    import xgboost

    from workloads import tabular

    batch = workloads.preset("xgboost_train_r150_t100_d6").prepare("")
    table, labels = batch.arrays["table"], batch.arrays["labels"]
    data = xgboost.DMatrix(table, labels)
    booster = xgboost.train(tabular.parameters(2, "cpu"), data, num_boost_round=3)
    assert json.loads(booster.save_config())["learner"]["metrics"] == []
    with_it = tabular.parameters(2, "cpu") | {"disable_default_eval_metric": False}
    fits = xgboost.train(with_it, xgboost.QuantileDMatrix(table, labels, max_bin=tabular.BINS), num_boost_round=3)
    loss = float(fits.eval(data).rsplit(":", 1)[1])  # the value is XGBoost's own all the same
    assert np.isclose(tabular.train_step(batch, "cpu", trees=3, depth=2).value, loss, rtol=1e-4)


@pytest.mark.parametrize("preset", workloads.presets("demo"), ids=lambda preset: preset.name)
def test_demo_specs_are_plausible(preset):
    spec = preset.spec(steps=3)
    assert spec.steps == 3
    assert spec.batch_size == (getattr(preset, "batch", None) or preset.rows)
    assert spec.input_bytes > 0
    if not preset.has_gpu:
        assert spec.flops is None
        assert [operation.kind for operation in spec.operations] == ["pipeline"]
        return
    assert spec.flops > 0
    assert sum(operation.flops for operation in spec.operations) == pytest.approx(spec.flops)
    kinds = [operation.kind for operation in spec.operations]
    assert ("pipeline" in kinds) == (preset.pipeline() is not None)


def test_decoded_batches_are_as_large_as_the_spec_says(data_root):
    for name in ("resnet18_infer_b8_s112_w1.0", "timesformer_infer_b1_f4_s64_w1.0", "normalise_b1_f8_s64"):
        preset = workloads.preset(name)
        arrays = preset.prepare(data_root).arrays
        assert sum(a.nbytes for key, a in arrays.items() if key != "labels") == preset.spec().input_bytes


def test_training_without_its_loader_differs_by_the_pipeline_alone():
    loaded = workloads.preset("resnet18_train_b8_s64_w1.0")
    compute = workloads.preset("resnet18_train_b8_s64_w1.0_compute")
    assert loaded.spec().flops == compute.spec().flops
    assert loaded.spec().operations == (*compute.spec().operations, loaded.pipeline())
    assert loaded.pipeline().bytes == 8 * 3 * 500 * 375


def test_a_loader_decodes_anew_for_each_step(data_root):
    preset = workloads.preset("resnet18_train_b4_s32_w0.25")
    calls = []

    def feed():
        calls.append(1)
        return preset.decode(batch)

    batch = preset.prepare(data_root)
    outcome = networks.train_step(preset.network, feed, "cpu", 3, loader=True)
    assert len(calls) == 3
    assert outcome.samples == 12
    assert outcome.loader_s > 0


def test_a_broken_file_stops_a_run_and_is_named(data_root):
    preset = workloads.preset("resnet18_train_b4_s32_w0.25")
    good = preset.prepare(data_root)
    broken = Batch(
        good.dataset, True, {}, (good.files[0][:500], *good.files[1:]), ("x/bad.JPEG", *good.names[1:]), good.labels
    )
    with pytest.raises(DataError, match=r"x/bad\.JPEG"):
        preset.run(broken, "cpu")


def test_read_only_arrays_run(data_root):
    preset = workloads.preset("mobilenetv3_infer_b1_s32_w1.0")
    batch = preset.prepare(data_root)
    for array in batch.arrays.values():
        array.flags.writeable = False  # as Ray's object store gives them
    assert math.isfinite(preset.run(batch, "cpu").value)


@pytest.mark.parametrize("name", ["tokenise_b16_l128", "video_decode_b1_f1_s224", "parse_table_b1000"])
def test_a_task_without_a_gpu_implementation_refuses_one(name, data_root):
    preset = workloads.preset(name)
    assert not preset.has_gpu
    with pytest.raises(ValueError, match="valid are cpu"):
        preset.run(preset.prepare(data_root), "cuda:0")


def test_normalised_pixels_have_the_published_mean_and_deviation():
    import torch

    from workloads.image import MEAN, normalised

    pixels = torch.tensor(MEAN).mul(255).round().to(torch.uint8).view(3, 1, 1).expand(3, 4, 4)
    assert normalised(pixels).abs().max() < 0.01
    white = normalised(torch.full((1, 3, 1, 1), 255, dtype=torch.uint8)).flatten()
    assert white.tolist() == pytest.approx([2.2489, 2.4286, 2.6400], abs=1e-3)


def test_full_width_networks_have_their_published_sizes():
    import torch

    def parameters(network):
        with torch.device("meta"):
            return sum(parameter.numel() for parameter in networks.build(network).parameters())

    # torchvision's and BERT's own counts, less the 1000-class heads and with ours.
    assert parameters(Network("resnet18")) == 11_689_512 - 513_000 + 51_300
    assert parameters(Network("mobilenetv3")) == 2_542_856 - 1_025_000 + 102_500
    assert parameters(Network("bert")) == 109_482_240 + 2 * 769
    assert parameters(Network("timesformer", 1.0, 224, 8)) == pytest.approx(121.4e6, rel=0.005)


def test_quickly_filled_models_compute_as_they_should():
    import torch

    model = networks.model_of(Network("bert", 0.25), "cpu").eval()
    embeddings = model.bert.embeddings
    assert embeddings.position_ids[0, :3].tolist() == [0, 1, 2]
    assert not embeddings.token_type_ids.any()
    assert (embeddings.LayerNorm.weight == 1).all()
    ids = torch.tensor([[5, 6, 7, 8]])
    with torch.inference_mode():
        assert not torch.allclose(model(input_ids=ids).logits, model(input_ids=ids.flip(1)).logits)


def test_models_are_kept_per_process_and_few():
    network = Network("resnet18", 0.25)
    assert networks.model_of(network, "cpu") is networks.model_of(network, "cpu")
    assert networks.model_of.cache_info().maxsize == networks.KEPT_MODELS


def test_training_changes_weights_and_keeps_no_gradients():
    network = Network("resnet18", 0.25)
    model = networks.model_of(network, "cpu")
    before = model.fc.weight.detach().clone()
    rng = np.random.default_rng(0)
    inputs = Inputs({"x": rng.normal(size=(4, 3, 32, 32)).astype(np.float32)}, np.arange(4))
    networks.train_step(network, lambda: inputs, "cpu", 2)
    assert (model.fc.weight != before).any()
    assert all(parameter.grad is None for parameter in model.parameters())


@pytest.mark.parametrize("steps", [0, -1])
def test_steps_must_be_positive(steps, data_root):
    preset = workloads.preset("mobilenetv3_infer_b1_s32_w1.0")
    with pytest.raises(ValueError, match="at least 1"):
        preset.run(preset.prepare(data_root), "cpu", steps)


def test_the_real_file_size_is_known_to_the_formula(data_root):
    spec = workloads.preset("jpeg_resize_b8_s224").spec()
    measured = sum(map(len, imagenet.sample(data_root, 8).files))
    assert measured == pytest.approx(spec.input_bytes, rel=0.3)
