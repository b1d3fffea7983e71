"""The comparison itself: what a case may end in, and that a mistake in its text is not taken for Ray's behaviour."""

from __future__ import annotations

from typing import Any

import pytest
from comparing import Cases, Remote, error_of


@pytest.fixture
def cases() -> Cases:
    return Cases(__name__)


def check(cases: Cases) -> None:
    """Compares the only case there is with itself: no case here uses the decorator."""
    (name,) = cases.all
    cases.check("plain", name)


def test_a_case_that_returns_the_same_passes(cases: Cases) -> None:
    cases.case(lambda remote: [1, "two"])
    check(cases)


def test_a_case_whose_own_body_raises_fails(cases: Cases) -> None:
    @cases.case
    def typo(remote: Remote) -> Any:
        return remoet  # type: ignore[name-defined]  # noqa: F821

    with pytest.raises(NameError, match="remoet"):
        check(cases)


def test_an_error_that_is_compared_is_not_the_cases_own_mistake(cases: Cases) -> None:
    @cases.case
    def typo(remote: Remote) -> Any:
        return error_of(lambda: remoet(1))  # type: ignore[name-defined]  # noqa: F821

    with pytest.raises(NameError, match="remoet"):
        check(cases)


def test_a_case_marked_with_what_it_raises_passes(cases: Cases) -> None:
    @cases.case(raises=ValueError)
    def fails(remote: Remote) -> Any:
        raise ValueError("as marked")

    check(cases)


def test_a_case_that_raises_another_type_than_it_is_marked_with_fails(cases: Cases) -> None:
    @cases.case(raises=ValueError)
    def fails(remote: Remote) -> Any:
        raise KeyError("another")

    with pytest.raises(KeyError, match="another"):
        check(cases)


def test_a_case_that_is_marked_to_raise_and_returns_fails(cases: Cases) -> None:
    @cases.case(raises=ValueError)
    def returns(remote: Remote) -> Any:
        return 3

    with pytest.raises(AssertionError, match=r"returns is marked to raise ValueError, but returned 3"):
        check(cases)


def test_results_that_differ_fail(cases: Cases) -> None:
    made = iter((1, 2))

    @cases.case
    def differs(remote: Remote) -> Any:
        return next(made)

    with pytest.raises(AssertionError, match=r"placed_remote: 2\nray.remote:    1"):
        check(cases)
