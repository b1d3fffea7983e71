"""The emulator against measurements by others, and the committed coefficients against their own calibration."""

import json

import pytest

from placement.spec.task import Operation, TaskSpec
from profiling.emulation.step_cost import KINDS, calibration
from profiling.emulation.table2_check import TOLERANCE, iris_explained, table2
from profiling.emulation.timm_traces import at_batch, data_folder, family

needs_data = pytest.mark.skipif(
    not (data_folder() / "timm_throughput.parquet").exists(),
    reason=f"measurements by others are not at {data_folder()}; set PLACEMENT_DATA",
)


@pytest.fixture(scope="module")
def measured():
    from profiling.emulation.timm_traces import measured_rows

    return measured_rows()


@needs_data
def test_time_targets_on_unseen_families():
    from profiling.emulation.benchmark import splits

    rows = {row["split"].partition(",")[0]: row for row in splits(data_folder())}
    for title, target in (("RTX 3090 inference", 0.12), ("RTX 3090 training", 0.12), ("i9-10940X inference", 0.20)):
        assert rows[title]["median"] <= target, title
        assert rows[title]["rows"] > 100
        assert rows[title]["p90"] < 0.6


@needs_data
def test_targets_of_each_class_of_device(measured):
    import pandas as pd

    from profiling.emulation.benchmark import errors_of
    from profiling.emulation.device_classes import by_device_class
    from profiling.emulation.roofline_fit import SETS

    found = by_device_class(data_folder(), pd.concat([errors_of(one.name, measured) for one in SETS]))
    with_goal = [one for one in found if one.target is not None]
    assert [one.split for one in with_goal if one.missed] == []
    assert {one.split.partition(",")[0].partition(" ")[0] for one in with_goal} == {"GPU", "CPU", "Phone's"}
    assert all(one.rows >= 20 for one in with_goal)


@needs_data
def test_no_family_is_on_both_sides(measured):
    from profiling.emulation.roofline_fit import TEST_PARTS, part_of

    for name, rows in measured.groupby("family"):
        assert len({part_of(family(model)) in TEST_PARTS for model in rows.model}) == 1, name


@needs_data
def test_the_committed_coefficients_are_what_calibration_gives():
    from profiling.emulation.calibrate import calibrate

    made = json.loads(json.dumps(calibrate(data_folder())))
    for name, one in calibration()["costs"].items():
        assert made["costs"][name].get("overlap", 1.0) == pytest.approx(one.get("overlap", 1.0), rel=0.01)
        for term in ("compute", "memory"):
            assert made["costs"][name][term] == pytest.approx(one[term], rel=0.01, abs=0.002), (name, term)
        assert made["costs"][name]["launch_us"] == pytest.approx(one["launch_us"], rel=0.01)
    assert made["power"] == pytest.approx(calibration()["power"], rel=0.01)


def task_of(row):
    """The TaskSpec of one row of `measured_rows`."""
    import pandas as pd

    sizes = {name: float(values[0]) for name, values in at_batch(pd.DataFrame([row])).items()}
    operations = tuple(
        Operation(kind, sizes[f"flops_{kind}"], sizes[f"bytes_{kind}"], int(sizes[f"launches_{kind}"]))
        for kind in KINDS
    )
    return TaskSpec(
        flops=sum(operation.flops for operation in operations),
        input_bytes=12.0 * row.batch_size * row.img_size**2,
        batch_size=int(row.batch_size),
        parameters=int(row.parameters),
        framework="torch",
        kind=row["mode"],
        operations=operations,
    )


@needs_data
def test_the_public_function_gives_what_the_benchmark_tests(measured):
    from profiling.emulation.benchmark import predicted
    from profiling.emulation.emulator import emulate
    from profiling.emulation.hardware_table import cpu_node, gpu_node
    from profiling.emulation.roofline_fit import SETS

    for one in SETS:
        if one.layout == "nhwc":
            continue  # a TaskSpec says nothing of the layout: the emulator takes torch's default
        rows = one.rows(measured)[:5]
        gpu = one.hardware.startswith("RTX")
        node = gpu_node(one.hardware) if gpu else cpu_node(one.hardware)
        for seconds, (_, row) in zip(predicted(one, rows), rows.iterrows(), strict=True):
            device, precision = ("gpu", "amp") if gpu else ("cpu", "fp32")
            out = emulate(task_of(row), node, device, cpus=node.cpus, precision=precision)
            assert out.compute_s == pytest.approx(seconds, rel=1e-3)


def test_coefficients_are_physical():
    assert calibration()["costs"]
    for name, one in calibration()["costs"].items():
        assert all(value >= 1 for value in one["compute"].values()), name
        assert all(value > 0 for value in one["memory"].values()), name
        assert 0 < one["error"] < 1
        if not name.endswith("tree"):
            assert set(one["memory"]) == set(KINDS)


def test_table_2_within_a_factor():
    rows = [row for row in table2() if row.assumed]
    assert len(rows) == 3
    for row in rows:
        assert row.factor <= TOLERANCE, row
    images = [row for row in rows if "imagenet" in row.run]
    assert all(row.bound == "pipeline" for row in images)


def test_iris_is_start_up_and_not_work():
    iris = iris_explained()
    assert iris["cpu_s"] < iris["gpu_s"]
    assert iris["cpu_s"] < 0.5 * 1.470


def test_families_join_what_belongs_together():
    assert {family(name) for name in ("resnet50", "seresnext101_32x4d", "resnest14d", "ecaresnet26t")} == {"resnet"}
    assert family("tf_efficientnet_b0") == family("efficientnetv2_rw_s") == "efficientnet"
    assert family("mixer_b16_224") == "mixer"
