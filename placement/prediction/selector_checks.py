"""Checks of a selector file's content: each names the first fault and the next step."""

from __future__ import annotations

import hashlib
import json
import reprlib
from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from placement.errors import OptionError, SelectorError
from placement.spec.joint_threshold import JointThreshold

SCHEMA_VERSION = 1
LARGEST_NUMBER = 1e6  # of a weight or a scale in a file: what is beyond overflows into NaN, and no fit gives it
SMALLEST_STD = 1e-6
REFIT = "Refit it: placement refit LOG -o FILE."  # the next step wherever a file is no good


def thresholds_of(data: Mapping[str, Any]) -> JointThreshold:
    """The thresholds a selector file was fitted for."""
    given = mapping_of(data, "thresholds")
    names = [f.name for f in fields(JointThreshold)]
    if sorted(given) != sorted(names):
        raise SelectorError(f"selector file: thresholds {shortened(dict(given))} must give {names}, no more. {REFIT}")
    try:
        return JointThreshold(**given)
    except OptionError as error:
        raise SelectorError(f"selector file: thresholds are not valid: {str(error)[:200]} {REFIT}") from None


def version_of(data: Mapping[str, Any]) -> str:
    """The name of the fitted weights: given in the file, else the first 12 hex digits of its SHA-256."""
    version = data.get("version")
    if version is None:
        text = _json({**data, "version": None}, "what it holds")
        return hashlib.sha256(text.encode()).hexdigest()[:12]
    if not isinstance(version, str) or not 0 < len(version) <= 100 or not version.isprintable():
        raise SelectorError(
            f"selector file: version {shortened(version)} must be a name of at most 100 characters. {REFIT}"
        )
    return version


def shortened(value: Any) -> str:
    """Short text of a value: a broken file may hold megabytes in one field."""
    return reprlib.repr(value)


def mapping_of(data: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """A field of a file that must hold an object; SelectorError where it does not."""
    value = data.get(name, {})
    if not isinstance(value, Mapping):
        raise SelectorError(f"selector file: {name} must be an object, not {type(value).__name__}. {REFIT}")
    return value


def notes_of(data: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """Notes in a file on its making: any JSON object."""
    value = mapping_of(data, name)
    _json(value, name)
    return value


def _json(value: Any, name: str) -> str:
    """JSON text; SelectorError where a selector was given as a dict that no file could hold."""
    try:
        return json.dumps(value, sort_keys=True, allow_nan=False)
    except (TypeError, ValueError, RecursionError) as error:
        raise SelectorError(f"selector file: {name} cannot be written as JSON ({str(error)[:200]}). {REFIT}") from None


def array_of(value: Any, shape: tuple[int, ...], name: str) -> Any:
    """A finite float array of that shape, or SelectorError."""
    import numpy as np

    try:
        array = np.array(value, dtype=np.float64)
    except (TypeError, ValueError, OverflowError):
        raise SelectorError(f"selector file: {name} is not an array of numbers of shape {shape}. {REFIT}") from None
    if array.shape != shape:
        raise SelectorError(f"selector file: {name} must be of shape {shape}, not {array.shape}. {REFIT}")
    if not (np.abs(array) <= LARGEST_NUMBER).all():
        raise SelectorError(
            f"selector file: {name} holds numbers that are not finite or beyond {LARGEST_NUMBER:g}. {REFIT}"
        )
    return array
