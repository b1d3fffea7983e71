"""Trees as plain data give scikit-learn's own answers, from a file too, and refuse what is no forest."""

import json
import math
import pickle
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from placement.errors import SelectorError
from placement.estimate import Spread, probability_worth
from placement.node import NodeSpec, paper_configs
from placement.ratio_selector import RatioSelector, ratio_of
from placement.rule import JointThreshold
from placement.task import TaskSpec
from placement.tree_ratio import HARDWARE, KERNELS, NUMBERS, Ready, TreeModel, both, with_intensities
from placement.trees import Forest, Tree, forest_of
from profiling.learners.tree_fitting import SPEEDUP_TREES, _boosted, _regressor

INPUTS = len(NUMBERS) + 1
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
    trees, base = _boosted(x, y, SPEEDUP_TREES)
    forest = Forest(x.shape[1], tuple(trees), (len(trees), len(trees)), (base, 1.2))
    line, zeros = np.zeros(len(HARDWARE)), np.zeros(len(NUMBERS))
    return TreeModel(("torch",), forest, line, line, zeros + 1.0, zeros + 30.0, 0.3, 0.9, 0.2)


def test_scikit_learns_own_answers(model):
    x, y = made()
    theirs = _regressor(SPEEDUP_TREES).fit(x, y).predict(x)
    assert model.forest.predict(x)[:, 0] == pytest.approx(theirs, abs=1e-5)
    assert (model.forest.predict(x)[:, 1] == 1.2).all()


def task(flops=1e6):
    return TaskSpec(flops=flops, input_bytes=3e5, batch_size=8, parameters=10**6, kernels=300, framework="torch")


def test_a_file_answers_alike_for_one_node_for_many_and_in_bulk(model):
    selector = RatioSelector("trees-1", None, JointThreshold(1.7), trees=model, share=1.0)
    read = ratio_of(json.loads(json.dumps(selector.to_dict())))
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
    assert read.prepare(nodes, 2.0) is read.prepare(nodes, 2.0)
    sent = pickle.dumps(read)
    assert len(sent) < 2 * len(pickle.dumps(selector.trees)), "what was worked out stays here"
    assert pickle.loads(sent).estimate(task(), nodes[1], 1) == read.estimate(task(), nodes[1], 1)
    assert read.estimate(task(1e40), nodes[1], 1).extrapolating


SIZES = st.floats(1e-3, 1e15)


@settings(max_examples=100, deadline=None)
@given(
    SIZES, SIZES, st.integers(0, 10**6), st.integers(0, 10**9), st.integers(0, 10**5), st.sampled_from(["torch", None])
)
def test_a_cell_answers_as_the_trees_do_for_the_very_task(model, flops, size, batch, parameters, kernels, framework):
    asked = TaskSpec(flops=flops, input_bytes=size, batch_size=batch or None, parameters=parameters or None,
                     kernels=kernels or None, framework=framework)  # fmt: skip
    ready, node = READY.setdefault("one", Ready(model, (NODE,), 2.0, JointThreshold())), NODE
    numbers = (node.cpu_gflops * 2 / node.cpus, node.gpu_gflops, node.gpu_memory_gb, node.cpu_tdp_w, node.gpu_tdp_w,
               flops, batch or math.nan, parameters or math.nan, size, kernels or math.nan)  # fmt: skip
    speedup, power, outside = (found[0] for found in model.predict(with_intensities(np.log([numbers])), [framework]))
    estimate = ready(asked)[0]
    assert estimate.speedup.mean == pytest.approx(speedup)
    assert estimate.energy_ratio.mean == pytest.approx(power - speedup)
    assert estimate.extrapolating == outside
    assert estimate.p_gpu == pytest.approx(ready(asked).p_gpu[0])
    assert ready(asked) is ready(asked), "asked once for a cell"


def test_no_more_cells_are_kept_than_there_is_room_for(model):
    ready = Ready(model, tuple(paper_configs().values()), 1.0, JointThreshold())
    ready.most_cells = 3
    for flops in np.geomspace(1e3, 1e9, 200):
        ready(task(float(flops)))
    assert len(ready.cells) <= 3


def test_work_whose_kernels_nobody_told_is_asked_of_trees_that_do_not_look_at_them():
    stump = Tree(((KERNELS, 1.0, 0, 1),), (0.0, 1.0))
    forest = Forest(len(NUMBERS), (stump,), (1, 1, 1), (1.0, 0.5, 3.0))
    ranges = np.zeros(5), np.zeros(5), np.zeros(len(NUMBERS)), np.full(len(NUMBERS), 40.0)
    selector = RatioSelector("t", None, trees=TreeModel((), forest, *ranges, 0.3, 0.9, 0.2), share=1.0)
    read = ratio_of(json.loads(json.dumps(selector.to_dict())))
    told = read.estimate(task(), NODE, 1)
    untold = read.estimate(replace(task(), kernels=None), NODE, 1)
    assert (told.speedup.mean, untold.speedup.mean) == (2.0, 3.0)
    logs = np.zeros((2, len(NUMBERS)))
    logs[:, KERNELS] = 5.0, np.nan
    assert selector.trees.predict(logs, [None, None])[0].tolist() == [2.0, 3.0]


def test_where_the_power_is_known_energy_decides_else_time_does():
    rule, fast = JointThreshold(), Spread(math.log(3.0), 0.1)
    assert both(fast, Spread(math.log(2.0), 0.1), rule) == (pytest.approx(1.0, abs=0.01), True)
    assert both(fast, Spread(math.log(4.5), 0.1), rule) == (pytest.approx(0.5), True), "at the energy's threshold"
    assert both(fast, Spread(math.log(4.5), 1.0), rule) == probability_worth(fast, Spread(math.log(1.5), 1.005), rule)
    assert both(fast, None, rule)[1] is False


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
    data = RatioSelector("trees-1", None, trees=model, share=1.0).to_dict()
    with pytest.raises(SelectorError, match="share"):
        ratio_of({**data, "share": 0.5})
    with pytest.raises(SelectorError, match="power_std"):
        ratio_of({**data, "trees": {**data["trees"], "power_std": -1.0}})
