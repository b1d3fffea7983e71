"""Rows of before a drift as they would be now: the seconds and joules of a device's rows times the factor found.

Drifts are events of learning in the log (`placement.log.events`). One that is not whole, or out of all proportion,
changes nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from placement.spec.task import DEVICES

LARGEST_FACTOR = 1e3
SCALED = ("compute_s", "transfer_s", "cpu_joules", "gpu_joules")


class DeviceDrift(NamedTuple):
    """From time_utc on, runs on a device of a config take `factor` times as long."""

    time_utc: float
    config: str
    device: str
    factor: float


def drifts_of(events: Iterable[Mapping[str, Any]]) -> list[DeviceDrift]:
    """The drifts of whole devices among events of learning."""
    found = []
    for event in events:
        config, device, factor = event.get("config"), event.get("device"), event.get("factor")
        of_device = event.get("kind") == "drift" and event.get("corrects") is True
        whole = isinstance(config, str) and device in DEVICES and isinstance(factor, float)
        if of_device and whole and 1 / LARGEST_FACTOR <= factor <= LARGEST_FACTOR:
            found.append(DeviceDrift(float(event["time_utc"]), str(config), str(device), factor))
    return found


def after_drifts(table: pa.Table, drifts: Iterable[DeviceDrift]) -> pa.Table:
    """The table of the log with the rows of before each drift scaled by its factor."""
    for drift in drifts:
        moment = pa.scalar(datetime.fromtimestamp(drift.time_utc, UTC), table.schema.field("time_utc").type)
        here = pc.and_(pc.equal(table["config"], drift.config), pc.equal(table["device"], drift.device))
        before = pc.fill_null(pc.and_(here, pc.less(table["time_utc"], moment)), False)
        for name in SCALED:
            scaled = pc.if_else(before, pc.multiply(table[name], drift.factor), table[name])
            table = table.set_column(table.schema.get_field_index(name), table.schema.field(name), scaled)
    return table
