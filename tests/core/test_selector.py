from __future__ import annotations

import bisect
import copy
import json
import math
import random
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from core_builders import CPU_NODE, TASK, net

from placement.errors import SelectorError
from placement.prediction.estimate import Estimate, Spread, probability_worth
from placement.prediction.mlp import LAYERS
from placement.prediction.selector import Selector
from placement.prediction.selector_file import LARGEST_FILE_BYTES, parse_selector, selector_of
from placement.spec.features import FEATURES, features
from placement.spec.joint_threshold import JointThreshold
from placement.spec.node import paper_configs
from placement.spec.task import TaskSpec

NODE = paper_configs()["B"]
VALID: dict[str, Any] = json.loads(json.dumps(net().to_dict()))


def changed(*path: Any, to: Any) -> str:
    """The valid file with the value at a path set."""
    data = copy.deepcopy(VALID)
    target: Any = data
    for step in path[:-1]:
        target = target[step]
    target[path[-1]] = to
    return json.dumps(data)


def without(*path: Any) -> str:
    data = copy.deepcopy(VALID)
    target: Any = data
    for step in path[:-1]:
        target = target[step]
    del target[path[-1]]
    return json.dumps(data)


def test_the_net_is_the_papers() -> None:
    assert LAYERS == (9, 16, 16, 1)
    classifier = net()
    assert sum(array.size for array in (*classifier.weights, *classifier.biases)) == 449
    assert sum(2 * weights.size for weights in classifier.weights) == 832  # the paper: 8.3e-7 GFLOP a prediction


def test_a_prediction_is_the_net_written_out() -> None:
    classifier = net()
    row = features(TASK, NODE, 4.0)
    assert row is not None
    x = [(math.log1p(v) - m) / s for v, m, s in zip(row, classifier.mean, classifier.std, strict=True)]
    for i, (weight, bias) in enumerate(zip(classifier.weights, classifier.biases, strict=True)):
        x = [sum(x[a] * weight[a][b] for a in range(len(x))) + bias[b] for b in range(len(bias))]
        x = [max(v, 0.0) for v in x] if i < 2 else x
    estimate = classifier.estimate(TASK, NODE, 4.0)
    assert estimate is not None
    assert estimate.p_gpu == pytest.approx(1 / (1 + math.exp(-x[0])))


def test_many_predictions_at_once_are_each_one() -> None:
    classifier = net()
    rows = np.log1p(np.abs(np.random.default_rng(1).normal(size=(7, 9))) * 1e6)
    assert classifier.probabilities(rows) == pytest.approx([float(classifier.probabilities(row)) for row in rows])


def test_an_unknown_feature_gives_no_estimate() -> None:
    assert net().estimate(TaskSpec(), NODE, 1.0) is None
    assert net().estimate(TASK, CPU_NODE, 1.0) is None


def test_outside_what_it_was_fitted_on_it_says_so() -> None:
    row = features(TASK, NODE, 1.0)
    x = np.log1p(np.array(row))
    inside = net(low=x - 1, high=x + 1).estimate(TASK, NODE, 1.0)
    assert inside is not None
    assert not inside.extrapolating
    for i in range(len(FEATURES)):
        shift = np.zeros(9)
        shift[i] = 1.2  # beyond the margin of a twentieth of the range of 2
        for low, high in ((x - 1 + shift, x + 1 + shift), (x - 1 - shift, x + 1 - shift)):
            outside = net(low=low, high=high).estimate(TASK, NODE, 1.0)
            assert outside is not None
            assert outside.extrapolating


def test_a_file_round_trips() -> None:
    text = json.dumps(net(3).to_dict())
    back = parse_selector(text)
    assert isinstance(back, Selector)
    assert json.dumps(back.to_dict()) == text
    assert back.version == "net-3"
    assert back.estimate(TASK, NODE, 2.0) == net(3).estimate(TASK, NODE, 2.0)
    assert parse_selector(text.encode()).to_dict() == back.to_dict()


def test_a_file_without_a_version_is_named_by_its_content() -> None:
    first, second = parse_selector(without("version")), parse_selector(without("version"))
    assert first.version == second.version
    assert len(first.version) == 12
    other = json.loads(without("version"))
    other["layers"][0]["bias"][0] += 0.5
    assert selector_of(other).version != first.version


REFIT = "placement refit LOG -o FILE"
ARRAY_PATHS = [
    *(("normalisation", name) for name in ("mean", "std", "low", "high")),
    *(("layers", i, name) for i in range(3) for name in ("weights", "bias")),
]
FAULTS: list[tuple[str, str, str, str]] = [
    # what, the file, a part of the message that names the fault, the next step
    ("not_json", "{", "not JSON", REFIT),
    ("empty", "", "not JSON", REFIT),
    ("not_text", "\x00\x01", "not JSON", REFIT),
    ("a_list", "[1]", "one JSON object, not list", REFIT),
    ("nan", json.dumps(VALID).replace('"accuracy": 0.9', '"accuracy": ' + "NaN"), "NaN is not a number", REFIT),
    (
        "infinity",
        json.dumps(VALID).replace('"accuracy": 0.9', '"accuracy": ' + "-Infinity"),
        "-Infinity is not a number",
        REFIT,
    ),
    ("overflow", json.dumps(VALID).replace('"accuracy": 0.9', '"accuracy": ' + "1e999"), "1e999 is too large", REFIT),
    ("long_integer", changed("layers", 0, "bias", 0, to=0).replace("[0,", "[" + "9" * 5000 + ","), "not JSON", REFIT),
    ("older", changed("schema_version", to=0), "schema version 0 is not 1", REFIT),
    ("newer", changed("schema_version", to=2), "schema version 2 is not 1. It is newer", "upgrade ray-placement"),
    ("unversioned", without("schema_version"), "schema version None", REFIT),
    ("unknown_kind", changed("kind", to="oracle"), "kind 'oracle' is not one of ['classifier'", REFIT),
    ("kind_no_name", changed("kind", to=["classifier"]), "kind ['classifier'] is not one of", REFIT),
    ("foreign_features", changed("features", to=["colour"]), "features ['colour']", REFIT),
    ("reordered_features", changed("features", to=sorted(FEATURES)), "are not this package's", REFIT),
    ("features_version", changed("features_version", to=9), "(version 9)", REFIT),
    ("transform", changed("normalisation", "transform", to="sqrt"), "transform is 'sqrt'", REFIT),
    ("no_normalisation", without("normalisation"), "normalisation", REFIT),
    ("normalisation_a_list", changed("normalisation", to=[1]), "normalisation must be an object, not list", REFIT),
    ("negative_std", changed("normalisation", "std", 4, to=-1.0), "std has entries that are not positive", REFIT),
    ("zero_std", changed("normalisation", "std", 4, to=0), "std has entries that are not positive", REFIT),
    ("low_above_high", changed("normalisation", "low", 2, to=99), "low is above", REFIT),
    ("two_layers", changed("layers", to=VALID["layers"][:2]), "needs 3 layers", REFIT),
    ("layers_a_string", changed("layers", to="abc"), "needs 3 layers", REFIT),
    ("layers_a_number", changed("layers", to=3), "needs 3 layers", REFIT),
    ("layer_a_list", changed("layers", 1, to=[1]), "layer must be an object", REFIT),
    ("weights_words", changed("layers", 1, "weights", to="heavy"), "layers[1].weights is not an array", REFIT),
    ("weights_ragged", changed("layers", 1, "weights", 3, to=[1.0]), "layers[1].weights is not an array", REFIT),
    ("weights_too_large", changed("layers", 2, "weights", 0, 0, to=1e300), "layers[2].weights holds", REFIT),
    ("weight_null", changed("layers", 0, "weights", 0, 0, to=None), "layers[0].weights", REFIT),
    ("thresholds_missing", without("thresholds"), "thresholds {}", REFIT),
    ("threshold_missing", without("thresholds", "speedup"), "thresholds {'energy_ratio': 1.5}", REFIT),
    ("threshold_unknown", changed("thresholds", "colour", to=1), "thresholds", REFIT),
    ("threshold_negative", changed("thresholds", "speedup", to=-2), "speedup=-2", REFIT),
    ("threshold_word", changed("thresholds", "energy_ratio", to="much"), "energy_ratio='much'", REFIT),
    ("thresholds_list", changed("thresholds", to=[2, 1.5]), "thresholds must be an object", REFIT),
    ("version_a_number", changed("version", to=3), "version 3 must be a name", REFIT),
    ("version_long", changed("version", to="v" * 101), "at most 100 characters", REFIT),
    ("version_unprintable", changed("version", to="a\nb"), "must be a name", REFIT),
    ("training_a_list", changed("training", to=[]), "training must be an object", REFIT),
    ("deeply_nested", "[" * 100_000 + "]" * 100_000, "not JSON", REFIT),
    ("deep_in_a_field", '{"training": ' + "[" * 100_000 + "]" * 100_000 + "}", "not JSON", REFIT),
    *((f"{path[-1]}_{path[-2]}_missing", without(*path), path[-1], REFIT) for path in ARRAY_PATHS),
    *((f"{path[-1]}_{path[-2]}_short", changed(*path, to=[1, 2]), "must be of shape", REFIT) for path in ARRAY_PATHS),
]


@pytest.mark.parametrize(("text", "fault", "next_step"), [f[1:] for f in FAULTS], ids=[f[0] for f in FAULTS])
def test_a_wrong_file_is_refused_with_the_fault_and_the_next_step(text: str, fault: str, next_step: str) -> None:
    with pytest.raises(SelectorError) as error:
        parse_selector(text)
    assert fault in str(error.value)
    assert next_step in str(error.value)


def test_a_huge_file_is_refused_unread() -> None:
    with pytest.raises(SelectorError, match=f"{LARGEST_FILE_BYTES + 1} bytes is more than.*refit"):
        parse_selector(b" " * (LARGEST_FILE_BYTES + 1))


@pytest.mark.parametrize("field", ["features", "kind", "schema_version", "thresholds", "version"])
def test_a_message_stays_short_however_large_the_fault(field: str) -> None:
    with pytest.raises(SelectorError) as error:
        parse_selector(changed(field, to={f"n{i}": "x" * 1000 for i in range(1000)}))
    assert len(str(error.value)) < 1000


def test_bytes_that_are_no_text_are_refused() -> None:
    with pytest.raises(SelectorError, match="not JSON"):
        parse_selector(b'{"kind": "\xff\xfe"}')


def test_nesting_near_the_recursion_limit_is_read_or_refused() -> None:
    """There a text can be read that could not be written again, to name its version or to save it."""

    def nested(depth: int) -> str:
        return without("version")[:-1] + ', "more": ' + "[" * depth + "]" * depth + "}"

    def is_read(depth: int) -> bool:
        try:
            return bool(json.loads(nested(depth)))
        except RecursionError:
            return False

    limit = bisect.bisect_left(range(100_000), True, key=lambda depth: not is_read(depth))
    assert 100 < limit < 100_000
    for depth in range(limit - 20, limit + 3):
        reads_or_refuses(nested(depth))


def test_the_file_named_is_in_the_message() -> None:
    with pytest.raises(SelectorError, match=r"mine\.json: not JSON"):
        parse_selector("{", "mine.json")


def reads_or_refuses(text: str | bytes) -> bool:
    """A working selector (True) or a SelectorError (False); anything else is a failure."""
    try:
        selector = parse_selector(text)
    except SelectorError:
        return False
    estimate = selector.estimate(TASK, NODE, 1.0)
    assert estimate is not None
    assert 0.0 <= estimate.p_gpu <= 1.0
    assert parse_selector(json.dumps(selector.to_dict())).version == selector.version
    return True


JUNK: list[Callable[[random.Random], Any]] = [
    lambda r: None,
    lambda r: r.choice([True, False]),
    lambda r: r.choice([0, -1, 10**400, 1e308, -1e308, 5e-324, 2**63]),
    lambda r: r.uniform(-1e7, 1e7),
    lambda r: r.choice(["", "x", "NaN", "1.0", "\ud800", "9" * 5000, "classifier"]),
    lambda r: [],
    lambda r: {},
    lambda r: [[0.0] * r.randrange(4)] * r.randrange(4),
]


def mutated_value(data: Any, r: random.Random) -> None:
    """Changes, drops, doubles or adds one value somewhere in the JSON tree."""
    node = data
    while True:
        keys = list(node) if isinstance(node, dict) else range(len(node))
        if not keys:
            return
        key = r.choice(list(keys))
        if isinstance(node[key], dict | list) and r.random() < 0.85:
            node = node[key]
            continue
        action = r.randrange(4)
        if action == 0:
            del node[key]
        elif action == 1 and isinstance(node, list):
            node.insert(key, copy.deepcopy(node[key]))
        elif action == 2 and isinstance(node, dict):
            node["more"] = r.choice(JUNK)(r)
        else:
            node[key] = r.choice(JUNK)(r)
        return


def mutated_text(text: bytes, r: random.Random) -> bytes:
    """Some bytes changed, cut out or doubled."""
    data = bytearray(text)
    for _ in range(r.randint(1, 3)):
        if not data:
            break
        at = r.randrange(len(data))
        action = r.randrange(4)
        if action == 0:
            data[at] = r.randrange(256)
        elif action == 1:
            del data[at : at + r.randint(1, 50)]
        elif action == 2:
            data[at:at] = data[at : at + r.randint(1, 50)]
        else:
            data[at:at] = r.choice([b"e9", b"-", b"NaN", b"null", b"[", b"}", b'"', b"0", b"1e400", b"\xff"])
    return bytes(data)


def fuzz(count: int, seed: int) -> int:
    """How many of so many broken files still gave a working selector."""
    r = random.Random(seed)
    text = json.dumps(VALID)
    read = 0
    for _ in range(count):
        if r.random() < 0.5:
            read += reads_or_refuses(mutated_text(text.encode(), r))
            continue
        data = json.loads(text)
        for _ in range(r.randint(1, 3)):
            mutated_value(data, r)
        read += reads_or_refuses(json.dumps(data))
    return read


@pytest.mark.filterwarnings("error")  # an overflow in the net is a fault too
def test_500_broken_files_are_refused_or_work() -> None:
    assert 0 < fuzz(500, seed=0) < 500  # both ends are reached, or the mutations test nothing


@pytest.mark.slow
@pytest.mark.soak
@pytest.mark.filterwarnings("error")
def test_10_000_broken_files_are_refused_or_work() -> None:
    assert 0 < fuzz(10_000, seed=1) < 10_000


def test_a_belief_tells_its_share_above_a_threshold() -> None:
    def p_gpu(speedup: Spread) -> float:
        return probability_worth(speedup, None, 0.0, JointThreshold())[0]

    assert p_gpu(Spread(math.log(2), 0.5)) == pytest.approx(0.5)
    assert p_gpu(Spread(math.log(2) + 0.5, 0.5)) == pytest.approx(0.8413, abs=1e-4)
    assert (p_gpu(Spread(math.log(2), 0.0)), p_gpu(Spread(0.0, 0.0))) == (1.0, 0.0)


@pytest.mark.parametrize(
    ("energy", "p_gpu", "decides"),
    [
        (None, 0.5, False),
        (Spread(math.log(3.0), 0.1), 0.0, True),  # surely too costly
        (Spread(math.log(0.3), 0.1), 0.5, True),  # surely cheap enough
        (Spread(math.log(1.8), 0.5), 0.5, False),  # the interval does not clear T_e: time decides alone
    ],
)
def test_energy_decides_only_where_its_interval_clears_the_threshold(energy: Any, p_gpu: float, decides: bool) -> None:
    p, said = probability_worth(Spread(math.log(2), 0.5), energy, math.inf, JointThreshold())
    assert (p, said) == (pytest.approx(p_gpu), decides)


def test_an_estimate_says_only_what_is_known() -> None:
    estimate = Estimate(0.7)
    assert (estimate.speedup, estimate.energy_ratio, estimate.cpu_joules) == (None, None, None)
    assert replace(estimate, p_gpu=0.1).source == "selector"
