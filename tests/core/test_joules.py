"""Joules: of the power model, of a selector and of history; the energy test that is worked out of them."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
from core_builders import CPU_NODE, TASK, Told, cluster, limits, snapshot

from placement.errors import SelectorError
from placement.prediction.estimate import Estimate, Spread
from placement.prediction.posterior import posterior
from placement.prediction.power_model import ASSUMED, PowerLine, PowerModel, power_model_of
from placement.prediction.runtime_history import History, Place
from placement.prediction.selector_file import shipped_selector
from placement.prediction.timings import Timings
from placement.scheduling.candidate_set import candidate_set
from placement.scheduling.cost_model import options_of
from placement.scheduling.decision import key_of
from placement.scheduling.explanation import explain
from placement.scheduling.policies.balanced import Balanced
from placement.scheduling.queue_model import Backlog, Load
from placement.spec.joint_threshold import JointThreshold
from placement.spec.node import NodeSpec, paper_configs
from placement.spec.task import TaskSpec

RULE = JointThreshold()
A = paper_configs()["A"]
LINE = PowerLine(math.log(100.0), (0.0,) * 5, (0.0,) * 5, 0.2)


def timed(seconds: float, joules: float | None = None, runs: int = 5, error: float = 0.0) -> Timings:
    found = Timings()
    for _ in range(runs + 1):
        found = found.add(seconds, joules, error)
    return found


def test_the_assumed_power_is_of_the_cpus_granted_and_a_gpu_run_holds_the_cpus_too() -> None:
    one, whole = ASSUMED.of(A, 1.0), ASSUMED.of(A, A.cpus)
    assert one.cpu is not None
    assert whole.cpu == pytest.approx(A.cpus * one.cpu)
    assert whole.gpu is not None
    assert one.gpu is not None
    assert A.gpu_tdp_w is not None
    assert one.gpu < whole.gpu < A.gpu_tdp_w + (A.cpu_tdp_w or 0.0)
    assert 0 < (one.cpu_idle or 0) < one.cpu
    assert 0 < (one.gpu_idle or 0) < one.gpu
    assert ASSUMED.of(CPU_NODE, 1.0).gpu is None
    assert ASSUMED.of(replace(A, cpu_tdp_w=None), 1.0).cpu is None


def test_a_learned_power_model_comes_back_from_its_file_and_a_broken_one_is_refused() -> None:
    model = PowerModel(LINE, replace(LINE, level=math.log(300.0)))
    back = power_model_of(model.to_dict())
    power = back.of(A, 1.0)
    assert (power.cpu, power.gpu, power.source) == (pytest.approx(100.0), pytest.approx(300.0), "selector")
    assert power_model_of(None) == PowerModel() == ASSUMED
    for wrong in ({"cpu": LINE.to_dict()}, {"cpu": 1, "gpu": 2}, {"cpu": {**LINE.to_dict(), "std": 0}, "gpu": {}}, []):
        with pytest.raises(SelectorError):
            power_model_of(wrong)


def test_the_shipped_selector_tells_seconds_and_joules_on_both_devices_with_spread_and_provenance() -> None:
    for node in paper_configs().values():
        found = shipped_selector().estimate(TASK, node, 1.0)
        assert found is not None
        assert found.energy_ratio is not None
        assert found.cpu_joules is not None
        assert found.gpu_joules is not None
        assert math.log(found.gpu_joules / found.cpu_joules) == pytest.approx(found.energy_ratio.mean)
        for basis in (found.cpu_basis, found.gpu_basis):
            assert basis.seconds_std
            assert basis.joules_std
            assert basis.joules_std >= basis.seconds_std > 0
            assert (basis.seconds_from, basis.joules_from, basis.runs) == ("selector", "selector", 0)
        assert 0 < (found.cpu_basis.idle_watts or 0) * (found.cpu_seconds or 0) < found.cpu_joules


def test_history_tells_measured_joules_and_fills_in_watts_where_none_were_measured() -> None:
    power = PowerModel(LINE, replace(LINE, level=math.log(300.0))).of(A, 1.0)
    found = posterior(None, timed(10.0), timed(2.0, joules=500.0, error=0.1), RULE, power)
    assert found is not None
    assert (found.cpu_joules, found.gpu_joules) == (pytest.approx(1000.0), 500.0)
    assert (found.cpu_basis.seconds_from, found.cpu_basis.joules_from, found.cpu_basis.runs) == (
        "history", "selector", 5,
    )  # fmt: skip
    assert found.gpu_basis.joules_from == "history"
    prior = Estimate(0.5, Spread(math.log(4.0), 0.3), Spread(math.log(0.5), 0.4), 8.0, 2.0, 800.0, 400.0)
    scaled = posterior(prior, timed(16.0), Timings(), RULE)
    assert scaled is not None
    assert (scaled.cpu_joules, scaled.gpu_joules) == (pytest.approx(1600.0), pytest.approx(800.0))


@pytest.mark.parametrize(("watts", "worth"), [(200.0, True), (3000.0, False)])
def test_the_energy_test_is_worked_out_of_seconds_and_watts(watts: float, worth: bool) -> None:
    power = PowerModel(LINE, replace(LINE, level=math.log(watts))).of(A, 1.0)
    found = posterior(None, timed(3.0), timed(1.0), RULE, power)
    assert found is not None
    assert found.energy_ratio is not None
    assert math.exp(found.energy_ratio.mean) == pytest.approx(watts / 100 / 3, rel=0.01)
    assert (found.p_gpu > 0.5) == worth


def test_a_selectors_own_estimate_without_joules_is_completed_by_the_power_model() -> None:
    class Seconds(Told):
        def estimate(self, task: TaskSpec, node: NodeSpec, cpus: float) -> Estimate | None:
            return Estimate(0.9, cpu_seconds=10.0, gpu_seconds=1.0)

    rows = explain(TASK, "f", limits(), snapshot(Seconds(), cluster(configs="A"))).considered
    power = ASSUMED.of(A, 1.0)
    assert [row.joules for row in rows] == [pytest.approx(10.0 * (power.cpu or 0)), pytest.approx(power.gpu)]
    assert {row.basis.joules_from for row in rows} == {"power model"}


def test_joules_unknown_of_one_kind_of_node_are_the_others_watts() -> None:
    snap = snapshot(shipped_selector(), cluster(CPU_NODE, configs="A"))
    options = options_of(candidate_set(snap.candidate_table(limits()).candidates(TASK, None)))
    assert options is not None
    cpus = {option.configs: option for option in options if option.device == "cpu"}
    bare, known = cpus["cpu-only",], cpus["A",]
    assert known.joules > 0
    assert bare.joules / bare.seconds == pytest.approx(known.joules / known.seconds)


def test_an_explanation_tells_the_tests_in_the_papers_terms_and_what_turns_it() -> None:
    found = explain(TASK, "f", limits(), snapshot(shipped_selector(), cluster(configs="A")))
    (tests,) = found.tests
    assert tests.speed.startswith("26 x faster (") or " x faster (" in tests.speed
    assert tests.speed.endswith(", needed 2.0: yes")
    assert tests.energy.endswith(", allowed 1.5: yes")
    heavy = explain(replace(TASK, batch_size=512), "f", limits(), snapshot(shipped_selector(), cluster(configs="A")))
    if heavy.decision.device == "gpu":
        assert any(turn.startswith("CPU below batch ") for turn in heavy.turns) or not heavy.turns
    text, html = str(found), found._repr_html_()
    for part in (str(tests), "estimates: selector; emulated"):
        assert part in text
    assert "needed 2.0" in html
    assert html.count("<tr") == 1 + len(found.considered)


def test_the_batch_that_is_told_to_turn_it_does() -> None:
    snap = snapshot(shipped_selector(), cluster(configs="A"))
    task = TaskSpec(flops=1e10, input_bytes=1e6, batch_size=64, parameters=10**6)
    found = explain(task, "f", limits(), snap)
    (turn,) = [one for one in found.turns if "batch" in one]
    assert found.decision.device == "gpu"
    assert turn.startswith("CPU below batch ")
    batch = int(turn.rsplit(" ", 1)[1])
    for at, device in ((batch - 1, "cpu"), (batch + 1, "gpu")):
        other = replace(task, flops=1e10 * at / 64, input_bytes=1e6 * at / 64, batch_size=at)
        assert explain(other, "f", limits(), snap).decision.device == device


def test_the_wait_that_is_told_to_turn_it_does() -> None:
    def explained(gpu_wait: float) -> tuple[str, tuple[str, ...]]:
        backlog = Backlog(lambda: 0.0)
        waits = {"cpu": 0.0, "gpu": gpu_wait}
        backlog.merge({("A", d): Load(1, 1 if s else 0, s) for d, s in waits.items()}, 0.0)  # type: ignore[misc]
        history = History()
        for device, seconds in (("cpu", 10.0), ("gpu", 1.0)):
            for _ in range(6):
                history.observe(key_of("f", TASK), Place("A", device, 1.0), seconds, 10.0)  # type: ignore[arg-type]
        snap = snapshot(
            shipped_selector(), cluster(configs="A"), history=history, policy=Balanced(seed=0), backlog=backlog
        )
        found = explain(TASK, "f", limits(), snap)
        return found.decision.device, found.turns

    device, turns = explained(1000.0)
    assert device == "cpu"
    (turn,) = [one for one in turns if one.startswith("GPU once it waits less than ")]
    wait = float(turn.split()[-2])
    assert 0 < wait < 20
    assert explained(0.9 * wait)[0] == "gpu"
    assert explained(1.1 * wait)[0] == "cpu"
