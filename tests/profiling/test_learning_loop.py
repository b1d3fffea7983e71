"""The loop of learning: its statistics, its decisions, and what it does with a log. No Ray, no fits."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from placement.errors import LogError
from placement.log import LogWriter, compact, read_log
from placement.log.events import FOLDER, read_events, write_event
from placement.log.schema import table_of
from placement.prediction.estimate import Basis, Estimate, Spread, probability_worth
from placement.prediction.selector import Selector
from placement.prediction.selector_trial import trial_of
from placement.spec.joint_threshold import JointThreshold
from placement.spec.node import NodeSpec
from placement.spec.task import TaskSpec
from placement.spec.task_record import TaskRecord
from profiling.dataset.drifts import after_drifts, drifts_of
from profiling.learning_loop.beliefs import Belief, Cell, cost
from profiling.learning_loop.confidence_sequence import ConfidenceSequence
from profiling.learning_loop.drift import LIKEWISE, RUN_LENGTH, Drift, DriftDetector
from profiling.learning_loop.learner import LogLearner
from profiling.learning_loop.loop import LearningLoop
from profiling.learning_loop.refit_schedule import FIRST_REFIT_ROWS, ROWS_AFTER_DRIFT
from profiling.learning_loop.trial import LONGEST_RUNS, SelectorComparison
from profiling.report.learning import learning_section

RULE = JointThreshold()
NODE = NodeSpec("D", 8, 1, cpu_gflops=500.0, gpu_gflops=10_000.0, emulated=True)


@dataclass(frozen=True)
class Fixed:
    """A selector that believes in one pair of seconds for all work."""

    version: str
    cpu: float
    gpu: float
    std: float = 0.3
    thresholds: JointThreshold = RULE

    def estimate(self, task: TaskSpec, node: NodeSpec, cpus: float) -> Estimate:
        speedup = Spread(math.log(self.cpu / self.gpu), self.std)
        p_gpu = probability_worth(speedup, None, 0.0, RULE)[0]
        basis = Basis(seconds_std=self.std)
        return Estimate(p_gpu, speedup, None, self.cpu, self.gpu, cpu_basis=basis, gpu_basis=basis)

    def to_dict(self) -> dict[str, Any]:
        return {"kind": "fixed", "version": self.version}


def cell(number: int = 0, function: str = "f") -> Cell:
    return Cell(function, TaskSpec(flops=1e9, input_bytes=1.0, batch_size=1, parameters=1, steps=number + 1), NODE, 4.0)


def test_bounds_hold_at_all_times_and_close_in() -> None:
    chance = np.random.default_rng(0)
    wrong = 0
    for _ in range(200):
        sequence = ConfidenceSequence(0.05)
        crossed = False
        for value in chance.choice([-1.0, 1.0], 300):
            sequence.add(float(value))
            crossed |= not sequence.lower <= 0.0 <= sequence.upper
        wrong += crossed
    assert wrong <= 0.1 * 200  # both sides
    sequence = ConfidenceSequence(0.001)
    for value in chance.normal(0.1, 0.1, 500):
        sequence.add(float(np.clip(value, -1, 1)))
    assert 0.0 < sequence.lower < 0.1 < sequence.upper < 0.3


def test_a_value_out_of_range_is_refused() -> None:
    with pytest.raises(ValueError, match="from -1 to 1"):
        ConfidenceSequence(0.1).add(1.5)


def test_drift_is_found_within_few_runs_and_noise_is_none() -> None:
    chance = np.random.default_rng(1)
    detector = DriftDetector()
    assert not any(detector.add("quiet", error) for error in chance.normal(0.0, 0.15, 20_000))
    found = next(f for error in chance.normal(math.log(2), 0.1, 50) if (f := detector.add("slow", error)))
    assert found.runs <= math.ceil(math.log(RUN_LENGTH) / math.log(3)) + 2
    assert math.exp(found.log_factor) == pytest.approx(2.0, rel=0.1)


def test_less_evidence_will_do_for_a_stream_that_drifts_likewise() -> None:
    detector, runs = DriftDetector(), math.ceil(-math.log(LIKEWISE) / math.log(3))
    for stream, error, hits in (("like", 0.5, runs), ("few", 0.5, runs - 1), ("faster", -0.5, runs)):
        assert not any(detector.add(stream, error) for _ in range(hits))
    found = next(f for _ in range(50) if (f := detector.add("slow", 0.5)))
    likewise = [detector.likewise(found, stream) for stream in ("like", "few", "faster", "slow", "unknown")]
    assert likewise == [Drift("like", pytest.approx(0.5), runs, True), *[None] * 2, found, None]
    assert [detector.in_doubt(found, stream) for stream in ("like", "few", "faster")] == [False, True, False]


def test_the_cheaper_device_is_the_rules_device() -> None:
    for gpu, joules in ((40.0, 100.0), (60.0, 100.0), (40.0, 1_600.0), (10.0, 10_000.0)):
        says = RULE.decide(100.0 / gpu, joules / 1_000.0).device
        dearer = cost(RULE, "gpu", gpu, joules, 1_000.0 / 100.0) > cost(RULE, "cpu", 100.0, 1_000.0, None)
        assert (says == "cpu") == dearer


def play(trial: SelectorComparison, p: float, runs: int, true: Mapping[str, float], seed: int = 0) -> str | None:
    """Runs taken by the champion's CPU with propensity p, else by the challenger's GPU; the model believes the CPU."""
    chance = np.random.default_rng(seed)
    ours, theirs = Belief(0.3, 10.0, 14.0), Belief(0.8, 14.0, 10.0)
    for _ in range(runs):
        device = "cpu" if chance.random() < p else "gpu"
        propensity = p if device == "cpu" else 1.0 - p
        verdict = trial.add(ours, theirs, device, true[device] * math.exp(chance.normal(0.0, 0.1)), propensity)
        if verdict is not None:
            return verdict
    return trial.verdict


def test_a_better_challenger_is_found_although_the_model_believes_it_worse() -> None:
    assert play(SelectorComparison(), 0.8, 3_000, {"cpu": 14.0, "gpu": 7.0}) == "better"


@pytest.mark.parametrize("p", [0.95, 0.5, 0.1])
def test_the_estimate_is_right_although_the_model_is_wrong(p: float) -> None:
    trial = SelectorComparison(alpha=1e-300)  # no verdict ends it
    play(trial, p, 4_000, {"cpu": 14.0, "gpu": 7.0})
    assert trial.mean_gain == pytest.approx(7.0 / (1.5 * 14.0), abs=0.05)


def test_a_worse_one_and_one_within_the_margin_are_not_swapped_in() -> None:
    assert play(SelectorComparison(), 0.8, 3_000, {"cpu": 10.0, "gpu": 14.0}) == "no better"
    assert play(SelectorComparison(margin=0.05), 0.8, 5_000, {"cpu": 10.0, "gpu": 10.0}) != "better"


def test_without_overlap_there_is_no_verdict_and_it_is_said() -> None:
    trial = SelectorComparison()
    assert play(trial, 1.0, LONGEST_RUNS - 1, {"cpu": 14.0, "gpu": 7.0}) is None
    assert play(trial, 1.0, 1, {"cpu": 14.0, "gpu": 7.0}) == "no overlap"
    assert trial.covered == 0


def test_while_a_challenger_is_tried_the_champion_decides_and_doubts_where_they_differ() -> None:
    loop = LearningLoop(Fixed("first", 30.0, 10.0, std=0.1))
    at = loop.history.index(cell())
    assert loop.served is loop.champion
    sure = loop.served.belief(at)
    loop.challenge(Fixed("other", 10.0, 30.0, std=0.1))
    doubts = loop.served.belief(at)
    assert doubts.device == sure.device == "gpu"
    assert sure.p_gpu > 0.99 > 0.92 > doubts.p_gpu > 0.5
    loop.challenge(Fixed("same", 30.0, 10.0, std=0.1))
    assert loop.served.belief(at).p_gpu == sure.p_gpu


def test_runs_on_one_kind_of_node_tell_of_the_same_work_on_another() -> None:
    loop = LearningLoop(Fixed("first", 30.0, 10.0))
    here, there, other = cell(), cell()._replace(node=replace(NODE, config="E")), cell(1)
    at, elsewhere, unlike = (loop.history.index(one) for one in (here, there, other))
    for device, seconds in (("cpu", 15.0), ("gpu", 20.0)):
        drive(loop, at, device, seconds, 4)
    assert loop.champion.belief(elsewhere).device == "cpu"
    assert loop.champion.belief(elsewhere).cpu_cost == pytest.approx(15.0, rel=0.2)
    assert loop.champion.belief(unlike).device == "gpu"


def test_a_selector_on_trial_tells_what_its_challenger_expects() -> None:
    ours, theirs = Fixed("first", 30.0, 10.0), Fixed("other", 10.0, 30.0)
    doubtful = trial_of(ours, theirs).estimate(cell().task, NODE, 4.0)
    agreed = trial_of(ours, ours).estimate(cell().task, NODE, 4.0)
    assert doubtful is not None
    assert agreed is not None
    assert (doubtful.contested_s, agreed.contested_s) == (10.0, None)


def drive(loop: LearningLoop, at: int, device: str, seconds: float, runs: int, seed: int = 0) -> list[str]:
    """Kinds of the events of some runs of a cell, 10 % of noise."""
    noise = np.random.default_rng(seed).normal(0.0, 0.1, runs)
    return [event.kind for x in noise for event in loop.add(at, device, seconds * math.exp(x), None, 1.0)]  # type: ignore[arg-type]


def test_a_drift_of_a_device_corrects_the_champion_and_asks_for_a_refit() -> None:
    loop = LearningLoop(Fixed("first", 30.0, 10.0))
    cells = [loop.history.index(cell(number)) for number in range(4)]
    for number in range(60):
        assert drive(loop, cells[number % 3], "gpu", 10.0, 1, number) == []
    events = [kind for number in range(40) for kind in drive(loop, cells[number % 3], "gpu", 20.0, 1, number)]
    assert events == ["drift", "swap"]
    assert loop.version.startswith("first+")
    assert loop.champion.belief(cells[3]).device == "cpu"  # work that never ran there is corrected too
    assert loop.champion.belief(cells[3]).gpu_cost == pytest.approx(40.0, rel=0.2)
    drive(loop, cells[0], "gpu", 20.0, ROWS_AFTER_DRIFT)
    assert loop.refit_due == "drift of D gpu"


@pytest.mark.parametrize("both", [True, False])
def test_kinds_of_node_that_drift_likewise_are_corrected_together(both: bool) -> None:
    loop = LearningLoop(Fixed("first", 30.0, 10.0))
    here, there = (loop.history.index(cell(0, f)._replace(node=replace(NODE, config=f))) for f in "DE")
    for number in range(20):
        assert drive(loop, here, "cpu", 30.0, 1, number) + drive(loop, there, "cpu", 30.0, 1, number) == []
    events: list[str] = []
    for number in range(30):
        events += drive(loop, here, "cpu", 15.0, 1, number)
        if number % 3 == 0:  # when there is evidence enough of D's drift, that of E's is in doubt
            events += drive(loop, there, "cpu", 15.0 if both else 30.0, 1)
    assert events == (["drift", "drift", "swap"] if both else ["drift", "swap"])
    unknown = [loop.history.index(cell(1)._replace(node=replace(NODE, config=config))) for config in "DE"]
    costs = [loop.champion.belief(at).cpu_cost for at in unknown]  # work without runs
    assert costs == [pytest.approx(15.0, rel=0.1), pytest.approx(15.0 if both else 30.0, rel=0.1)]


def test_a_swap_that_made_it_worse_is_rolled_back() -> None:
    loop = LearningLoop(Fixed("good", 10.0, 8.0))
    loop.challenge(Fixed("bad", 30.0, 8.0))
    assert [event.kind for event in loop.service.end_trial("better")] == ["verdict", "swap"]
    chance, events = np.random.default_rng(0), []
    for number in range(4_000):  # each run is new work, so that history settles nothing
        at = loop.history.index(cell(number, f"f{number}"))
        assert at is not None
        gpu = chance.random() < 0.7
        seconds = (8.0 if gpu else 10.0) * math.exp(chance.normal(0.0, 0.1))
        events += loop.add(at, "gpu" if gpu else "cpu", seconds, None, 0.7 if gpu else 0.3)
        if loop.version == "good":
            break
    assert [event.kind for event in events if event.kind in ("swap", "rollback")] == ["rollback"]
    assert loop.version == "good"


@pytest.mark.parametrize(
    ("seconds", "propensity"),
    [(math.nan, 1.0), (-1.0, 1.0), (0.0, 1.0), (math.inf, 1.0), (1.0, 0.0), (1.0, 1.1), (1.0, math.nan), (1e12, 0.5)],
)
def test_a_row_that_is_no_run_teaches_nothing(seconds: float, propensity: float) -> None:
    loop = LearningLoop(Fixed("first", 30.0, 10.0))
    at = loop.history.index(cell())
    assert loop.add(at, "gpu", seconds, None, propensity) == []
    assert (loop.rows, loop.refused) == (0, 1)
    assert not loop.history.timings[at][1].cold


@dataclass
class FakeControl:
    """The control plane as a learner sees it, without Ray."""

    served: list[Selector]
    recorded: list[dict[str, Any]] = field(default_factory=list)
    shifts: list[Any] = field(default_factory=list)
    state: Mapping[str, Any] = field(default_factory=dict)

    def version(self) -> str:
        return self.served[-1].version

    def selector(self, version: str) -> Selector:
        return next(one for one in self.served if one.version == version)

    def nodes(self) -> dict[str, NodeSpec]:
        return {"D": NODE}

    def swap(self, selector: Selector) -> None:
        self.served.append(selector)

    def record(self, state: Mapping[str, Any], events: list[dict[str, Any]], shifts: list[Any]) -> None:
        self.state = state
        self.recorded += events
        self.shifts += shifts


def row(seconds: float, **more: Any) -> TaskRecord:
    of_task = {"flops": 1e9, "input_bytes": 1.0, "batch_size": 1, "parameters": 1, "steps": 1}
    told = {"run_id": "r", "source": "production", "function": "f", "config": "D", "device": "gpu", "cpus": 4.0,
            "emulated": True, "policy": "balanced", "compute_s": seconds, "time_provenance": "emulated"}  # fmt: skip
    return TaskRecord(**{**told, **of_task, **more})


def learner_of(log: Path, control: FakeControl) -> LogLearner:
    def refit() -> Selector:
        raise LogError("nothing to learn from")

    learner = LogLearner(str(log), control, refit)
    learner.step()  # what there is already is remembered alone
    return learner


def test_the_learner_follows_the_log_and_serves_what_a_drift_shows(tmp_path: Path) -> None:
    writer, control = LogWriter(tmp_path), FakeControl([Fixed("first", 30.0, 10.0)])
    learner = learner_of(tmp_path, control)
    writer.append([row(10.0, steps=number % 3 + 1) for number in range(60)])
    assert learner.step() == 60
    assert learner.step() == 0
    writer.append([row(20.0, steps=number % 3 + 1) for number in range(40)])
    assert learner.step() == 40
    assert [event["kind"] for event in control.recorded] == ["drift", "swap"]
    assert learner.loop.version != "first"
    assert control.version() == f"{learner.loop.version}~first"  # watched against the one before
    assert {shift[1].device for shift in control.shifts} <= {"gpu"}
    json.dumps(control.recorded)


def test_a_learner_that_begins_anew_corrects_no_drift_a_second_time(tmp_path: Path) -> None:
    writer, control = LogWriter(tmp_path), FakeControl([Fixed("first", 30.0, 10.0)])
    learner = learner_of(tmp_path, control)
    for seconds in (10.0, 20.0):
        writer.append([row(seconds, steps=number % 3 + 1) for number in range(60)])
        learner.step()
    corrected = learner.loop.version
    again = learner_of(tmp_path, control)
    assert again.loop.version == corrected  # it is the champion of the trial that was left in service,
    assert again.loop.state()["challenger"] == "first"  # which goes on
    for _ in range(3):
        writer.append([row(20.0, steps=number % 3 + 1) for number in range(60)])
        again.step()
    assert again.loop.version == corrected


def test_a_refit_that_fails_leaves_the_champion_and_says_why(tmp_path: Path) -> None:
    control = FakeControl([Fixed("first", 30.0, 10.0)])
    learner = learner_of(tmp_path, control)
    LogWriter(tmp_path).append([row(10.0) for _ in range(FIRST_REFIT_ROWS)])
    learner.step()
    assert [(event["kind"], event["why"]) for event in control.recorded] == [("refit failed", "nothing to learn from")]
    assert control.version() == "first"


def test_a_selector_swapped_in_by_a_user_is_the_new_champion(tmp_path: Path) -> None:
    LogWriter(tmp_path).append([row(10.0)])
    control = FakeControl([Fixed("first", 30.0, 10.0)])
    learner = learner_of(tmp_path, control)
    control.swap(Fixed("users", 20.0, 10.0))
    learner.step()
    assert (learner.loop.version, control.state["champion"]) == ("users", "users")


HOSTILE = (
    {"compute_s": -1.0}, {"compute_s": None}, {"transfer_s": -30.0}, {"config": "Z"}, {"config": None},
    {"propensity": 7.0}, {"propensity": 0.0}, {"cpus": -4.0}, {"cpus": 1e9}, {"batch_size": -3}, {"flops": -1.0},
    {"steps": -1}, {"source": "sweep"}, {"policy": None}, {"error": "boom"}, {"fallback": "cuda_out_of_memory"},
    {"emulated": False}, {"time_provenance": "measured"}, {"function": "f" * 10_000}, {"cold": True},
)  # fmt: skip


def test_rows_of_a_compacted_file_count_once(tmp_path: Path) -> None:
    writer, control = LogWriter(tmp_path), FakeControl([Fixed("first", 30.0, 10.0)])
    learner = learner_of(tmp_path, control)
    writer.append([row(10.0)])
    assert learner.step() == 1
    writer.append([row(10.0)])
    compact(tmp_path)
    assert learner.step() == 1
    assert learner.step() == 0


def test_hostile_rows_and_torn_files_teach_nothing(tmp_path: Path) -> None:
    control = FakeControl([Fixed("first", 30.0, 10.0)])
    learner = learner_of(tmp_path, control)
    LogWriter(tmp_path).append([row(10.0), *(replace(row(10.0), **more) for more in HOSTILE)])
    (tmp_path / "20990101T000000.000000000Z-torn.parquet").write_bytes(b"PAR1 torn")
    assert learner.step() == 1  # the one that is a run
    assert control.state["files_skipped"] == 1
    assert control.version() == "first"


def test_events_lie_beside_the_rows_and_torn_ones_are_left_out(tmp_path: Path) -> None:
    writer = LogWriter(tmp_path)
    writer.append([row(10.0)])
    assert read_events(tmp_path) == []
    write_event(tmp_path, {"kind": "swap", "time_utc": 1.0, "version": "a"})
    write_event(tmp_path, {"kind": "rollback", "time_utc": 2.0})
    for name, text in (("torn", b'{"kind": "swap"'), ("foreign", b"[1]"), ("untimed", b'{"kind": "swap"}')):
        (tmp_path / FOLDER / f"9-{name}.json").write_bytes(text)
    assert [event["kind"] for event in read_events(tmp_path)] == ["swap", "rollback"]
    assert read_log(tmp_path).num_rows == 1


def test_rows_of_before_a_drift_are_taken_as_they_would_be_now() -> None:
    drift = {"kind": "drift", "time_utc": 100.0, "corrects": True, "config": "D", "device": "gpu", "factor": 2.0}
    broken = ({"factor": 1e9}, {"factor": "2"}, {"device": "tpu"}, {"corrects": False}, {"config": None})
    drifts = drifts_of([drift, *({**drift, **more} for more in broken)])
    assert len(drifts) == 1
    rows = [row(10.0, time_utc=50.0), row(20.0, time_utc=150.0), row(7.0, time_utc=50.0, device="cpu"), row(9.0)]
    scaled = after_drifts(table_of(rows), drifts)
    assert scaled["compute_s"].to_pylist() == [20.0, 20.0, 7.0, 9.0]
    assert scaled.schema == table_of(rows).schema


def test_the_report_tells_the_timeline_and_takes_no_harm_from_strange_events() -> None:
    assert learning_section([]) is None
    strange = [{"kind": kind, "time_utc": 1.0, "gain": "x", "factor": []} for kind in ("drift", "verdict", "<b>")]
    swap = {"kind": "swap", "time_utc": 1.0, "version": "new", "before": "old", "by": "verdict"}
    page = learning_section([*strange, swap]).html()
    assert "new serves, before it old (by verdict)" in page
    assert "<b>" not in page
