"""Names that the README documented under old modules keep working there, with a warning."""

from __future__ import annotations

import importlib

import pytest

from placement.scheduling.candidates import Choice, Comparison
from placement.scheduling.policies.balanced import score


@pytest.mark.parametrize(("module", "name", "now"), [("policies", "Choice", Choice), ("balance", "score", score)])
def test_a_documented_old_name_works_and_warns(module: str, name: str, now: object) -> None:
    old = importlib.import_module(f"placement.{module}")
    with pytest.warns(DeprecationWarning, match=rf"{name} is placement\.scheduling.* goes with version 0\.3"):
        assert getattr(old, name) is now


def test_an_unknown_name_of_an_old_module_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'nothing'; it has"):
        importlib.import_module("placement.policies").nothing  # noqa: B018 - the look-up is what is tested


def test_an_attribute_under_its_old_name_works_and_warns() -> None:
    comparison = Comparison("A", "gpu", 1.0, 2.0, "A", "cpu", 3.0, 4.0, 1.5)
    choice = Choice("gpu", ("A",), "", comparison=comparison)
    with pytest.warns(DeprecationWarning, match=r"Choice\.weighed is Choice\.comparison now; .* version 0\.4"):
        assert choice.weighed is comparison
