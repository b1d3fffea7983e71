"""Runs one piece of a user's code under ray.remote and under placed_remote, and compares what comes of it.

A case is a function of `remote`, the decorator to use. Its result must be the same either way. A case that ends in an
error of its own compares nothing, so that fails, unless the case is marked with the type that it raises.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import pytest
import ray
from ray import cloudpickle

from placement import TaskSpec, placed_remote
from placement.errors import OptionError

Remote = Callable[..., Any]

SMALL = TaskSpec(flops=1e6, input_bytes=1e3, batch_size=1, parameters=1_000)


def saying(**ours: Any) -> Remote:
    """placed_remote with our options given throughout."""

    def remote(*args: Any, **rays: Any) -> Any:
        if len(args) == 1 and not rays and callable(args[0]):
            return placed_remote(**ours)(args[0])
        return placed_remote(*args, **rays, **ours)

    return remote


WAYS: dict[str, Remote] = {
    "plain": placed_remote,
    "any": saying(devices="any"),
    "spec": saying(spec=SMALL, policy="selector"),  # the default looks at queues: on a busy cluster it takes a GPU
    "gpu": saying(spec=lambda *args, **kwargs: SMALL, policy="gpu_only"),
}
"""Ordinary; described by its arguments; described by a spec, on the CPU; described by a function, on a GPU."""

CPU_WAYS = ("plain", "any", "spec")


class Raised(NamedTuple):
    """What a case raised."""

    types: tuple[str, ...]
    text: str


MISTAKES = (NameError, SyntaxError)
"""Errors of a case's own text. Neither Ray nor placement raises them for what a user does."""


class Case(NamedTuple):
    """A function of the decorator to use, the ways of placing that make sense for it, and what it must raise."""

    body: Callable[[Remote], Any]
    ways: tuple[str, ...]
    raises: type[Exception] | None


def outcome(case: Case, remote: Remote) -> Any:
    """The case's result, or the error that it is marked to raise, without what no two runs have alike."""
    if case.raises is None:
        return alike(case.body(remote))
    try:
        result = case.body(remote)
    except case.raises as error:
        return raised(error)
    raise AssertionError(f"{case.body.__name__} is marked to raise {case.raises.__name__}, but returned {result!r}")


def raised(error: BaseException) -> Raised:
    """An error as data."""
    names = (t.__name__ for t in type(error).__mro__ if t is not OptionError and t.__name__ != "PlacementError")
    return Raised(tuple(names), alike(str(error)))


CHANGING = (
    (r"\x1b\[\d+m", ""),
    (r"pid=\d+", "pid=P"),
    (r"ip=[\d.]+", "ip=I"),
    (r"0x[0-9a-f]+", "0xX"),
    (r"\b[0-9a-f]{24,}\b", "ID"),
    (r"127\.0\.0\.1(:\d+)?|192\.\d+\.\d+\.\d+(:\d+)?", "HOST"),
    (r"\d+\.\d{3,}", "FLOAT"),
)


def alike(value: Any) -> Any:
    """A value without process numbers, addresses and ids."""
    if isinstance(value, str):
        for pattern, name in CHANGING:
            value = re.sub(pattern, name, value)
        return value
    if isinstance(value, BaseException):
        return raised(value)
    if isinstance(value, Mapping):
        return {key: alike(one) for key, one in value.items()}
    if isinstance(value, list | tuple) and not hasattr(value, "_fields"):
        return type(value)(alike(one) for one in value)
    return value


def error_of(action: Callable[[], Any]) -> Any:
    """What an action raises, to be compared, or its result. A mistake in the text of the case goes through."""
    try:
        return action()
    except MISTAKES:
        raise
    except Exception as error:
        return raised(error)


def error_caught(action: Callable[[], Any]) -> Exception | None:
    """The error itself that an action raises; None where it raises none."""
    try:
        action()
    except Exception as error:
        return error
    return None


class Cases:
    """The cases of one file."""

    def __init__(self, module: str) -> None:
        cloudpickle.register_pickle_by_value(sys.modules[module])  # workers cannot import the tests
        self.all: dict[str, Case] = {}
        self._expected: dict[str, Any] = {}

    def case(
        self,
        body: Callable[[Remote], Any] | None = None,
        *,
        ways: tuple[str, ...] = tuple(WAYS),
        raises: type[Exception] | None = None,
    ) -> Any:
        """Registers a case. ways: the ways of placing that make sense.  raises: the type of error that it ends in."""
        if body is None:
            return lambda f: self.case(f, ways=ways, raises=raises)
        assert body.__name__ not in self.all
        self.all[body.__name__] = Case(body, ways, raises)
        return body

    def parametrize(self) -> Any:
        """Every case as an ordinary task and in one way of placing it, which way by turns; the others take `make soak`.

        Ways are outermost, so that workers of one kind are used one after the other.
        """
        return pytest.mark.parametrize(
            ("way", "name"),
            [
                pytest.param(way, name, id=f"{name}-{way}", marks=self._marks(way, i, case.ways))
                for way in WAYS
                for i, (name, case) in enumerate(self.all.items())
                if way in case.ways
            ],
        )

    @staticmethod
    def _marks(way: str, index: int, ways: tuple[str, ...]) -> Any:
        placed = [w for w in ways if w != "plain"]
        return () if way == "plain" or way == placed[index % len(placed)] else pytest.mark.soak

    def check(self, way: str, name: str) -> None:
        """Fails unless the case comes to the same under ray.remote and under this way of placed_remote."""
        case = self.all[name]
        if name not in self._expected:
            self._expected[name] = outcome(case, ray.remote)
            assert "failed to import" not in str(self._expected[name]), self._expected[name]
        expected, got = self._expected[name], outcome(case, WAYS[way])
        assert _same(got, expected), f"placed_remote: {got!r}\nray.remote:    {expected!r}"


def _same(got: Any, expected: Any) -> bool:
    if isinstance(got, Raised) and isinstance(expected, Raised):
        # An unknown option is answered in Ray's own words, and then with the options of placement.
        text = got.text.split(" Those of placement are")[0]
        return got.types == expected.types and text == expected.text
    if isinstance(got, Mapping) and isinstance(expected, Mapping):
        return got.keys() == expected.keys() and all(_same(got[key], expected[key]) for key in got)
    if isinstance(got, list | tuple) and isinstance(expected, list | tuple):
        return (
            type(got) is type(expected)
            and len(got) == len(expected)
            and all(_same(one, other) for one, other in zip(got, expected, strict=True))
        )
    return type(got) is type(expected) and bool(got == expected)
