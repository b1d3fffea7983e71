from __future__ import annotations

import json
import math
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import typer
from typer.testing import CliRunner

from placement.errors import LogError, OptionError
from placement.log import LogWriter
from placement.scheduling.policies.registry import POLICIES, policy_of
from placement.scheduling.snapshot import Snapshot
from placement.spec.joint_threshold import JointThreshold
from placement.spec.node import Inventory, NodeKind, config_groups, paper_configs
from placement.spec.task_record import TaskRecord
from profiling.cli.simulate import simulate_command
from profiling.simulation.arrivals import DATA, ArrivalTrace, mixes, task_type, trace_of
from profiling.simulation.cluster import Cluster, cluster_of
from profiling.simulation.estimator import Estimator
from profiling.simulation.lp_bound import bound_seconds, fractional_seconds
from profiling.simulation.measured_times import MeasuredTimes
from profiling.simulation.runtimes import Times, TimesSelector
from profiling.simulation.simulator import Simulation, SimulationRun, simulate

ONE_EACH = {"cpu": 1.0, "gpu": 1.0}
RULE = JointThreshold()


def small(count: int = 1, cpus: int = 2) -> Inventory:
    """Nodes with one GPU and few CPUs."""
    spec = paper_configs()["A"]
    return Inventory((NodeKind(spec, tuple(f"n{i}" for i in range(count)), ray_cpus=cpus),))


def trace(arrival: list[float], presets: list[str], steps: int = 100) -> ArrivalTrace:
    types = tuple(task_type(name, steps) for name in dict.fromkeys(presets))
    names = [one.preset for one in types]
    return ArrivalTrace(
        "t", types, np.array(arrival), np.array([names.index(p) for p in presets], dtype=np.int32), ONE_EACH
    )  # type: ignore[arg-type]


def run(given: ArrivalTrace, inventory: Inventory, policy: str) -> tuple[SimulationRun, Times]:
    times = Times.of(given, inventory, RULE)
    found = SimulationRun(given, inventory, times, times, policy_of(policy))
    found.go()
    return found, times


def test_tasks_alone_take_their_own_seconds() -> None:
    given = trace([0.0, 1e6], ["resnet18_infer_b8_s112_w1.0", "parse_table_b10000"])
    found, times = run(given, small(), "selector")
    assert found.ended.tolist() == pytest.approx(
        [times.seconds[0, 0, 1], 1e6 + times.seconds[1, 0, 0]]
    )  # the one is worth a GPU, the other has no implementation for it
    assert found.on_gpu.tolist() == [True, False]


def test_a_line_is_served_in_its_order() -> None:
    given = trace([0.0] * 5, ["parse_table_b10000"] * 5)
    found, times = run(given, small(cpus=2), "cpu_only")
    s = float(times.seconds[0, 0, 0])
    assert found.ended.tolist() == pytest.approx([s, s, 2 * s, 2 * s, 3 * s])


def test_a_gpu_task_needs_a_cpu_too_and_waits_its_turn_for_it() -> None:
    given = trace([0.0, 0.0, 0.0, 0.1], ["parse_table_b10000"] * 3 + ["resnet18_infer_b8_s112_w1.0"])
    found, times = run(given, small(cpus=1), "selector")
    cpu = float(times.seconds[0, 0, 0])
    assert found.ended[2] == pytest.approx(3 * cpu)
    assert found.ended[3] == pytest.approx(3 * cpu + float(times.seconds[1, 0, 1]))


def test_no_node_holds_more_than_it_has() -> None:
    given = trace_of("saturated", 800, seed=3)
    inventory = cluster_of(6, "A=2,D=1")
    times = Times.of(given, inventory, RULE)
    found = SimulationRun(given.scaled(20.0), inventory, times, times, policy_of("balanced"))
    cluster = found.cluster
    full = (list(cluster.free_cpus), list(cluster.free_gpus))
    end = found._end

    def checked(*event: Any) -> None:
        end(*event)
        assert min(cluster.free_cpus) >= 0
        assert min(cluster.free_gpus) >= 0

    found._end = checked  # type: ignore[method-assign]
    found.go()
    assert (list(cluster.free_cpus), list(cluster.free_gpus)) == full
    assert (found.ended > 0).all()
    assert not found.events
    assert not found.sent_to
    assert not cluster._lines


def test_the_cluster_takes_the_first_config_that_has_room() -> None:
    cluster = Cluster(cluster_of(2, "A=1,B=1"), ONE_EACH)  # type: ignore[arg-type]
    first, second = (cluster.take(("gpu", ("A", "B"), 1.0)) for _ in range(2))
    assert {first, second} == {0, 1}
    assert cluster.take(("gpu", ("A", "B"), 1.0)) is None
    cluster.wait(7, ("gpu", ("B", "A"), 1.0))
    cluster.wait(8, ("gpu", ("A",), 1.0))
    assert first is not None
    assert cluster.release(first, "gpu", 1.0) == [(7, "gpu")]  # the longest waiting, whichever its line


def test_the_bound_is_that_of_all_whole_assignments_or_below() -> None:
    given = trace([0.0] * 6, ["resnet18_infer_b1_s224_w1.0", "mobilenetv3_infer_b64_s64_w1.0"] * 3)
    inventory = small(cpus=1)
    times = Times.of(given, inventory, RULE)
    bound = bound_seconds(given, inventory, times)
    seconds = times.seconds[given.type_of, 0]
    # one CPU and one GPU whose tasks hold that CPU too: no schedule is shorter than either's sum
    best = min(
        max(sum(seconds[i, d] for i, d in enumerate(way)), sum(seconds[i, 1] for i, d in enumerate(way) if d))
        for way in product((0, 1), repeat=6)
    )
    assert 0 < bound <= best * (1 + 1e-9)
    assert bound >= 0.8 * best
    for name in POLICIES:
        found, _ = run(given, inventory, name)
        assert found.ended.max() >= bound * (1 - 1e-9)


def test_the_bound_knows_when_tasks_arrive() -> None:
    late = trace([0.0, 1000.0], ["parse_table_b10000"] * 2)
    times = Times.of(late, small(), RULE)
    assert bound_seconds(late, small(), times) == pytest.approx(1000.0 + float(times.seconds[0, 0, 0]))
    assert fractional_seconds(np.array([2]), small(cpus=2), times, ONE_EACH) == pytest.approx(  # type: ignore[arg-type]
        float(times.seconds[0, 0, 0])
    )


@pytest.fixture(scope="module")
def saturated() -> Simulation:
    return simulate(
        trace_of("saturated", 4000), cluster_of(4), [*list(POLICIES)[:5], "selector_per_config", "balanced"]
    )


def test_saturated_balanced_beats_the_papers_policies(saturated: Simulation) -> None:
    balanced = saturated.policies["balanced"]
    for name in list(POLICIES)[:5]:
        assert balanced.makespan_seconds <= 1.02 * saturated.policies[name].makespan_seconds
        assert saturated.policies[name].bound_ratio >= 1.0
    assert balanced.bound_ratio < 1.2  # of a trace so short that its last tasks weigh
    gain = saturated.gain_share()
    assert gain is not None
    assert gain > 0.75


def test_saturated_balanced_comes_near_the_bound() -> None:
    found = simulate(trace_of("saturated", 15_000), cluster_of(4), ["selector", "balanced"])
    gain = found.gain_share()
    assert gain is not None
    assert gain >= 0.9
    assert found.policies["balanced"].bound_ratio <= 1.10


def test_balanced_is_no_worse_where_many_nodes_fill_up_at_once() -> None:
    found = simulate(trace_of("saturated", 6000), cluster_of(60), ["selector", "flops_rule", "balanced"])
    makespan = {name: outcome.makespan_seconds for name, outcome in found.policies.items()}
    assert makespan["balanced"] <= min(makespan["selector"], makespan["flops_rule"])


def test_the_figures_hold_together(saturated: Simulation) -> None:
    for name, o in saturated.policies.items():
        assert o.cluster_joules > o.joules > 0
        assert o.makespan_seconds >= o.p99_completion_seconds >= o.mean_completion_seconds * 0.5 > 0
        assert (o.gpu_hours == 0) == (name == "cpu_only")
    # The devices of the rule by config, but for those on the spare config, where a GPU was not worth it and yet faster.
    assert saturated.policies["selector_per_config"].regret_seconds <= 0.0
    assert saturated.policies["selector"].same_as_selector == 1.0
    assert saturated.policies["cpu_only"].gpu_share == 0.0


def test_idle_balanced_uses_what_idles_at_a_fair_price_in_energy() -> None:
    found = simulate(trace_of("idle", 1500), cluster_of(4), ["selector_per_config", "balanced"])
    rule, balanced = found.policies["selector_per_config"], found.policies["balanced"]
    assert balanced.mean_completion_seconds <= 0.55 * rule.mean_completion_seconds
    assert balanced.p99_completion_seconds <= 0.45 * rule.p99_completion_seconds
    assert balanced.cluster_joules <= 1.05 * rule.cluster_joules


def test_a_run_is_reproduced_by_its_seed() -> None:
    first, second = (
        simulate(trace_of("bursty", 400, seed=2), cluster_of(4), ["balanced", "random"], noise=0.3, seed=5)
        for _ in range(2)
    )
    assert list(first.policies) == ["balanced", "random"]
    for name in first.policies:
        a, b = first.policies[name], second.policies[name]
        assert (a.makespan_seconds, a.joules, a.gpu_share) == (b.makespan_seconds, b.joules, b.gpu_share)


def test_noise_is_in_what_policies_see_and_not_in_what_happens() -> None:
    given, inventory = trace_of("saturated", 50), cluster_of(4)
    times = Times.of(given, inventory, RULE)
    seen = times.noisy(0.5, 1, RULE)
    finite = np.isfinite(times.seconds)
    assert 0.3 < np.log(seen.seconds[finite] / times.seconds[finite]).std() < 0.7
    assert times.noisy(0.0, 1, RULE) is times
    assert simulate(given, inventory, ["cpu_only"]).bound_seconds == pytest.approx(
        simulate(given, inventory, ["cpu_only"], noise=0.5).bound_seconds
    )


def test_a_run_decides_by_the_snapshot_that_it_is_given() -> None:
    given, inventory = trace([0.0] * 4, ["bert_train_b64_l128_w1.0"] * 4), small()
    times = Times.of(given, inventory, RULE)
    slow_gpus = replace(times, seconds=times.seconds * [1.0, 1e6], gpu_is_right=times.gpu_is_right & False)
    policy = policy_of("selector")
    snapshot = Snapshot(1, inventory, TimesSelector(given, inventory, slow_gpus), policy)
    runs = [SimulationRun(given, inventory, times, times, policy, snapshot=one) for one in (None, snapshot)]
    for one in runs:
        one.go()
    assert [one.on_gpu.all() for one in runs] == [True, False]
    assert not runs[1].on_gpu.any()


@pytest.mark.parametrize("name", [name for name in mixes() if "arrivals" not in mixes()[name]])
def test_every_named_mix_gives_a_trace(name: str) -> None:
    given = trace_of(name, 300, seed=1)
    assert len(given) == 300
    assert (np.diff(given.arrival_s) >= 0).all()
    assert given.arrival_s[0] == 0.0
    scaled = given.scaled(2.0)
    if given.load is None:
        assert scaled is given
    else:
        assert scaled.arrival_s[-1] == pytest.approx(300 / (2.0 * given.load))


def test_bursts_come_together() -> None:
    given = trace_of("saturated", 100, burst=25)
    assert len(np.unique(given.arrival_s)) == 4


def test_alibabas_trace() -> None:
    if not (DATA / "alibaba_tasks.parquet").is_file():
        pytest.skip(f"{DATA / 'alibaba_tasks.parquet'} is not here: set PLACEMENT_DATA")
    given = trace_of("alibaba", 7000)
    assert len(given) == 7000  # longer than the trace itself: it comes again
    assert (np.diff(given.arrival_s) >= 0).all()
    without = 1 - np.mean([given.types[t].has_gpu for t in given.type_of[:6514]])
    assert without == pytest.approx(996 / 6514, abs=1e-9)


def test_a_file_is_a_trace(tmp_path: Path) -> None:
    path = tmp_path / "mine.csv"
    path.write_text("arrival_s,preset,steps\n5,parse_table_b10000,3\n2,normalise_b8_f8_s224,1\n")
    given = trace_of(str(path), 10)
    assert given.arrival_s.tolist() == [0.0, 3.0]
    assert [(given.types[t].preset, given.types[t].steps) for t in given.type_of] == [
        ("normalise_b8_f8_s224", 1), ("parse_table_b10000", 3),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("arrival_s\n1\n", "lacks the columns ['preset']"),
        ("arrival_s,preset\n", "no rows"),
        ("arrival_s,preset\n1,nonsense\n", "nonsense"),
        ("arrival_s,preset,steps\n1,parse_table_b10000,x\n", "'x'"),
        ("arrival_s,preset\nnan,parse_table_b10000\n", "no numbers"),
    ],
)
def test_a_file_that_is_no_trace_is_refused(tmp_path: Path, text: str, fault: str) -> None:
    path = tmp_path / "bad.csv"
    path.write_text(text)
    with pytest.raises(LogError) as error:
        trace_of(str(path), 10)
    assert fault in str(error.value)


def test_a_group_stands_for_its_configurations() -> None:
    kinds = cluster_of(7, "servers,A=2").kinds
    assert sorted(kind.spec.config for kind in kinds) == sorted(["A", *config_groups()["servers"]])
    assert sum(kind.count for kind in kinds) == 7


def test_misuse_is_told() -> None:
    for wrong in (lambda: trace_of("nonsense", 10), lambda: trace_of("paper", 0), lambda: cluster_of(4, "A"),
                  lambda: cluster_of(4, "Z=1"), lambda: cluster_of(1, "A=1,B=1"), lambda: cluster_of(4, "A=-1,B=9"),
                  lambda: simulate(trace_of("paper", 5), cluster_of(4), ["best"])):  # fmt: skip
        with pytest.raises(OptionError):
            wrong()


@pytest.mark.parametrize("nodes", [4, 7, 1000])
def test_a_cluster_has_as_many_nodes_as_asked(nodes: int) -> None:
    inventory = cluster_of(nodes, "A=1,B=2,D=0.5")
    assert sum(kind.count for kind in inventory.kinds) == nodes
    assert all(kind.count for kind in inventory.kinds)


def test_the_command_prints_and_writes_all_of_it(tmp_path: Path) -> None:
    app = typer.Typer()
    app.command()(simulate_command)
    path = tmp_path / "out.json"
    arguments = ["--trace", "paper", "--tasks", "60", "--policies", "selector,balanced", "--json", str(path)]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0, result.output
    report = json.loads(path.read_text())
    assert {"trace", "nodes", "tasks", "bound_seconds", "policies"} <= set(report)
    assert (report["trace"], report["nodes"], report["tasks"]) == ("paper", 4, 60)
    wanted = {
        "makespan_seconds", "mean_completion_seconds", "p99_completion_seconds", "joules", "gpu_hours",
        "regret_seconds", "bound_ratio",
    }  # fmt: skip
    for figures in report["policies"].values():
        assert wanted <= set(figures)
        assert all(math.isfinite(figures[name]) for name in wanted)
    assert "selector" in result.output
    assert "emulated" in result.output


def test_a_selector_decides_by_its_estimates_while_times_stay_true() -> None:
    given, inventory = trace_of("saturated", 600), cluster_of(4)
    perfect = simulate(given, inventory, ["balanced"])
    shipped = simulate(given, inventory, ["balanced"], estimator=Estimator.of("shipped"))
    assert shipped.bound_seconds == perfect.bound_seconds
    assert shipped.policies["balanced"].makespan_seconds > perfect.policies["balanced"].makespan_seconds
    learned = simulate(given, inventory, ["balanced"], estimator=Estimator.of("shipped", learns=True))
    assert learned.policies["balanced"].gpu_share != shipped.policies["balanced"].gpu_share
    assert Estimator.of("perfect") is None
    for wrong in (lambda: Estimator.of("nonsense"), lambda: Estimator.of("perfect", learns=True)):
        with pytest.raises(OptionError):
            wrong()


def test_times_of_a_log_replace_the_emulators(tmp_path: Path) -> None:
    base: Any = {"run_id": "r", "source": "sweep", "function": "f", "config": "Z", "cpus": 1.0, "steps": 10,
                 "preset": "resnet18_infer_b8_s112_w1.0", "cpu_gflops": 400.0, "gpu_gflops": 9000.0}  # fmt: skip
    rows = [
        TaskRecord(device="cpu", compute_s=3.0, cpu_joules=60.0, **base),
        TaskRecord(device="cpu", compute_s=5.0, cpu_joules=100.0, **base),
        TaskRecord(device="cpu", compute_s=9e9, censored=True, **base),
        TaskRecord(device="gpu", transfer_s=0.5, compute_s=0.5, cpu_joules=1.0, gpu_joules=4.0, **base),
    ]
    LogWriter(tmp_path / "log").append(rows)
    measured = MeasuredTimes.of(tmp_path / "log")
    inventory = cluster_of(2, "Z=1,A=1", measured.nodes)
    given = trace([0.0], ["resnet18_infer_b8_s112_w1.0"], steps=100)
    emulated = Times.of(given, inventory, RULE)
    times = measured.over(emulated, given, inventory, RULE)
    z, a = (next(k for k, kind in enumerate(inventory.kinds) if kind.spec.config == name) for name in "ZA")
    assert times.seconds[0, z].tolist() == [40.0, 10.0]
    assert times.joules[0, z].tolist() == [800.0, 50.0]
    assert times.gpu_is_right[0, z]
    assert times.seconds[0, a].tolist() == emulated.seconds[0, a].tolist()
    assert measured.share(given, inventory) == 0.5
    with pytest.raises(OptionError, match="has the configs \\['Z'\\]"):
        measured.over(emulated, trace([0.0], ["parse_table_b10000"]), inventory, RULE)


def test_the_columns_of_alibabas_trace_are_taken_as_they_are(tmp_path: Path) -> None:
    path = tmp_path / "tasks.csv"
    path.write_text("name,arrival_s,duration_s,num_gpu\np,5,30,1\nq,2,60,0\nr,9,30,0\n")
    given = trace_of(str(path), 4, load=2.0)
    assert (given.name, given.load, len(given)) == ("tasks", 2.0, 4)  # the fourth is the first one again
    assert given.arrival_s.tolist()[:3] == [0.0, 3.0, 7.0]
    assert [given.types[t].has_gpu for t in given.type_of] == [False, True, False, False]
    path.write_text("arrival_s,duration_s,num_gpu\n1,nan,1\n")
    with pytest.raises(LogError, match="no numbers"):
        trace_of(str(path), 4)
