"""A worker on whose node placement is not installed: reads pickled functions and lists of arguments from its input."""

from __future__ import annotations

import pickle
import sys

from ray import cloudpickle  # noqa: F401 - what the functions are pickled with
from ray._common import signature

sys.modules["placement"] = None  # type: ignore[assignment]
for body in pickle.load(sys.stdin.buffer):
    try:
        pickle.loads(body)
    except ModuleNotFoundError as error:
        print(error)
for flat in pickle.load(sys.stdin.buffer):
    print(signature.recover_args(flat))
