"""Sizes of arguments, and the cost formula of trees."""

import sys
import time
import timeit
from dataclasses import dataclass

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from placement import describe
from placement.describe import arguments
from placement.errors import SpecError


@dataclass
class Batch:
    name: str
    images: object


class Opaque:
    pass


@pytest.mark.parametrize(
    ("args", "input_bytes", "batch"),
    [
        ((np.zeros((8, 4), "float32"),), 128, 8),
        ((torch.zeros(5, 2), 3), 48, 5),
        (("ab", np.zeros((2, 3))), 50, 2),
        ((pd.DataFrame({"a": np.zeros(10)}, index=range(10)),), None, 10),
        ((pa.table({"a": np.zeros(6)}),), 48, 6),
        ((b"abcd",), 4, 1),
        (("ä",), 2, 1),
        (([b"abcd", b"ef"],), 6, 2),
        (([np.zeros(4), [np.zeros(4), 1]],), 72, 2),
        (({"x": np.zeros((7, 2)), "y": np.zeros(7)},), 168, 7),
        ((Batch("a", np.zeros((3, 2))),), 49, 3),
        ((np.float32(1),), 4, None),
        ((None, print, Batch), 0, None),
        ((), 0, None),
        ((Opaque(), np.zeros((4, 2))), None, 4),
    ],
)
def test_sizes(args, input_bytes, batch):
    spec = describe.of_arguments(*args)
    assert spec.batch_size == batch
    assert spec.flops is None
    if isinstance(args[0] if args else None, pd.DataFrame):
        assert 80 <= spec.input_bytes <= 300  # pandas adds its index
    else:
        assert spec.input_bytes == input_bytes


def test_keywords_count_too():
    assert describe.of_arguments(1, images=np.zeros((2, 8))).input_bytes == 136
    assert describe.of_arguments(images=np.zeros((2, 8))).batch_size == 2


def test_a_list_that_holds_itself_is_unknown():
    loop: list = []
    loop.append(loop)
    assert describe.of_arguments(loop).input_bytes is None


class Failing:
    """As foreign to us as an argument can be: whatever is asked of it fails."""

    def __getattribute__(self, name):
        raise RuntimeError(name)

    def fails(self, *args):
        raise RuntimeError("own code")

    __len__ = __iter__ = __hash__ = __eq__ = __bool__ = fails


class FailingArray:
    __array__ = None
    shape = (3,)

    @property
    def nbytes(self):
        raise ValueError("moved away")


class OddArray(FailingArray):
    def __init__(self, nbytes, shape):
        self.__dict__.update(nbytes_=nbytes)
        self.shape = shape

    nbytes = property(lambda self: self.nbytes_)


class Unhashable(type):
    __hash__ = None

    def __eq__(cls, other):
        raise RuntimeError("types are compared")


class OfUnhashableType(metaclass=Unhashable):
    pass


class Lazy:
    """Not an array, though it has what one has; to look would load it."""

    shape = nbytes = property(lambda self: pytest.fail("was loaded"))


def endless(*_):
    while True:
        yield 1


OddList = type("OddList", (list,), {"__iter__": endless, "__len__": lambda self: -1})
OddDict = type("OddDict", (dict,), {"values": endless, "__iter__": endless, "__len__": Failing.fails})
OddText = type("OddText", (str,), {"__len__": Failing.fails, "isascii": Failing.fails, "encode": Failing.fails})


def odd_arguments():  # made in the test: pytest asks a module's own for this and that
    return [
        Failing(), FailingArray(), Lazy(), OfUnhashableType(), OddArray("many", (3,)), OddArray(-5, (3,)),
        OddArray(float("nan"), (3,)), OddArray([], ()), OddArray(8, ("x",)), OddArray(8, 3), OddArray(8, (-3,)),
        [Failing()], {"a": FailingArray()}, Batch("a", Failing()), Batch.__new__(Batch), iter([1]), endless(),
    ]  # fmt: skip


def test_what_cannot_be_measured_is_unknown_and_no_error():
    for at, odd in enumerate(odd_arguments()):
        assert describe.of_arguments(odd).input_bytes is None, at
        assert describe.of_arguments(images=odd).input_bytes is None, at
        assert describe.of_arguments(odd, np.zeros((2, 8))).flops is None, at


def test_of_a_users_own_collection_the_content_counts():
    for odd, plain in ((OddList([1, 2]), [1, 2]), (OddDict(a=[1, 2]), {"a": [1, 2]}), (OddText("ab"), "ab")):
        assert describe.of_arguments(odd) == describe.of_arguments(plain)
        assert describe.of_arguments([odd]).input_bytes == describe.of_arguments([plain]).input_bytes


def holding_itself(kind):
    made = kind()
    for i in range(3):
        made.append(made) if isinstance(made, list) else made.update({i: made})
    return made


@pytest.mark.parametrize("kind", [list, dict, type("L", (list,), {}), type("D", (dict,), {})])
def test_collections_that_hold_themselves_are_unknown_at_once(kind):
    loop = holding_itself(kind)
    began = time.process_time()
    assert describe.of_arguments(loop).input_bytes is None
    dataclass_loop = Batch("a", None)
    dataclass_loop.images = [dataclass_loop] * 5
    assert describe.of_arguments(dataclass_loop).input_bytes is None
    assert time.process_time() - began < 0.5


def test_large_collections_take_no_longer_than_ten_thousand_items():
    deep = [1]
    for _ in range(200_000):
        deep = [deep]
    wide, least = [[1.0] * 1_000_000] * 3, [[1.0] * 1_000]
    assert describe.of_arguments(wide).input_bytes is None
    assert describe.of_arguments(wide).batch_size == 3
    assert describe.of_arguments(dict.fromkeys(range(100), wide)).input_bytes is None
    assert describe.of_arguments(deep).input_bytes is None

    def best(argument):
        return min(timeit.repeat(lambda: describe.of_arguments(argument), number=1, repeat=20))

    assert best(wide) < 50 * best(least)  # a thousandth part of it is looked at in each


def test_an_object_seen_before_hides_no_later_type():
    describe.of_arguments(object())
    later = dataclass(type("Later", (), {"__annotations__": {"x": int}}))
    assert describe.of_arguments(later(3)).input_bytes == 8


def test_types_made_all_along_are_not_kept_for_ever(monkeypatch):
    monkeypatch.setattr(arguments, "MOST_TYPES", len(arguments.MEASURES) + 5)
    for _ in range(20):
        assert describe.of_arguments(type("L", (list,), {})([1, 2])).input_bytes == 16
    assert len(arguments.MEASURES) == arguments.MOST_TYPES


def test_a_ref_of_unknown_size_is_unknown(monkeypatch):
    import ray

    ref = ray.ObjectRef.from_random()
    assert describe.of_arguments(ref).input_bytes is None  # Ray not started
    monkeypatch.setattr(ray.experimental, "get_local_object_locations", lambda refs: {refs[0]: {"object_size": 77}})
    assert describe.of_arguments(ref, b"123").input_bytes == 80
    monkeypatch.setattr(ray.experimental, "get_local_object_locations", lambda refs: {refs[0]: {"object_size": None}})
    assert describe.of_arguments(ref, b"123").input_bytes is None
    monkeypatch.delitem(sys.modules, "ray")
    assert describe.of_arguments(ref).input_bytes is None


def test_three_arrays_cost_three_microseconds():
    a, b, c = np.zeros((8, 3)), np.zeros((8, 3, 4)), np.zeros(8)

    def best(function):
        return min(timeit.repeat(function, number=2000, repeat=20)) / 2000

    # A call of nothing takes 0.05 us where three arrays take 2 us: a busy machine slows both.
    assert best(lambda: describe.of_arguments(a, b, c)) < max(3e-6, 60 * best(lambda: None))


SIZES = st.integers(1, 10**6)


@given(
    rows=SIZES, columns=st.integers(1, 1000), trees=st.integers(1, 500), depth=st.integers(1, 12), train=st.booleans()
)
def test_trees_grow_with_every_size(rows, columns, trees, depth, train):
    def spec(**changed):
        sizes = {"rows": rows, "columns": columns, "trees": trees, "depth": depth, **changed}
        return describe.of_xgboost(**sizes, train=train)

    least = spec()
    for changed in ({"rows": 2 * rows}, {"columns": 2 * columns}, {"trees": 2 * trees}, {"depth": depth + 1}):
        more = spec(**changed)
        assert more.flops >= least.flops
        assert more.memory_bytes >= least.memory_bytes
    assert least.flops == sum(operation.flops for operation in least.operations)
    assert least.kernels == sum(operation.launches for operation in least.operations)


def test_large_fits_take_about_rows_times_columns_times_levels():
    spec = describe.of_xgboost(10**7, 100, trees=10, depth=6)
    assert spec.flops == pytest.approx(10 * 2 * 1e9 * 3.5, rel=0.01)
    assert spec.batch_size == 10**7
    assert spec.framework == "xgboost"


def test_classes_grow_a_tree_each():
    one, three = (describe.of_xgboost(150, 4, trees=10, depth=3, classes=classes) for classes in (1, 3))
    assert three.parameters == 3 * one.parameters


@pytest.mark.parametrize("bad", [{"rows": 0}, {"depth": 2.5}, {"trees": True}])
def test_trees_refuse_nonsense(bad):
    with pytest.raises(SpecError, match=next(iter(bad))):
        describe.of_xgboost(**{"rows": 10, "columns": 2, "trees": 1, "depth": 1, **bad})
