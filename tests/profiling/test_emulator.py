"""The emulator's laws: physical bounds, monotone, honest about what it does not know."""

import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from placement.describe import of_xgboost
from placement.errors import OptionError
from placement.spec.node import NodeSpec, emulated_configs, paper_configs
from placement.spec.task import Operation, TaskSpec
from profiling.emulation.emulator import emulate, emulated, peak_flops
from profiling.emulation.hardware_table import cpu_of, gpu_of, row
from profiling.emulation.step_cost import overlapped

NODES = st.sampled_from(sorted(paper_configs())).map(paper_configs().__getitem__)
DEVICES = st.sampled_from(["cpu", "gpu"])
PRECISIONS = st.sampled_from(["fp32", "amp"])
KINDS = st.sampled_from(["matmul", "conv", "grouped_conv", "memory", "tree", "pipeline"])
OPERATIONS = st.lists(
    st.builds(Operation, KINDS, st.floats(0, 1e14), st.floats(0, 1e11), st.integers(0, 2000)), min_size=1, max_size=6
).map(tuple)


def task(operations, **changed):
    sizes = {"input_bytes": 1e6, "batch_size": 8, "parameters": 10**6, "steps": 3, "framework": "torch"}
    return TaskSpec(flops=sum(o.flops for o in operations), operations=operations, **{**sizes, **changed})


B = paper_configs()["B"]
CONV = (Operation("conv", 1e11, 1e9, 100), Operation("memory", 0.0, 2e9, 200))


@given(
    operations=OPERATIONS,
    node=NODES,
    device=DEVICES,
    cpus=st.integers(1, 40),
    train=st.booleans(),
    precision=PRECISIONS,
)
def test_time_is_never_below_the_roofline(operations, node, device, cpus, train, precision):
    spec = task(operations)
    out = emulate(spec, node, device, cpus=cpus, train=train, precision=precision)
    peak = peak_flops(node, device, cpus, precision)
    on_device = sum(o.flops for o in operations if o.kind != "pipeline")
    assert out.seconds >= 0.999 * spec.steps * on_device / peak
    assert out.seconds == pytest.approx(out.transfer_s + out.compute_s)
    assert out.compute_s >= 0
    assert out.error > 0


@given(
    operations=OPERATIONS, node=NODES, device=DEVICES, train=st.booleans(), precision=PRECISIONS,
    extra=st.builds(Operation, KINDS, st.floats(0, 1e13), st.floats(0, 1e10), st.integers(0, 500)),
)  # fmt: skip
def test_more_work_never_takes_less_time(operations, node, device, train, precision, extra):
    def seconds(ops):
        return emulate(task(ops), node, device, cpus=4, train=train, precision=precision).seconds

    assert seconds((*operations, extra)) >= seconds(operations) * (1 - 1e-9)


@given(operations=OPERATIONS, node=NODES, device=DEVICES, fewer=st.integers(1, 20), more=st.integers(0, 20))
def test_more_cpus_are_never_slower(operations, node, device, fewer, more):
    slow, fast = (emulate(task(operations), node, device, cpus=cpus).seconds for cpus in (fewer, fewer + more))
    assert fast <= slow * (1 + 1e-9)


@given(operations=OPERATIONS, node=NODES, device=DEVICES, cpus=st.integers(1, 32))
def test_power_stays_within_the_tdp(operations, node, device, cpus):
    out = emulate(task(operations), node, device, cpus=cpus)
    assert 0 < out.cpu_watts <= node.cpu_tdp_w * 1.0001
    assert out.cpu_joules == pytest.approx(out.cpu_watts * out.seconds)
    if device == "gpu":
        assert 0 < out.gpu_watts <= node.gpu_tdp_w
    else:
        assert out.gpu_watts is None
        assert out.gpu_joules is None


@pytest.mark.parametrize("device", ["cpu", "gpu"])
def test_unknown_operations_widen_the_error(device):
    known = task(CONV)
    sure, unsure = emulate(known, B, device, cpus=8), emulate(replace(known, operations=None), B, device, cpus=8)
    assert unsure.error > sure.error + 0.1
    assert "operations" in unsure.unknown
    assert unsure.seconds is not None


@pytest.mark.parametrize("device", ["cpu", "gpu"])
def test_unknown_work_gives_no_number(device):
    out = emulate(TaskSpec(input_bytes=10.0), B, device, cpus=8)
    assert out.seconds is None
    assert out.cpu_joules is None
    assert out.error == math.inf
    assert "work" in out.unknown


@pytest.mark.parametrize("device", ["cpu", "gpu"])
def test_unseen_hardware_widens_the_error(device):
    stranger = replace(B, cpu_name="Elbrus-16S", gpu_name="Radeon 780M")
    known, unknown = emulate(task(CONV), B, device, cpus=8), emulate(task(CONV), stranger, device, cpus=8)
    assert unknown.error > known.error + 0.1
    assert "unknown_hardware" in unknown.unknown


def test_no_gpu_gives_no_number():
    node = replace(B, gpus=0, gpu_gflops=None)
    assert emulate(task(CONV), node, "gpu", cpus=1).seconds is None
    assert emulate(task(CONV), replace(B, cpu_gflops=None), "cpu", cpus=1).seconds is None


def test_what_does_not_fit_says_so():
    huge = task(CONV, memory_bytes=30e9)
    assert not emulate(huge, B, "gpu", cpus=8).fits  # 24 GB
    assert emulate(huge, B, "cpu", cpus=8).fits  # 32 GB
    assert emulate(task(CONV, memory_bytes=1e9), B, "gpu", cpus=8).fits


def test_a_gpu_waits_for_the_loader_and_idles():
    loaded = task((*CONV, Operation("pipeline", 0.0, 50e6, 0)))
    gpu = emulate(loaded, B, "gpu", cpus=16)
    plain = emulate(task(CONV), B, "gpu", cpus=16)
    assert gpu.bound == "pipeline"
    assert gpu.seconds > 3 * plain.seconds
    assert gpu.gpu_watts < 0.25 * plain.gpu_watts
    assert emulate(loaded, B, "gpu", cpus=16, loader_workers=4).seconds < gpu.seconds
    # On a CPU the loader takes cores from the training.
    assert emulate(loaded, B, "cpu", cpus=16).seconds == pytest.approx(
        emulate(task(CONV), B, "cpu", cpus=16).seconds + gpu.compute_s, rel=0.05
    )


def test_a_small_batch_is_bound_by_launches_and_a_large_one_by_work():
    small = emulate(task((Operation("conv", 1e8, 1e6, 100),)), B, "gpu", cpus=1)
    large = emulate(task((Operation("conv", 1e13, 1e10, 100),)), B, "gpu", cpus=1)
    assert small.bound == "launch"
    assert large.bound == "compute"


def test_amp_is_faster_on_tensor_cores():
    assert (
        emulate(task(CONV), B, "gpu", cpus=1, precision="amp").seconds < emulate(task(CONV), B, "gpu", cpus=1).seconds
    )


def test_trees_win_on_a_gpu_only_when_large():
    def speedup(rows):
        fit = of_xgboost(rows, 13, trees=100, depth=10)
        return emulate(fit, B, "cpu", cpus=16).seconds / emulate(fit, B, "gpu", cpus=16).seconds

    assert speedup(1000) < 1 < 2 < speedup(10_000_000)


def test_train_follows_the_tasks_kind():
    spec = task(CONV, kind="train")
    assert emulate(spec, B, "gpu", cpus=1) == emulate(spec, B, "gpu", cpus=1, train=True)


def test_what_an_emulated_node_is_given():
    out, full = emulated(task(CONV), B, "gpu", 1), emulate(task(CONV), B, "gpu", cpus=1)
    assert (out.transfer_s, out.compute_s, out.gpu_joules) == (full.transfer_s, full.compute_s, full.gpu_joules)
    assert emulated(TaskSpec(), B, "gpu", 1).compute_s is None


@pytest.mark.parametrize("bad", [{"device": "tpu"}, {"precision": "int8"}, {"cpus": 0}, {"loader_workers": 0}])
def test_misuse_is_refused(bad):
    arguments = {"device": "cpu", "cpus": 1, **bad}
    with pytest.raises(OptionError, match=next(iter(bad))):
        emulate(task(CONV), B, **arguments)


def test_hardware_is_known_by_the_names_that_systems_give():
    assert row("cpus", "12th Gen Intel(R) Core(TM) i5-12400")["cores"] == 6
    assert row("cpus", "AMD Ryzen 7 5800X 8-Core Processor")["cores"] == 8
    assert row("cpus", "AMD Ryzen 7 5800X3D 8-Core Processor") is None
    assert row("gpus", "NVIDIA GeForce RTX 3060")["tdp_w"] == 170
    assert row("gpus", "NVIDIA GeForce RTX 3060 Ti") is None
    assert row("gpus", "NVIDIA GeForce RTX 4070 Ti SUPER") is None
    assert not gpu_of(NodeSpec("x", 1, 1, gpu_name="H900", gpu_gflops=1e5)).known
    assert not cpu_of(NodeSpec("x", 1)).known


def test_every_paper_config_is_in_the_table():
    for node in paper_configs().values():
        assert gpu_of(node).known
        assert cpu_of(node).known


def test_nothing_is_copied_where_the_gpu_works_in_the_cpus_memory():
    laptop, server = emulated_configs()["laptop"], emulated_configs()["server-t4"]
    work = task(CONV, input_bytes=1e9, parameters=10**8)
    assert emulate(work, laptop, "gpu", cpus=8).transfer_s == 0.0
    assert emulate(work, server, "gpu", cpus=8).transfer_s > 0.05


def test_a_phone_runs_its_own_runtime():
    phone = emulated_configs()["phone"]
    work = TaskSpec(flops=2e8, kernels=200, input_bytes=12288.0, batch_size=1, framework="tflite", kind="infer")
    cpu, gpu = (emulate(work, phone, device, cpus=1) for device in ("cpu", "gpu"))
    assert 2.5 < cpu.seconds / gpu.seconds < 5  # measured: 3.66 times, nearly constant
    assert "framework" not in cpu.unknown
    assert "mobile_training" in emulate(replace(work, kind="train"), phone, "gpu", cpus=1).unknown


def test_memory_format_and_execution_are_properties_of_the_spec():
    first, last = (replace(task(CONV), memory_format=name) for name in ("channels_first", "channels_last"))
    assert emulate(first, B, "gpu", cpus=8) == emulate(task(CONV), B, "gpu", cpus=8)
    assert emulate(last, B, "gpu", cpus=8).seconds != emulate(first, B, "gpu", cpus=8).seconds
    small = task((Operation("conv", 1e6, 1e5, 300),), kind="infer")
    eager, compiled = (emulate(replace(small, execution=name), B, "cpu", cpus=8) for name in ("eager", "compiled"))
    assert eager.seconds > 2 * compiled.seconds
    assert "eager_on_cpu" in eager.unknown
    on_gpu = emulate(replace(small, execution="compiled"), B, "gpu", cpus=8)
    assert "compiled_on_gpu" in on_gpu.unknown


SECONDS = st.floats(0, 1e3, allow_subnormal=False)  # no time is so short that a half of it is 0


@given(compute=SECONDS, memory=SECONDS, overlap=st.floats(1, 6))
def test_arithmetic_and_memory_overlap_in_part(compute, memory, overlap):
    both = sum(overlapped(compute, memory, overlap))
    assert max(compute, memory) * (1 - 1e-9) <= both <= (compute + memory) * (1 + 1e-9)
    assert overlapped(compute, memory, 1.0) == (compute, memory)
