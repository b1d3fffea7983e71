from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from placement.errors import OptionError
from placement.spec.joint_threshold import DeviceRun, JointThreshold, Label

RULE = JointThreshold()

# Table 2 of the paper: watts and seconds of each run.
BERT = DeviceRun.of_power(2138.442, 37.763), DeviceRun.of_power(50.241, 37.138, 83.993)
MOBILENET = DeviceRun.of_power(46.396, 43.998), DeviceRun.of_power(25.986, 46.104, 19.520)
RESNET = DeviceRun.of_power(253.113, 38.718), DeviceRun.of_power(25.717, 44.897, 22.866)
XGBOOST = DeviceRun.of_power(1.470, 28.635), DeviceRun.of_power(0.042, None, None)
TIMESFORMER = (
    DeviceRun(7200.0, censored=True),
    DeviceRun.of_power(3027.442, 46.214, 200.547),
)  # N/A: over any budget we set


@pytest.mark.parametrize(
    ("pair", "device", "speedup", "energy_ratio"),
    [
        pytest.param(BERT, "gpu", 42.6, 0.075, id="bert"),
        pytest.param(RESNET, "gpu", 9.84, 0.178, id="resnet18"),
        pytest.param(MOBILENET, "cpu", 1.79, 0.836, id="mobilenet"),
        pytest.param(XGBOOST, "gpu", 35.0, None, id="xgboost"),
        pytest.param(TIMESFORMER, "gpu", math.inf, None, id="timesformer"),
    ],
)
def test_table_2_is_labelled_as_the_paper_has_it(
    pair: tuple[DeviceRun, DeviceRun], device: str, speedup: float, energy_ratio: float | None
) -> None:
    label = RULE.label(*pair)
    assert label is not None
    assert label.device == device
    assert label.speedup == pytest.approx(speedup, rel=0.005)
    assert label.energy_ratio == (None if energy_ratio is None else pytest.approx(energy_ratio, abs=0.001))


def test_defaults_are_the_papers_body_not_its_abstract() -> None:
    assert JointThreshold(speedup=2.0, energy_ratio=1.5) == RULE


def test_eq_2_counts_the_cpu_during_the_gpu_run() -> None:
    assert DeviceRun.of_power(10.0, 30.0).joules == 300.0
    assert DeviceRun.of_power(10.0, 30.0, 50.0).joules == 800.0


@pytest.mark.parametrize(("cpu_watts", "gpu_watts"), [(None, 50.0), (30.0, None), (None, None), (None, 0.0)])
def test_a_missing_power_leaves_the_energy_unknown_never_zero(cpu_watts: Any, gpu_watts: Any) -> None:
    assert DeviceRun.of_power(10.0, cpu_watts, gpu_watts).joules is None


@pytest.mark.parametrize(
    ("cpu_joules", "gpu_joules"), [(None, None), (None, 5.0), (5.0, None), (0.0, 5.0), (5.0, 0.0), (math.nan, 5.0)]
)
def test_unknown_energy_leaves_it_to_time_and_says_so(cpu_joules: Any, gpu_joules: Any) -> None:
    assert RULE.label(DeviceRun(10.0, cpu_joules), DeviceRun(1.0, gpu_joules)) == Label(
        "gpu", "fast_enough_energy_unknown", 10.0, None
    )
    slow = RULE.label(DeviceRun(10.0, cpu_joules), DeviceRun(9.0, gpu_joules))
    assert slow is not None
    assert (slow.device, slow.reason) == ("cpu", "too_little_speedup")


@pytest.mark.parametrize(
    ("speedup", "energy_ratio", "device", "reason"),
    [
        (2.0, 1.5, "gpu", "fast_and_efficient"),  # Eq. 1 is the CPU condition with < and >: equality means GPU
        (math.nextafter(2.0, 0), 1.5, "cpu", "too_little_speedup"),
        (2.0, math.nextafter(1.5, 2), "cpu", "too_much_energy"),
        (math.inf, None, "gpu", "fast_enough_energy_unknown"),
        (math.nan, None, "cpu", "too_little_speedup"),
        (5.0, math.nan, "gpu", "fast_enough_energy_unknown"),
        (1.0, 9.0, "cpu", "too_little_speedup"),
    ],
)
def test_eq_1_in_its_printed_sense(speedup: float, energy_ratio: float | None, device: str, reason: str) -> None:
    label = RULE.decide(speedup, energy_ratio)
    assert (label.device, label.reason) == (device, reason)


@given(st.floats(0.01, 100), st.floats(0.01, 100), st.floats(0.1, 10), st.floats(0.1, 10))
def test_gpu_exactly_where_eq_1_does_not_hold(speedup: float, energy: float, t_t: float, t_e: float) -> None:
    eq_1_holds = speedup < t_t or energy > t_e
    assert (JointThreshold(t_t, t_e).decide(speedup, energy).device == "cpu") == eq_1_holds


def test_a_run_that_did_not_finish_counts_as_infinitely_slow() -> None:
    cut, done = DeviceRun(100.0, 10.0, censored=True), DeviceRun(99.0, 1e9)
    assert RULE.label(cut, done) == Label("gpu", "cpu_did_not_finish", math.inf, None)
    assert RULE.label(done, cut) == Label("cpu", "gpu_did_not_finish", 0.0, None)
    assert RULE.label(cut, cut) is None


@pytest.mark.parametrize(
    ("cpu", "gpu"),
    [(None, 1.0), (1.0, None), (None, None), (math.nan, 1.0), (1.0, math.nan), (0.0, 0.0), (-1.0, -2.0), (1.0, -1.0)],
)
def test_no_times_no_label(cpu: float | None, gpu: float | None) -> None:
    assert RULE.label(DeviceRun(cpu, 1.0), DeviceRun(gpu, 1.0)) is None


def test_a_gpu_time_below_the_clocks_resolution_is_fast() -> None:
    label = RULE.label(DeviceRun(1.0), DeviceRun(0.0))
    assert label is not None
    assert (label.device, label.speedup) == ("gpu", math.inf)


@pytest.mark.parametrize("name", ["speedup", "energy_ratio"])
@pytest.mark.parametrize("value", [0, -1, math.nan, math.inf, 10**309, True, "2", None, [2]], ids=lambda v: str(v)[:9])
def test_thresholds_are_positive_numbers(name: str, value: Any) -> None:
    with pytest.raises(OptionError, match=f"{name}=.*positive"):
        JointThreshold(**{name: value})
