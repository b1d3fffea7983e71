"""Trees as plain data give scikit-learn's own answers, from a file too, and refuse what is no forest."""

import json
import math
import pickle
import random
from dataclasses import replace
from decimal import Decimal

import numpy as np
import pytest
from core_builders import cluster
from hypothesis import given, settings
from hypothesis import strategies as st

from placement.errors import SelectorError
from placement.prediction.boosted_trees import HARDWARE, KERNELS, NUMBERS, BoostedTrees, Times, with_intensities
from placement.prediction.estimate import Spread, energy_of, probability_worth
from placement.prediction.gaussian_process import FASTEST
from placement.prediction.prepared_trees import PreparedTrees
from placement.prediction.runtime_history import History, Place
from placement.prediction.selector_file import shipped_selector
from placement.prediction.speedup_selector import SpeedupSelector, speedup_selector_of
from placement.prediction.tree_ensemble import LARGEST_SUM, MOST_TREES, Forest, Tree, forest_of
from placement.scheduling.decision import decide, key_of
from placement.scheduling.explanation import explain
from placement.scheduling.feasibility import Limits
from placement.scheduling.policies.balanced import Balanced
from placement.scheduling.policies.queue_aware import MinEdp, MinTime
from placement.scheduling.policies.selector_policy import SelectorPolicy
from placement.scheduling.queue_model import Backlog, Load
from placement.scheduling.snapshot import Snapshot
from placement.spec.joint_threshold import JointThreshold
from placement.spec.node import NodeSpec, paper_configs
from placement.spec.task import TaskSpec
from profiling.learning.fit_boosted_trees import boosted, regressor

INPUTS = len(NUMBERS) + 1
SPEEDUP_TREES = {"max_iter": 60, "max_leaf_nodes": 31, "learning_rate": 0.15}
NODE = paper_configs()["B"]
READY = {}


def made(count=400, inputs=INPUTS):
    chance = np.random.default_rng(0)
    x = chance.normal(size=(count, inputs)) * 3 + 10
    x[:, -1] = x[:, -1] > 10
    return x, np.where(x[:, 5] > 10, x[:, 0], -x[:, 6]) + x[:, -1]


@pytest.fixture(scope="module")
def model():
    x, y = made()
    trees, base = boosted(x, y, SPEEDUP_TREES)
    forest = Forest(x.shape[1], tuple(trees), (len(trees), len(trees)), (base, 1.2))
    line, zeros = np.zeros(len(HARDWARE)), np.zeros(len(NUMBERS))
    return BoostedTrees(("torch",), forest, line, line, zeros + 1.0, zeros + 30.0, 0.3, 0.9, 0.2)


def test_scikit_learns_own_answers(model):
    x, y = made()
    theirs = regressor(SPEEDUP_TREES).fit(x, y).predict(x)
    assert model.forest.predict(x)[:, 0] == pytest.approx(theirs, abs=1e-5)
    assert (model.forest.predict(x)[:, 1] == 1.2).all()


def task(flops=1e6):
    return TaskSpec(flops=flops, input_bytes=3e5, batch_size=8, parameters=10**6, kernels=300, framework="torch")


def test_a_file_answers_alike_for_one_node_for_many_and_in_bulk(model):
    selector = SpeedupSelector("trees-1", None, JointThreshold(1.7), trees=model, share=1.0)
    read = speedup_selector_of(json.loads(json.dumps(selector.to_dict())))
    nodes = (NodeSpec("none", cpus=4), *paper_configs().values())
    for flops in (1e6, 1e9, 1e12):
        many = read.prepare(nodes, 2.0)(task(flops))
        assert many.p_gpu[0] is None
        assert many[0] is None
        for at, node in enumerate(nodes[1:], 1):
            one = read.estimate(task(flops), node, 2.0)
            assert one == selector.estimate(task(flops), node, 2.0)
            assert one.energy_ratio.mean == pytest.approx(many[at].energy_ratio.mean)
            assert (one.extrapolating, one.energy_decides) == (many[at].extrapolating, True)
            assert one.p_gpu == pytest.approx(many.p_gpu[at])
            assert many.doubts(at) == (", extrapolating" if one.extrapolating else "")
            gflops = node.cpu_gflops * 2 / node.cpus
            numbers = (
                gflops,
                node.gpu_gflops,
                node.gpu_memory_gb,
                node.cpu_tdp_w,
                node.gpu_tdp_w,
                flops,
                8,
                1e6,
                3e5,
                300,
            )
            assert one.speedup.mean == pytest.approx(
                model.predict(with_intensities(np.log([numbers])), ["torch"])[0][0]
            )
    assert read.estimate(TaskSpec(input_bytes=1), nodes[1], 1) is None
    sent = pickle.dumps(read)
    assert len(sent) < 2 * len(pickle.dumps(selector.trees)), "what was worked out stays here"
    assert pickle.loads(sent).estimate(task(), nodes[1], 1) == read.estimate(task(), nodes[1], 1)
    assert read.estimate(task(1e40), nodes[1], 1).extrapolating


SIZES = st.floats(1e-3, 1e15)


@settings(max_examples=100)
@given(
    SIZES, SIZES, st.integers(0, 10**6), st.integers(0, 10**9), st.integers(0, 10**5), st.sampled_from(["torch", None])
)
def test_a_cell_answers_as_the_trees_do_for_the_very_task(model, flops, size, batch, parameters, kernels, framework):
    asked = TaskSpec(flops=flops, input_bytes=size, batch_size=batch or None, parameters=parameters or None,
                     kernels=kernels or None, framework=framework)  # fmt: skip
    ready, node = READY.setdefault("one", PreparedTrees(model, (NODE,), 2.0, JointThreshold())), NODE
    numbers = (node.cpu_gflops * 2 / node.cpus, node.gpu_gflops, node.gpu_memory_gb, node.cpu_tdp_w, node.gpu_tdp_w,
               flops, batch or math.nan, parameters or math.nan, size, kernels or math.nan)  # fmt: skip
    speedup, power, outside = (found[0] for found in model.predict(with_intensities(np.log([numbers])), [framework]))
    estimate = ready(asked)[0]
    assert estimate.speedup.mean == pytest.approx(speedup)
    assert estimate.energy_ratio.mean == pytest.approx(power - speedup)
    assert estimate.extrapolating == outside
    assert estimate.p_gpu == pytest.approx(ready(asked).p_gpu[0])
    assert ready(asked).p_gpu is ready(asked).p_gpu, "asked once for a cell"


def test_no_more_cells_are_kept_than_there_is_room_for(model):
    ready = PreparedTrees(model, tuple(paper_configs().values()), 1.0, JointThreshold())
    ready.most_cells = 3
    for flops in np.geomspace(1e3, 1e9, 200):
        ready(task(float(flops)))
    assert len(ready.cells) <= 3


def test_work_whose_kernels_nobody_told_is_asked_of_trees_that_do_not_look_at_them():
    stump = Tree(((KERNELS, 1.0, 0, 1),), (0.0, 1.0))
    forest = Forest(len(NUMBERS), (stump,), (1, 1, 1), (1.0, 0.5, 3.0))
    ranges = np.zeros(5), np.zeros(5), np.zeros(len(NUMBERS)), np.full(len(NUMBERS), 40.0)
    selector = SpeedupSelector("t", None, trees=BoostedTrees((), forest, *ranges, 0.3, 0.9, 0.2), share=1.0)
    read = speedup_selector_of(json.loads(json.dumps(selector.to_dict())))
    told = read.estimate(task(), NODE, 1)
    untold = read.estimate(replace(task(), kernels=None), NODE, 1)
    assert (told.speedup.mean, untold.speedup.mean) == (2.0, 3.0)
    logs = np.zeros((2, len(NUMBERS)))
    logs[:, KERNELS] = 5.0, np.nan
    assert selector.trees.predict(logs, [None, None])[0].tolist() == [2.0, 3.0]


def test_where_the_power_is_known_energy_decides_else_time_does():
    rule, fast = JointThreshold(), Spread(math.log(3.0), 0.1)

    def worth(power: Spread | None) -> tuple[float, bool]:
        return probability_worth(fast, energy_of(fast, power), power.std if power else 0.0, rule)

    by_time = worth(None)
    assert by_time == (pytest.approx(1.0, abs=0.01), False)
    assert worth(Spread(math.log(2.0), 0.1)) == (pytest.approx(1.0, abs=0.01), True)
    assert worth(Spread(math.log(4.5), 0.1)) == (pytest.approx(0.5), True), "at the energy's threshold"
    assert worth(Spread(math.log(4.5), 1.0)) == by_time, "as likely below it as above"
    assert worth(Spread(math.log(90.0), 1.0)) == (0.0, True), "surely above it"


@pytest.mark.parametrize(
    ("name", "value"),
    [("ends", [1]), ("ends", [0, 99]), ("bases", [0.0, math.inf]), ("trees", 3),
     ("trees", [{"splits": [[0, 1.0, 0, 2]], "values": [1.0, 2.0]}]), ("trees", [{"splits": [], "values": []}]),
     ("trees", [{"splits": [[9, 1.0, 0, 1]], "values": [1.0, 2.0]}])],
)  # fmt: skip
def test_what_is_no_forest_is_refused(name, value):
    data = Forest(2, (Tree(((0, 1.0, 0, 1),), (1.0, 2.0)),), (1, 1), (0.0, 0.0)).to_dict()
    assert forest_of(data, 2, (2,)).predict(np.array([[1.0, 0.0], [1.1, 0.0]]))[:, 0].tolist() == [1.0, 2.0]
    with pytest.raises(ValueError, match=r"."):
        forest_of({**data, name: value}, 2, (2,))


def test_a_share_without_its_half_is_refused(model):
    data = SpeedupSelector("trees-1", None, trees=model, share=1.0).to_dict()
    with pytest.raises(SelectorError, match="share"):
        speedup_selector_of({**data, "share": 0.5})
    with pytest.raises(SelectorError, match="power_std"):
        speedup_selector_of({**data, "trees": {**data["trees"], "power_std": -1.0}})


def telling(speedup=1.0, shortfall=2.0, times=(0.7, 0.9)):
    """A selector that says the same logarithms of everything; times: None where it tells no seconds."""
    bases = (speedup, 0.0) + (() if times is None else (shortfall,))
    forest = Forest(len(NUMBERS), (Tree((), (0.0,)),), (1,) * len(bases), bases)
    ranges = np.zeros(5), np.zeros(5), np.zeros(len(NUMBERS)), np.full(len(NUMBERS), 40.0)
    model = BoostedTrees((), forest, *ranges, 0.3, 0.9, 0.2, times and Times(*times))
    return SpeedupSelector("t", None, trees=model, share=1.0)


def test_seconds_are_those_of_the_whole_task_by_the_cpus_granted():
    read = speedup_selector_of(json.loads(json.dumps(telling().to_dict())))
    assert read.trees.times == (0.7, 0.9)
    found = read.estimate(replace(task(), steps=7), NODE, 2.0)
    gflops = NODE.cpu_gflops * 2 / NODE.cpus
    assert found.cpu_seconds == pytest.approx(7 * 1e6 / (1e9 * gflops) * math.exp(2.0))
    assert found.cpu_seconds / found.gpu_seconds == pytest.approx(math.exp(found.speedup.mean))
    assert [found.seconds_on(device) for device in ("cpu", "gpu")] == [found.cpu_seconds, found.gpu_seconds]


def test_a_file_whose_trees_tell_no_times_is_read_and_tells_none():
    data = telling(times=None).to_dict()
    del data["trees"]["times"]  # as it was before there were any
    found = speedup_selector_of(data).estimate(task(), NODE, 1.0)
    assert (found.cpu_seconds, found.gpu_seconds, found.speedup.mean) == (None, None, 1.0)


def test_what_a_node_does_not_tell_bounds_nothing_and_has_no_seconds():
    found = telling(speedup=90.0).estimate(task(), NodeSpec("x", cpus=4, gpus=1), 1.0)
    assert (found.cpu_seconds, found.speedup.mean) == (None, 90.0)


@pytest.mark.parametrize("shortfall", [-50.0, 0.0, 3.0])
@pytest.mark.parametrize("speedup", [-90.0, 0.0, 90.0])
def test_no_device_beats_its_arithmetic(speedup, shortfall):
    selector, asked = telling(speedup, shortfall), replace(task(), flops=1e13)
    found = selector.estimate(asked, NODE, 1.0)
    least = [1e13 / (1e9 * FASTEST * gflops) for gflops in (NODE.cpu_gflops / NODE.cpus, NODE.gpu_gflops)]
    assert found.cpu_seconds >= least[0] * (1 - 1e-9)
    assert found.gpu_seconds >= least[1] * (1 - 1e-9)
    if speedup < 90:
        assert found.speedup.mean == speedup, "only what says more than can be is cut"
    bulk = selector.trees.predict(np.log([[NODE.cpu_gflops / NODE.cpus, NODE.gpu_gflops, *[1.0] * 10]]), [None])
    assert bulk[0][0] == pytest.approx(found.speedup.mean)


def test_a_quotient_of_whatever_a_spec_may_hold_is_told():
    selector = shipped_selector()
    one, other = (
        TaskSpec(flops=flops, kernels=kernels, parameters=7) for flops, kernels in ((1e9, 10), (Decimal("1e9"), 10.0))
    )
    assert selector.estimate(one, NODE, 1.0) == selector.estimate(other, NODE, 1.0)


def test_more_trees_than_a_table_is_made_for_are_refused():
    data = Forest(1, (Tree((), (0.0,)),) * (MOST_TREES + 1), (MOST_TREES, MOST_TREES + 1), (0.0, 0.0)).to_dict()
    with pytest.raises(ValueError, match="trees; 500 is the most"):
        forest_of(data, 1, (2,))


def test_sums_that_no_float_can_hold_are_refused():
    leaf = Tree((), (-LARGEST_SUM,))
    data = Forest(2, (leaf, leaf), (1, 2), (0.0, 0.0)).to_dict()
    assert forest_of(data, 2, (2,)).reach() == [LARGEST_SUM, LARGEST_SUM]
    for more in ({"ends": [0, 2]}, {"bases": [1.0, 0.0]}, {"bases": [0.0, -1e5]}):
        with pytest.raises(ValueError, match="reach"):
            forest_of({**data, **more}, 2, (2,))


BUSY = {(config, device): Load(1, 9, 50.0) for config in "AB" for device in ("cpu", "gpu")}
HOSTILE = [1e6, -1e6, 1e308, -1e308, 5e-324, 1e-6, 699.0, -699.0, 0, -1, None, "x", [], {}, True, 10**400]


def broken(data, chance):
    """One value somewhere in a tree of JSON replaced."""
    node = data
    while True:
        key = chance.choice(list(node) if isinstance(node, dict) else range(len(node)))
        if not isinstance(node[key], dict | list) or not node[key] or chance.random() < 0.1:
            node[key] = chance.choice(HOSTILE)
            return
        node = node[key]


def decides(count, seed):
    """How many of so many broken files of trees were read; each must decide among busy queues, with some history."""
    chance, read = random.Random(seed), 0
    stump = Tree(((len(HARDWARE), 20.0, 0, 1),), (-1.0, 1.0))
    model = replace(telling().trees, forest=Forest(len(NUMBERS), (stump,) * 3, (1, 2, 3), (0.5, 0.1, 1.0)))
    text = json.dumps(SpeedupSelector("t", None, trees=model, share=1.0).to_dict())
    known = History()
    for place in (Place("A", "cpu", 1.0), Place("B", "gpu", 1.0), Place("B", "cpu", 1.0)):
        for _ in range(3):
            known.observe(key_of("f", task()), place, 2.0)
    for _ in range(count):
        data = json.loads(text)
        for _ in range(chance.randint(1, 3)):
            broken(data["trees"], chance)
        try:
            selector = speedup_selector_of(data)
        except SelectorError:
            continue
        read += 1
        backlog = Backlog(lambda: 0.0)
        backlog.merge(BUSY, 0.0)
        snap = Snapshot(1, cluster(configs="AB"), selector, backlog=backlog, history=known)
        for policy in (Balanced(seed=0), MinTime(seed=0), MinEdp(seed=0), SelectorPolicy()):
            for asked in (task(), task(1e30), replace(task(1e-3), kernels=None, steps=10**9)):
                decision = decide(asked, "f", Limits(), snap, policy=policy)
                assert decision.configs
                backlog.enqueue(decision.config, decision.device, decision.seconds)
                str(explain(asked, "f", Limits(), snap, policy=policy))
    return read


@pytest.mark.filterwarnings("error")
def test_broken_files_of_trees_are_refused_or_decide():
    assert 0 < decides(150, seed=0) < 150


@pytest.mark.slow
@pytest.mark.soak
@pytest.mark.filterwarnings("error")
def test_10_000_broken_files_of_trees_are_refused_or_decide():
    assert 0 < decides(10_000, seed=1) < 10_000


@pytest.mark.parametrize("times", [{}, {"std": 1.0}, {"std": 0.0, "gpu_std": 1.0}, {"std": "x", "gpu_std": 1.0}, 3])
def test_times_without_their_spread_are_refused(times):
    data = telling().to_dict()
    with pytest.raises(SelectorError):
        speedup_selector_of({**data, "trees": {**data["trees"], "times": times}})
