"""The roofline is right in order of magnitude anywhere, and what is learned corrects it near its data alone."""

import json
import math
import random
from bisect import bisect_left
from dataclasses import replace

import numpy as np
import pytest
from core_builders import limits, snapshot
from hypothesis import given, settings
from hypothesis import strategies as st

from placement.prediction.device_rates import STDS, rates_of
from placement.prediction.estimate import ROOFLINE, SELECTOR
from placement.prediction.prepared_residuals import LEAST_STD
from placement.prediction.prepared_trees import hardware
from placement.prediction.residual_trees import BOUNDED, Region, ResidualTrees, support
from placement.prediction.roofline import COPY_STD, LAUNCH_STD, SHARED_LAUNCH, parts, roofline
from placement.prediction.selector_file import parse_selector, shipped_selector
from placement.prediction.speedup_selector import SpeedupSelector
from placement.prediction.task_work import BYTES_AN_ELEMENT, UNKNOWN_FLOPS_AN_ELEMENT, work, work_of
from placement.prediction.tree_ensemble import Forest, Tree
from placement.scheduling.cost_model import SECONDS_PER_JOULE, options_of
from placement.scheduling.fastest_cpu import against_by_ratios, against_fastest_cpu, ratios_of, relative_costs
from placement.scheduling.policies.selector_policy import costs_on
from placement.spec.node import NodeSpec, paper_configs
from placement.spec.task import DEVICES, TaskSpec

NODE = replace(paper_configs()["B"], config="real", emulated=False)
NETWORK = TaskSpec(flops=1e9, input_bytes=6e5, batch_size=1, parameters=5_000_000, kernels=100, framework="torch")


def model(low, high, *, emulated=False):
    """Trees of one leaf: speed-up doubled, a spread of 0.1."""
    trees = tuple(Tree((), (value,)) for value in (math.log(2), 0.0, math.log(0.01), 0.0))
    region = Region(
        "torch", (low,) + (None,) * (len(BOUNDED) - 1), (high,) + (None,) * (len(BOUNDED) - 1), False, emulated
    )
    forest = Forest(13, trees, (1, 2, 3, 4), (0.0, 0.0, 0.0, 0.0))
    return SpeedupSelector("t", None, trees=ResidualTrees(("torch",), forest, (region,), None), share=1.0)


def prior(task, node=NODE, cpus=4.0):
    return roofline(work_of(task), rates_of(node, cpus))


@pytest.fixture(scope="module")
def shipped():
    return shipped_selector()


def test_a_mix_of_compute_and_memory_is_no_surer_than_compute_alone():
    """Where the coefficients of a device erred independently, the mix would be the surest."""
    product, both, stream = (
        TaskSpec(flops=flops, input_bytes=read, kernels=1, inputs_on_device=True)
        for flops, read in ((1e12, 1.4e9), (1e12, 4e9), (1e4, 1e10))
    )
    assert {work_of(task).kind for task in (product, both, stream)} == {"array"}
    assert prior(product).std < prior(both).std < prior(stream).std


def test_work_whose_flops_nobody_tells_is_less_sure_and_gains_less_from_a_gpu():
    size = {"input_bytes": 1e8, "kernels": 1, "inputs_on_device": True}
    untold, told = TaskSpec(**size), TaskSpec(flops=UNKNOWN_FLOPS_AN_ELEMENT * 1e8 / BYTES_AN_ELEMENT, **size)
    assert prior(untold).log_cpu == pytest.approx(prior(told).log_cpu)
    assert prior(untold).log_speedup < prior(told).log_speedup
    assert prior(untold).std > prior(told).std + 0.5


def test_a_network_of_small_layers_is_no_work_for_a_gpu():
    """A CPU runs a small operation on one thread, which costs less than a launch on a GPU."""
    small = TaskSpec(flops=1e6, input_bytes=1e3, batch_size=1, parameters=1_000)
    assert work_of(small).kind == "small_network"
    assert work_of(NETWORK).kind == "network"
    assert prior(small).log_speedup < 0 < prior(NETWORK).log_speedup


quantity = st.one_of(st.none(), st.floats(1, 1e18))
count = st.one_of(st.none(), st.integers(1, 10**12))


@settings(max_examples=60, deadline=None)
@given(
    st.floats(1e-3, 1e22), quantity, count, count, count,
    st.sampled_from([None, "torch", "xgboost", "numpy", "jax", "never heard of"]), st.booleans(),
    st.floats(0.5, 1e5), st.floats(1, 1e6),
)  # fmt: skip
def test_seconds_are_finite_and_near_the_roofline_anywhere(
    shipped, flops, input_bytes, batch, parameters, kernels, framework, on_device, cpu_gflops, gpu_gflops
):
    node = NodeSpec("n", cpus=1, gpus=1, cpu_gflops=cpu_gflops, gpu_gflops=gpu_gflops)
    task = TaskSpec(flops, input_bytes, batch, parameters, 1, None, kernels, framework, inputs_on_device=on_device)
    found, plain = shipped.estimate(task, node, 1.0), prior(task, node, 1.0)
    assert 0.0 <= found.p_gpu <= 1.0
    assert math.isfinite(found.speedup.mean)
    assert 0 < found.speedup.std < 100
    if 1e-6 < math.exp(min(plain.log_cpu, 50)) < 1e6:
        assert abs(math.log(found.cpu_seconds) - plain.log_cpu) < math.log(100)


def test_more_flops_take_longer_on_both_devices():
    times = [prior(replace(NETWORK, flops=10.0**power)) for power in range(6, 16)]
    cpu = [one.log_cpu for one in times]
    gpu = [one.log_cpu - one.log_speedup for one in times]
    assert cpu == sorted(cpu)
    assert gpu == sorted(gpu)


def test_outside_of_its_data_a_correction_fades_and_the_spread_widens():
    log = math.log(NETWORK.flops)
    found = [model(log - far - 5, log - far).estimate(NETWORK, NODE, 4.0) for far in (-1.0, 1.0, 2.0, 8.0)]
    plain = prior(NETWORK)
    shifts = [one.speedup.mean - plain.log_speedup for one in found]
    assert shifts[0] == pytest.approx(math.log(2))
    assert shifts == sorted(shifts, reverse=True)
    assert shifts[-1] == pytest.approx(0.0, abs=1e-9)
    stds = [one.speedup.std for one in found]
    assert stds[0] == pytest.approx(0.1)
    assert stds == sorted(stds)
    assert stds[-1] == pytest.approx(plain.std, rel=0.1)
    assert (found[0].source, found[-1].source) == (SELECTOR, ROOFLINE)


def test_emulated_data_correct_no_answer_about_real_hardware():
    log = math.log(NETWORK.flops)
    learned = model(log - 1, log + 1, emulated=True)
    on_real, on_emulated = (learned.estimate(NETWORK, node, 4.0) for node in (NODE, paper_configs()["B"]))
    assert on_emulated.speedup.mean - on_real.speedup.mean == pytest.approx(math.log(2))


def test_an_unknown_part_widens_the_spread_and_does_not_change_the_order_of_magnitude():
    known, unknown = prior(NETWORK), prior(replace(NETWORK, kernels=None))
    assert unknown.std > known.std
    assert abs(unknown.log_speedup - known.log_speedup) < math.log(2)
    flops_and_bytes = prior(TaskSpec(flops=1e9, input_bytes=6e5 / 5))
    assert abs(flops_and_bytes.log_speedup - known.log_speedup) < math.log(3)


def bytes_moved(task):
    return work_of(task).cases[0].moved


def test_wide_layers_pass_on_fewer_bytes_for_their_flops():
    narrow = TaskSpec(flops=1e11, input_bytes=1e5, batch_size=8, parameters=1_000_000, kernels=150, framework="torch")
    wide = replace(narrow, flops=1e13, parameters=100_000_000)
    passed_on = [(bytes_moved(task) - 4.0 * task.parameters) / task.flops for task in (narrow, wide)]
    assert passed_on[0] == pytest.approx(10 * passed_on[1], rel=0.1)
    # BERT-base on 64 x 128 words passes on 1.3e10 bytes (profiling/data/presets.json).
    bert = TaskSpec(1.43e12, 65_536.0, 64, 109_483_778, kernels=154, framework="torch")
    assert 0.5 < bytes_moved(bert) / 1.3e10 < 2.0


def test_an_operation_with_launches_for_each_item_goes_through_its_item_alone():
    files = TaskSpec(flops=4e8, input_bytes=7e6, batch_size=64, parameters=0, kernels=384, framework="torchvision")
    assert bytes_moved(files) == pytest.approx(2 * 7e6 * 384 / 64)
    assert bytes_moved(replace(files, kernels=6)) == pytest.approx(2 * 7e6 * 6)


def test_what_lies_on_the_device_is_not_charged_for_transfer():
    task = TaskSpec(flops=1e8, input_bytes=4e8, batch_size=1, kernels=1, framework="torch")
    moved, there = prior(task), prior(replace(task, inputs_on_device=True))
    assert there.log_cpu == moved.log_cpu
    assert there.log_speedup > moved.log_speedup + 1


def test_a_task_of_many_steps_copies_its_parameters_once(shipped):
    node = replace(paper_configs()["B"], emulated=True)
    large = TaskSpec(1.1e10, 512.0, 1, 109_000_000, 1, None, 154, "torch")
    one, many = (shipped.estimate(replace(large, steps=steps), node, 1.0) for steps in (1, 100))
    assert many.cpu_seconds == pytest.approx(100 * one.cpu_seconds)
    assert many.gpu_seconds < 50 * one.gpu_seconds
    assert many.speedup.mean > one.speedup.mean
    at_least = prior(large, node, 1.0)
    assert many.gpu_seconds > 99 * math.exp(at_least.log_cpu - at_least.log_speedup)
    kept = [shipped.estimate(replace(large, steps=n, inputs_on_device=True), node, 1.0) for n in (1, 100)]
    assert kept[1].gpu_seconds == pytest.approx(100 * kept[0].gpu_seconds)


def test_a_framework_of_the_cpu_alone_gains_nothing(shipped):
    task = TaskSpec(flops=1e10, input_bytes=1e8, framework="numpy")
    assert shipped.estimate(task, NODE, 4.0).speedup.mean == pytest.approx(0.0)


def test_the_file_gives_the_same_answers(shipped):
    again = parse_selector(json.dumps(shipped.to_dict()))
    assert again.estimate(NETWORK, NODE, 4.0) == shipped.estimate(NETWORK, NODE, 4.0)
    assert again.version == shipped.version


def test_many_nodes_are_answered_as_each_alone(shipped):
    nodes = (*paper_configs().values(), NODE)
    together, alone = shipped.prepare(nodes, 4.0)(NETWORK), [shipped.estimate(NETWORK, node, 4.0) for node in nodes]
    assert together.p_gpu == pytest.approx([one.p_gpu for one in alone])
    assert [together[i].gpu_seconds for i in range(len(nodes))] == pytest.approx([one.gpu_seconds for one in alone])


QUANTITIES = ("flops", "batch_size", "parameters", "input_bytes")


def any_task(draw):
    """A task of which any quantity but the FLOPs may be unknown."""
    values = [
        10 ** draw.uniform(0, 16),
        2 ** draw.randint(0, 12),
        int(10 ** draw.uniform(0, 10)),
        10 ** draw.uniform(0, 10),
    ]
    known = [value if i == 0 or draw.random() < 0.8 else None for i, value in enumerate(values)]
    framework = draw.choice([None, "torch", "xgboost", "numpy", "jax", "never heard of"])
    return TaskSpec(
        **dict(zip(QUANTITIES, known, strict=True)), framework=framework, inputs_on_device=draw.random() < 0.5
    )


@pytest.mark.parametrize("real", [(), "ABCD", "B"])
def test_answers_are_those_of_the_plain_formulas(shipped, real):
    draw, configs = random.Random(0), paper_configs()
    nodes = [*configs.values()] * (real != "ABCD")
    nodes += [replace(configs[name], config=f"real {name}", emulated=False) for name in real]
    prepared, trees = shipped.prepare(tuple(nodes), 4.0), shipped.trees
    for task in [any_task(draw) for _ in range(40)]:
        axes = zip(QUANTITIES, prepared.axes, strict=False)
        of_cell = [axis.middle[bisect_left(axis.edges, getattr(task, name) or 0)] for name, axis in axes]
        flops, batch, parameters, read = of_cell
        step = work(flops, read, parameters, batch, None, task.framework, task.inputs_on_device)
        for at, node in enumerate(nodes):
            values = (*hardware(node, 4.0), *of_cell, None, None, None)
            logs = [math.log(value) if value else None for value in values]
            shift, cpu_shift, log_variance, _ = trees.sums(np.array([logs], dtype=float), [task.framework])[0]
            known = support(min(
                one.scale * (one.strangeness(task.framework) + one.distance((*logs[5:9], *logs[:2]), 0))
                for one in trees.regions if node.emulated or not one.emulated
            ))  # fmt: skip
            plain, found = roofline(step, rates_of(node, 4.0)), prepared(task).belief(at)
            learned = 0.0 if task.framework == "numpy" else known
            variance = (1 - learned) * plain.std**2 + learned * math.exp(log_variance)
            assert found.log_cpu == pytest.approx(plain.log_cpu + known * cpu_shift, abs=1e-9)
            assert found.speedup == pytest.approx(plain.log_speedup + learned * shift, abs=1e-9)
            assert found.std == pytest.approx(max(LEAST_STD, math.sqrt(variance)), rel=1e-9)
            assert found.log_gpu == pytest.approx(found.log_cpu - found.speedup, abs=1e-9)


def test_the_spread_of_a_step_is_that_of_its_coefficients_by_their_shares_of_the_time():
    cpu, gpu = rates_of(NODE, 4.0).network
    step = work_of(NETWORK)
    (_, launches, moved), copying = step.cases[0], step.copied * gpu.copy_byte_s + gpu.copy_s
    of = parts(step.flops, moved, launches, cpu.flop_s, cpu.byte_s, cpu.launch_s, cpu.call_s)
    on = parts(step.flops, moved, launches, gpu.flop_s, gpu.byte_s, gpu.launch_s, gpu.call_s)
    found = roofline(step, rates_of(NODE, 4.0))
    assert found.log_cpu == pytest.approx(math.log(sum(of)))
    assert found.log_speedup == pytest.approx(math.log(sum(of) / (sum(on) + copying)))
    of, on = [part / sum(of) for part in of], [part / (sum(on) + copying) for part in on]
    compute, memory, level = STDS["network"]
    variance = sum((compute * side[0] + memory * side[1]) ** 2 for side in (of, on)) + level**2
    variance += LAUNCH_STD**2 * (of[2] ** 2 + on[2] ** 2 - SHARED_LAUNCH * of[2] * on[2])
    variance += (COPY_STD * (1 - sum(on))) ** 2
    assert found.std == pytest.approx(math.sqrt(variance))


def test_the_rule_for_a_cluster_finds_the_same_by_ratios_as_by_whole_estimates(shipped):
    table, draw = snapshot(shipped).candidate_table(limits()), random.Random(0)
    for _ in range(60):
        task = TaskSpec(10 ** draw.uniform(8, 12), 10 ** draw.uniform(6, 8), 8, int(10 ** draw.uniform(6, 8)), 3)
        found = table.candidates(task, None)
        options, ratios = [option.priced(SECONDS_PER_JOULE) for option in options_of(found)], ratios_of(found)
        # The ratios are those of the task's cell, whose sizes are some 13 % apart.
        told, by_ratios = against_fastest_cpu(found, options), against_by_ratios(found, ratios)
        assert [group for _, group in told] == [group for _, group in by_ratios]
        assert [p for p, _ in by_ratios] == pytest.approx([p for p, _ in told], abs=0.1)
        for device in DEVICES:
            costs, relative = costs_on(device, options), relative_costs(found, ratios, device)
            assert [group for _, group in costs] == [group for _, group in relative]
            both = zip(costs, relative, strict=True)
            shares = [math.log(one / costs[0][0] / two * relative[0][0]) for (one, _), (two, _) in both]
            assert max(map(abs, shares)) < 0.15
