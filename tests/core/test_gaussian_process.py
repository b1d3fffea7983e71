"""The ratio selector's model, on a made-up world whose times are known."""

import json
import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from placement.errors import SelectorError
from placement.prediction.gaussian_process import FASTEST, INPUTS, TrainingPoints, covariance
from placement.prediction.speedup_model_file import gaussian_process_to_dict
from placement.prediction.speedup_selector import SpeedupSelector, speedup_selector_of
from placement.spec.joint_threshold import JointThreshold
from placement.spec.node import NodeSpec
from placement.spec.task import TaskSpec
from profiling.dataset.frames import of_labelled
from profiling.learning.fit_gaussian_process import JITTER, fit_ratio

CPUS = {"slow": 5e9, "quick": 2e10, "new": 1e10}  # FLOP/s
GPUS = {"small": 4e11, "large": 1.2e12}
NOISE = 0.03


def cpu_seconds(flops, cpu):
    return 1e-4 + flops / CPUS[cpu]


def gpu_seconds(flops, gpu):
    return 2e-3 + flops / GPUS[gpu]


def world(cpus=("slow", "quick"), gpus=("small", "large"), sizes=None, energy=False):
    sizes = np.geomspace(1e6, 1e10, 40) if sizes is None else sizes
    chance = np.random.default_rng(0)
    timed = {(d, f): of(f, d) * math.exp(NOISE * chance.standard_normal())
             for devices, of in ((cpus, cpu_seconds), (gpus, gpu_seconds)) for d in devices for f in sizes}  # fmt: skip
    rows = [
        {"workload": f"w{f}", "family": "made", "source_name": "made", "framework": "torch", "config": f"{c}+{g}",
         "cpu_name": c, "gpu_name": g, "cpus": np.nan, "steps": 1, "flops": f, "batch_size": 1, "parameters": f / 100,
         "input_bytes": f**0.5, "kernels": np.nan, "cpu_gflops": CPUS[c] / 1e9, "gpu_gflops": GPUS[g] / 1e9,
         "gpu_memory_gb": 8.0, "cpu_tdp_w": 65.0, "gpu_tdp_w": 200.0,
         "cpu_seconds": timed[c, f], "gpu_seconds": timed[g, f], "cpu_censored": False, "gpu_censored": False,
         "cpu_joules": np.nan, "gpu_joules": np.nan,
         "energy_ratio": 3.0 * timed[g, f] / timed[c, f] if energy else np.nan,
         "label": "gpu" if timed[c, f] >= 2 * timed[g, f] else "cpu"}
        for c in cpus for g in gpus for f in sizes
    ]  # fmt: skip
    return of_labelled(pd.DataFrame(rows))


def ask(model, flops, cpu="slow", gpu="small", framework="torch"):
    work = (flops, None, flops / 100, flops**0.5, 1)
    return model.predict(work, framework, cpu, gpu, CPUS.get(cpu, 1e10) / 1e9, GPUS.get(gpu, 1e12) / 1e9)


@pytest.fixture(scope="module")
def model():
    return fit_ratio(world())


def test_it_recovers_the_times_and_their_ratio(model):
    for flops in np.geomspace(2e6, 5e9, 9):
        for cpu, gpu in (("slow", "small"), ("quick", "large")):
            found = ask(model, flops, cpu, gpu)
            assert found.log_cpu_seconds == pytest.approx(math.log(cpu_seconds(flops, cpu)), abs=0.06)
            assert found.log_gpu_seconds == pytest.approx(math.log(gpu_seconds(flops, gpu)), abs=0.06)
            assert not found.extrapolating
            assert 0.03 < found.log_speedup_std < 0.12, "the noise of both times is 0.042 together"


def test_eight_timings_place_a_new_device():
    probes = world(cpus=("new",), sizes=np.geomspace(1e6, 1e10, 40)[2::5])
    model = fit_ratio(pd.concat([world(), probes], ignore_index=True))
    errors = [
        ask(model, f, "new").log_speedup - math.log(cpu_seconds(f, "new") / gpu_seconds(f, "small"))
        for f in np.geomspace(2e6, 5e9, 20)
    ]
    assert np.sqrt(np.mean(np.square(errors))) < 0.06


def test_outside_what_it_saw_it_says_so_and_is_less_sure(model):
    inside = ask(model, 1e8)
    for strange in (ask(model, 1e13), ask(model, 1e8, cpu="unheard of"), ask(model, 1e8, framework="jax")):
        assert strange.extrapolating
        assert strange.log_speedup_std > 1.5 * inside.log_speedup_std


def test_an_unknown_input_is_answered_as_average(model):
    found = model.predict((1e8, None, None, None, None), None, "slow", "small")
    assert math.isfinite(found.log_speedup)


def test_a_prediction_is_the_posterior_of_its_prior(model):
    """The fast path against the textbook's formulas (Rasmussen and Williams 2006, eq. 2.25 and 2.26)."""
    points, work = model.points, np.log([3e8, 3e6, 3e8**0.5])
    x = np.zeros((2, len(INPUTS)))
    x[:, [0, 2, 3]] = work - model.centre[[0, 2, 3]]
    gflops = [math.log(value) - centre for value, centre in zip((5.0, 400.0), model.gflops_centre, strict=True)]
    asked = TrainingPoints(x, np.zeros(2, int), np.array([model.cpus.index("slow"), model.gpus.index("small")]),
                   np.array([False, True]), np.array(gflops))  # fmt: skip
    known = covariance(asked, points, model.amplitudes, model.scales)
    mean = known @ model.weights + model.level
    gap = np.array([1.0, -1.0])
    variance = (
        gap @ covariance(asked, asked, model.amplitudes, model.scales) @ gap
        - ((model.factor @ (gap @ known)) ** 2).sum()
    )
    found = ask(model, 3e8)
    assert found.log_speedup == pytest.approx(mean[0] - mean[1], abs=1e-9)
    assert found.log_cpu_seconds == pytest.approx(mean[0], abs=1e-9)
    assert found.log_speedup_std == pytest.approx(math.sqrt(variance + np.square(model.noise).sum()), abs=1e-6)


def test_exactly_the_textbook_where_every_cell_is_a_point(model):
    """weights and factor are those of the full covariance: K^-1 y and its inverse Cholesky."""
    kept = covariance(model.points, model.points, model.amplitudes, model.scales)
    noise = np.square(model.noise)[model.points.gpu.astype(int)]
    level_free = (kept + np.diag(noise)) @ model.weights
    predicted = kept @ model.weights
    assert np.std(level_free - predicted) < 3 * max(model.noise), "residuals are of the size of the noise"
    inverse = np.linalg.inv(kept + np.diag(noise + JITTER))
    found = model.factor.T @ model.factor
    shown = kept @ found @ kept - kept @ inverse @ kept
    assert np.abs(shown).max() < 1e-2


def test_no_device_beats_its_arithmetic(model):
    flops = 1e25
    found = ask(model, flops)
    assert found.log_cpu_seconds >= math.log(flops / (CPUS["slow"] * FASTEST)) - 1e-9
    assert found.log_gpu_seconds >= math.log(flops / (GPUS["small"] * FASTEST)) - 1e-9
    assert model.bounds[0] <= found.log_speedup <= model.bounds[1]


@settings(max_examples=60)
@given(st.floats(1, 30), st.floats(-5, 30), st.floats(1.0, 8.0))
def test_any_task_gets_a_finite_answer_and_a_harder_threshold_a_smaller_one(model, log_flops, log_other, threshold):
    other = math.exp(log_other)
    found = model.predict((math.exp(log_flops), other, other, other, other), "torch", "slow", "large", 5.0, 1200.0)
    assert all(math.isfinite(value) for value in found)
    easy, hard = (model.p_gpu(found, JointThreshold(t))[0] for t in (threshold, threshold + 1))
    assert 0 <= hard <= easy <= 1


def test_energy_follows_from_the_speedup_and_decides_only_when_sure():
    model = fit_ratio(world(energy=True))
    fast, slow = ask(model, 9e9), ask(model, 1e6)
    assert model.energy_ratio(fast).mean == pytest.approx(math.log(3) - fast.log_speedup, abs=0.05)
    assert model.p_gpu(fast, JointThreshold()) == (pytest.approx(1.0, abs=0.01), True)
    assert model.p_gpu(slow, JointThreshold(speedup=0.001)) == (pytest.approx(0.0), True), (
        "fast enough, but too much energy"
    )


NODE = NodeSpec("made", cpus=4, gpus=1, cpu_name="slow", gpu_name="small", cpu_gflops=5.0, gpu_gflops=400.0)


def test_a_selector_file_brings_back_the_same_answers(model):
    selector = SpeedupSelector("ratio-1", model)
    read = speedup_selector_of(json.loads(json.dumps(selector.to_dict())))
    for flops in (1e6, 1e8, 3e9):
        before, after = ask(selector.model, flops), ask(read.model, flops)
        assert tuple(after) == pytest.approx(tuple(before), abs=1e-4)
    task = TaskSpec(flops=1e9, parameters=10_000_000, input_bytes=3e4, batch_size=1, framework="torch", steps=3)
    estimate = read.estimate(task, NODE, 4)
    assert estimate.extrapolating, "it has seen the CPU's name, but not with 4 CPUs granted"
    assert estimate.cpu_seconds / estimate.gpu_seconds == pytest.approx(math.exp(estimate.speedup.mean))
    assert read.estimate(TaskSpec(input_bytes=1), NODE, 4) is None


@pytest.mark.parametrize(
    ("path", "value", "told"),
    [
        (("inputs",), ["flops"], "inputs"),
        (("model", "cpus"), [1], "cpus must be a list of names"),
        (("model", "points", "gpu"), [True], "points.gpu"),
        (("model", "points", "gflops"), [], "0 points"),
        (("model", "weights"), ["x"], "weights"),
        (("model", "factor"), None, "factor"),
        (("model", "noise"), [0, 1], "noise must be positive"),
        (("model", "amplitudes"), {}, "amplitudes"),
        (("model", "centre"), 3, "centre"),
        (("model", "frameworks"), [], "not listed"),
        (("thresholds",), {"speedup": -1, "energy_ratio": 1}, "thresholds"),
    ],
)
def test_a_broken_file_is_refused_by_name(model, path, value, told):
    data = SpeedupSelector("ratio-1", model).to_dict()
    data["model"] = gaussian_process_to_dict(model)
    place = data
    for name in path[:-1]:
        place = place[name]
    place[path[-1]] = value
    with pytest.raises(SelectorError, match=told):
        speedup_selector_of(data)
