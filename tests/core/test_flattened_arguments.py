"""The flat list of arguments: what Ray makes of it in a worker is what the caller gave, and the Envelope before it."""

from __future__ import annotations

import inspect
import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ray import cloudpickle
from ray._common import signature

from placement.submission.exported_function import PlacedBody
from placement.submission.fast_submit import fitting
from placement.worker.envelope_transport import PickledBody, read_envelopes
from placement.worker.flattened_arguments import NAMELESS, carries, flattened, opened

LOOKS_LIKE_OURS = [b"\x00placed:x", b"\x00placed=", b"\x00placed.", "\x00placed:", NAMELESS, b"", "__RAY_DUMMY__"]
VALUES = st.one_of(st.integers(), st.binary(), st.text(), st.none(), st.sampled_from(LOOKS_LIKE_OURS))
KEYWORDS = st.one_of(
    st.text(),
    st.sampled_from(["", "x", "_placement_envelope", "__RAY_DUMMY__", "\x00placed:", "\ud800", "a b", "=", "."]),
)
ARGS, KWARGS = st.lists(VALUES, max_size=4), st.dictionaries(KEYWORDS, VALUES, max_size=4)
PACKED = st.one_of(st.binary(max_size=400), st.sampled_from([b"", b"\x00placed=", NAMELESS]))


@pytest.fixture(autouse=True)
def _rays_own_afterwards(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(signature, "recover_args", signature.recover_args)


def test_nameless_is_rays_word_for_it() -> None:
    assert NAMELESS == signature.DUMMY_TYPE


@given(ARGS, KWARGS)
def test_without_an_envelope_it_is_rays_own_list(args: list[Any], kwargs: dict[str, Any]) -> None:
    anything = list(inspect.signature(lambda *_args, **_kwargs: None).parameters.values())
    flat = flattened(args, kwargs)
    assert flat == signature.flatten_args(anything, tuple(args), kwargs)
    assert not carries(flat)


@given(ARGS, KWARGS, PACKED)
def test_an_envelope_comes_out_and_leaves_the_arguments_as_they_were(
    args: list[Any], kwargs: dict[str, Any], packed: bytes
) -> None:
    flat = flattened(args, kwargs, packed)
    assert carries(flat)
    assert opened(flat) == packed
    assert flat == flattened(args, kwargs)


@given(ARGS, KWARGS, PACKED)
def test_it_takes_no_item_of_its_own_beside_an_argument(args: list[Any], kwargs: dict[str, Any], packed: bytes) -> None:
    flat = flattened(args, kwargs, packed)
    assert len(flat) == max(1, 2 * (len(args) + len(kwargs)))
    assert type(flat[0]) is bytes  # the cheapest to serialise
    assert flat[1:] == flattened(args, kwargs)[1:]  # an ObjectRef stays where Ray looks for it


@given(ARGS, KWARGS, PACKED)
def test_a_worker_gets_the_envelope_first(args: list[Any], kwargs: dict[str, Any], packed: bytes) -> None:
    read_envelopes()
    assert signature.recover_args(flattened(args, kwargs, packed)) == ([packed, *args], kwargs)
    assert signature.recover_args(flattened(args, kwargs)) == (args, kwargs)


def double(x: int) -> int:
    return 2 * x


def body() -> bytes:
    return cloudpickle.dumps(PickledBody(pickle.dumps(PlacedBody(double, "double"))))


def test_a_worker_that_has_loaded_a_placed_function_reads_envelopes_once() -> None:
    rays, pickled = signature.recover_args, body()
    assert signature.recover_args is rays  # a caller's is left alone
    assert pickle.loads(pickled).function is double
    reading = signature.recover_args
    assert reading([*flattened([7], {}, b"packed")]) == ([b"packed", 7], {})
    pickle.loads(pickled)
    assert signature.recover_args is reading is not rays


WITHOUT_PLACEMENT = Path(__file__).parent / "programs" / "worker_without_placement.py"


def test_where_placement_is_not_installed_ray_can_say_so() -> None:
    flat = [flattened([7], {}, b"packed"), flattened([], {"x": 1}, b"packed"), flattened([], {}, b"packed")]
    done = subprocess.run(
        [sys.executable, str(WITHOUT_PLACEMENT)], input=pickle.dumps([body()] * 2) + pickle.dumps(flat),
        capture_output=True, check=True, timeout=600,
    )  # fmt: skip
    failed, again, *recovered = done.stdout.decode().splitlines()
    assert failed == again
    assert "placement" in failed
    assert recovered == ["([b'packed', 7], {})", "([b'packed'], {'x': 1})", "([b'packed'], {})"]


SIGNATURES: list[Any] = [
    lambda: 0, lambda x: 0, lambda x=1: 0, lambda x, y, z=1: 0, lambda *a: 0, lambda x, *a: 0, lambda x, /, y=1: 0,
    lambda *, k: 0, lambda x, *, k=1: 0, lambda x, *a, k: 0, lambda **kw: 0, lambda x, **kw: 0,
]  # fmt: skip


@pytest.mark.parametrize("function", SIGNATURES)
@pytest.mark.parametrize("count", range(5))
def test_what_is_said_to_fit_a_signature_fits_it(function: Any, count: int) -> None:
    signature = inspect.signature(function)
    try:
        signature.bind(*range(count))
        fits = True
    except TypeError:
        fits = False
    assert fitting(signature)(count) == fits
