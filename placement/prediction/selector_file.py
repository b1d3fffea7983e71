"""The selector file: JSON, checked on load; nothing of it is ever executed or unpickled."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from importlib import resources
from typing import Any

from placement.errors import SelectorError
from placement.prediction.drift_correction import CORRECTED, drift_correction_of
from placement.prediction.mlp import classifier_of
from placement.prediction.selector import Selector
from placement.prediction.selector_checks import (
    REFIT,
    SCHEMA_VERSION,
    shortened,
)
from placement.prediction.selector_trial import TRIAL, selector_trial_of
from placement.prediction.speedup_selector import RATIO, ROOFLINE, speedup_selector_of

LARGEST_FILE_BYTES = 16 * 2**20


READERS: Mapping[str, Callable[[Mapping[str, Any]], Selector]] = {
    "classifier": classifier_of,
    RATIO: speedup_selector_of,
    ROOFLINE: speedup_selector_of,
    CORRECTED: lambda data: drift_correction_of(data, selector_of),
    TRIAL: lambda data: selector_trial_of(data, selector_of),
}
"""Kind of selector -> the function that makes it of a file's content."""


def selector_of(data: Any) -> Selector:
    """The selector of a file's content; SelectorError says what is wrong with it."""
    if not isinstance(data, Mapping):
        raise SelectorError(f"selector file: must hold one JSON object, not {type(data).__name__}. {REFIT}")
    version = data.get("schema_version")
    if version != SCHEMA_VERSION:
        newer = isinstance(version, int) and version > SCHEMA_VERSION
        hint = "It is newer: upgrade ray-placement." if newer else REFIT
        raise SelectorError(f"selector file: schema version {shortened(version)} is not {SCHEMA_VERSION}. {hint}")
    kind = data.get("kind")
    if not isinstance(kind, str) or kind not in READERS:
        raise SelectorError(f"selector file: kind {shortened(kind)} is not one of {sorted(READERS)}. {REFIT}")
    return READERS[kind](data)


def parse_selector(text: str | bytes, name: str = "selector file") -> Selector:
    """The selector of a file's text; SelectorError says what is wrong with it."""
    if len(text) > LARGEST_FILE_BYTES:
        raise SelectorError(
            f"{name}: {len(text)} bytes is more than the {LARGEST_FILE_BYTES} a selector file may have. {REFIT}"
        )
    try:
        return selector_of(json.loads(text, parse_constant=_refuse_constant, parse_float=_finite))
    except SelectorError:
        raise
    except (ValueError, RecursionError) as error:
        raise SelectorError(f"{name}: not JSON ({str(error)[:200]}). {REFIT}") from None


def shipped_selector() -> Selector:
    """The selector that serves where none is given: fitted on emulated and published pairs, as its file says."""
    return parse_selector(resources.files("placement").joinpath("data/selector.json").read_bytes(), "shipped selector")


def _refuse_constant(name: str) -> float:
    raise ValueError(f"{name} is not a number")


def _finite(digits: str) -> float:
    number = float(digits)
    if not math.isfinite(number):
        raise ValueError(f"{digits} is too large a number")
    return number
