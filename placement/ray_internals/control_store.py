"""Ray's key-value store, in which outlives the placement actor what must. Without it nothing is placed."""

from __future__ import annotations

from ray.experimental.internal_kv import (
    _internal_kv_del as delete,
)
from ray.experimental.internal_kv import (
    _internal_kv_get as get,
)
from ray.experimental.internal_kv import (
    _internal_kv_put as put,
)

__all__ = ["delete", "get", "put"]
