"""Shares of GPUs: the interference model, the share that is chosen, and the decision that grants it."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from core_builders import Told
from hypothesis import given
from hypothesis import strategies as st

from placement.errors import OptionError
from placement.prediction.interference import ASSUMED, Interference, fitted
from placement.prediction.runtime_history import History, Place, RunHistory
from placement.scheduling.candidates import Choice
from placement.scheduling.decision import decide, key_of, preferred, within_share
from placement.scheduling.decision_table import DecisionTable
from placement.scheduling.explanation import explain
from placement.scheduling.feasibility import Limits
from placement.scheduling.gpu_share import CONTEXT_BYTES, HEADROOM, MOST_SLOWDOWN, GpuShare, gpu_share
from placement.scheduling.policies.registry import policy_of
from placement.scheduling.queue_model import Backlog, Load
from placement.scheduling.sized_waits import waits_under
from placement.scheduling.snapshot import Snapshot
from placement.spec.node import Inventory, NodeKind, paper_configs
from placement.spec.task import TaskSpec
from placement.submission.options import PlacementOptions
from placement.submission.ray_constraints import limits_of
from placement.worker import shared_gpu
from placement.worker.shared_gpu import SharedGpu

D = NodeKind(paper_configs()["D"], ("d",))  # 24 GB
SMALL = TaskSpec(flops=1e9, input_bytes=1e6, batch_size=1, parameters=10**7, memory_bytes=0.5e9, kernels=60)
LIMITS = Limits(shares=True)


def seen(utilisation: float | None = None, memory: float | None = None, **crowded: float) -> RunHistory:
    history = History()
    history.observe(("f", ()), Place("D", "gpu", 1.0), 1.0, memory_bytes=memory, utilisation=utilisation)
    return replace(history.get(("f", ())) or RunHistory(), crowded=crowded)


def gpus(task: TaskSpec, runs: RunHistory | None = None, model: Interference = ASSUMED) -> float:
    return gpu_share(task, D, runs, model).gpus


def test_what_is_not_known_gets_a_whole_gpu() -> None:
    assert gpus(TaskSpec(memory_bytes=1e9)) == 1.0  # nothing tells its work
    assert gpus(replace(SMALL, memory_bytes=None)) == 1.0
    assert gpu_share(SMALL, NodeKind(replace(D.spec, gpu_memory_gb=None), ("d",)), None, ASSUMED).gpus == 1.0


@given(st.floats(0.0, 1.0), st.floats(0.0, 30e9), st.floats(0.0, 0.5), st.floats(0.0, 2.0))
def test_a_share_holds_the_memory_and_keeps_the_slowdown_in_bounds(
    busy: float, memory: float, contention: float, queueing: float
) -> None:
    model = Interference(contention, queueing)
    share = gpu_share(replace(SMALL, memory_bytes=memory), D, seen(busy), model)
    assert round(1 / share.gpus) in range(1, 9)
    if share.gpus < 1:
        assert HEADROOM * memory + CONTEXT_BYTES <= share.gpus * 24e9
        assert model.slowdown(busy, 1 - share.gpus) <= MOST_SLOWDOWN


@pytest.mark.parametrize(
    ("busy", "least", "most"), [(0.02, 1 / 8, 1 / 8), (0.3, 1 / 3, 1 / 3), (0.5, 0.5, 0.5), (0.9, 1, 1)]
)
def test_the_busier_a_task_keeps_the_gpu_the_more_of_it_it_gets(busy: float, least: float, most: float) -> None:
    assert least <= gpus(SMALL, seen(busy)) <= most


def test_memory_that_was_seen_or_ran_out_widens_the_share() -> None:
    assert gpus(SMALL, seen(0.02)) == 1 / 8
    assert gpus(SMALL, seen(0.02, memory=5e9)) == 1 / 3
    assert gpus(SMALL, seen(0.02, D=0.25)) == 1 / 3  # beside neighbours it ran out at a quarter
    assert gpus(SMALL, seen(0.02, D=0.5)) == 1.0


def test_neighbours_that_slow_more_than_the_share_gains_widen_it() -> None:
    harmful = Interference(contention=0.45)
    assert gpus(SMALL, seen(0.1)) == 1 / 8
    assert gpus(SMALL, seen(0.1), harmful) == 1 / 2
    assert gpus(SMALL, seen(0.1), Interference(contention=1.0)) == 1.0


def test_least_squares_find_the_model_of_runs_and_stay_at_the_guess_without() -> None:
    assert fitted([]) == ASSUMED
    rng, true = np.random.default_rng(0), Interference(0.5, 1.6)
    runs = [(own, others, true.slowdown(own, others) * factor) for own, others, factor in zip(
        rng.uniform(0, 1, 500), rng.uniform(0, 2, 500), rng.normal(1, 0.05, 500), strict=True)]  # fmt: skip
    found = fitted(runs)
    assert found.contention == pytest.approx(true.contention, abs=0.1)
    assert found.queueing == pytest.approx(true.queueing, abs=0.1)
    assert found.runs == 500
    assert fitted([(0.1, 0.9, 0.5)] * 100).contention == 0.0  # faster beside others: noise


def snapshot(history: History | None = None) -> Snapshot:
    kinds = tuple(NodeKind(paper_configs()[name], (name,)) for name in "AD")
    selector = Told({"A": 0.9, "D": 0.95})
    return Snapshot(1, Inventory(kinds), selector, policy_of("selector"), history=history or History())


def busy_history(**by_config: float) -> History:
    history = History()
    for config, utilisation in by_config.items():
        history.observe(key_of("f", SMALL), Place(config, "gpu", 1.0), 0.1, utilisation=utilisation)
    return history


def test_a_decision_grants_the_share_of_its_best_config_and_names_none_that_needs_more() -> None:
    cluster = snapshot(history=busy_history(A=0.4, D=0.1))
    decision = decide(SMALL, "f", LIMITS, cluster)
    assert (decision.device, decision.gpus, decision.gpu_busy) == ("gpu", 1 / 8, 0.1)
    assert decision.configs == ("D",)
    offered = DecisionTable("f", LIMITS, cluster).candidates(SMALL)
    assert preferred(decision, offered) == (("D",),)  # A is no spare: half of its GPU is needed
    assert {c.config: c.gpus for c in offered if c.device == "gpu"} == {"A": 0.5, "D": 1 / 8}
    assert "gpu (gpu_worth_it), 0.125 of a GPU by policy" in str(explain(SMALL, "f", LIMITS, cluster))
    whole = decide(SMALL, "f", Limits(), cluster)
    assert (whole.gpus, whole.gpu_busy, set(whole.configs)) == (1.0, None, {"A", "D"})


def test_tiers_lose_the_configs_that_need_more() -> None:
    shares = {"A": GpuShare(0.5, 0.4), "B": GpuShare(0.25, 0.2), "C": GpuShare(0.2, 0.1)}
    choice = Choice("gpu", ("B", "A", "C"), "why", tiers=(("B",), ("A",), ("C",)))
    kept = within_share(choice, shares)
    assert (kept.configs, kept.tiers) == (("B", "C"), (("B",), ("C",)))


def test_a_share_waits_for_room_for_itself_alone() -> None:
    backlog = Backlog(lambda: 0.0, exact=True)
    backlog.merge({("D", "gpu"): Load(1.0, 0.75, 3.0), ("A", "gpu"): Load(1.0, 0.75, 3.0)}, 0.0)
    cpus = {"cpu": 1.0, "gpu": 1.0}
    waits = waits_under(backlog, cpus, 1.0, {"D": GpuShare(0.25, 0.1), "A": GpuShare(0.5, 0.4)})
    assert waits.wait_s("D", "gpu") == 0.0
    assert (waits.wait_s("A", "gpu") or 0.0) > 0.0
    sent = backlog.enqueue("D", "gpu", 4.0, 0.25)
    assert (waits.wait_s("D", "gpu") or 0.0) > 0.0
    backlog.complete("D", "gpu", sent, slots=0.25)
    assert waits.wait_s("D", "gpu") == 0.0


def test_an_out_of_memory_beside_neighbours_leaves_the_gpu_a_candidate() -> None:
    history, key = busy_history(D=0.1), key_of("f", SMALL)
    history.mark_unfit(key, "D", "OutOfMemoryError", 0.25)
    history.mark_unfit(key, "D", "OutOfMemoryError", 0.125)
    assert decide(SMALL, "f", LIMITS, snapshot(history=history)).gpus == 1 / 3
    history.mark_unfit(key, "D", "OutOfMemoryError")
    assert "D" not in decide(SMALL, "f", LIMITS, snapshot(history=history)).configs


def test_misuse_of_gpus_is_told() -> None:
    assert limits_of(PlacementOptions(devices="any", gpus="auto"), {}).shares
    for wrong in ({"gpus": 0.5}, {"gpus": "all"}, {"gpus": "auto", "gpu_options": {"num_gpus": 0.5}}):
        with pytest.raises(OptionError, match="num_gpus"):
            PlacementOptions(devices="any", **wrong)
    with pytest.raises(OptionError, match=r"num_gpus=0\.5"):
        limits_of(PlacementOptions(devices="any", gpus="auto"), {"num_gpus": 0.5})


def test_tasks_on_a_gpu_count_each_other_and_not_the_dead(tmp_path: Path) -> None:
    folder = tmp_path / "0"
    folder.mkdir()
    (folder / "1").write_text("0.3000\n")  # a process that lives: init
    (folder / "999999999").write_text("0.9\n")
    task = SharedGpu("0", 0.25, tmp_path)
    assert (task.neighbours, task.utilisation) == (1, pytest.approx(0.3))
    assert not (folder / "999999999").exists()
    told = (folder / "1").read_text().splitlines()
    assert [line.split()[1:] for line in told[1:]] == [[str(os.getpid()), "0.2500"]]
    task.leave()
    assert (folder / "1").read_text().splitlines()[-1].endswith(f" {os.getpid()} 0.0000")
    (folder / "1").unlink()
    assert SharedGpu("0", 0.1, tmp_path).neighbours == 0


def test_a_neighbour_that_came_and_went_counts_for_as_long_as_it_was_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [100.0]
    monkeypatch.setattr(shared_gpu, "time", lambda: now[0])
    task = SharedGpu("0", 0.25, tmp_path)
    with (tmp_path / "0" / str(os.getpid())).open("a") as file:
        file.write("101.0 1 0.5\n101.0 1 0.5\n103.0 1 0.0\n104.0 2 0.1\n")  # two that begin at once both note it
    now[0] = 105.0
    task.leave()
    assert task.neighbours == 1
    assert task.utilisation == pytest.approx((2 * 0.5 + 1 * 0.1) / 5)
