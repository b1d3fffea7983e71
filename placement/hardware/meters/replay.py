"""Recorded readings, and the meters' twins that play them back: everything here can be tested without hardware.

A recording is a JSON file: {"version": 1, "about": text, "cpus": 16, "unmeasured": {...}, "channels": [{...Channel's
fields..., "times": [s, ...], "values": [reading or null, ...]}]}. A null is a device that did not answer.
"""

from __future__ import annotations

import json
import os
import time
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path

from placement.errors import LogError
from placement.hardware.meters.channel import Channel, Meter, MeterLostError
from placement.hardware.meters.sampler import Sampler

VERSION = 1


@dataclass(slots=True)
class ReplayMeter:
    """Plays back one channel: `read` gives what was read last before the time that `at` was set to."""

    channel: Channel
    times: Sequence[float]
    values: Sequence[float | None]
    at: float = float("-inf")

    def read(self) -> float:
        """The reading as recorded. Raises MeterLostError where there was none."""
        index = bisect_right(self.times, self.at) - 1
        value = self.values[index] if index >= 0 else None
        if value is None:
            raise MeterLostError(f"{self.channel.name}: did not answer when it was recorded")
        return value


@dataclass(frozen=True, slots=True)
class Recording:
    """Readings of a node's meters. about: which hardware, doing what."""

    meters: tuple[ReplayMeter, ...]
    about: str = ""
    cpus: int | None = None
    unmeasured: Mapping[str, str] = field(default_factory=dict)


def record(
    meters: Sequence[Meter], seconds: float, *, interval_s: float = 0.05, about: str = "", cpus: int | None = None
) -> Recording:
    """Reads the meters for so long and gives what was read. Blocks."""
    readings: list[list[tuple[float, float | None]]] = [[] for _ in meters]
    end = time.time() + seconds
    while time.time() < end:
        for meter, taken in zip(meters, readings, strict=True):
            now = time.time()
            try:
                value: float | None = meter.read()
            except MeterLostError:
                value = None
            taken.append((now, value))
        time.sleep(interval_s)
    twins = [
        ReplayMeter(meter.channel, [now for now, _ in taken], [value for _, value in taken])
        for meter, taken in zip(meters, readings, strict=True)
    ]
    return Recording(tuple(twins), about, cpus)


def replay(recording: Recording) -> Sampler:
    """A Sampler that has taken all of the recording, reading by reading; no thread runs."""
    moment = [0.0]
    sampler = Sampler(recording.meters, recording.unmeasured, cpus=recording.cpus, clock=lambda: moment[0])
    for now in sorted({now for meter in recording.meters for now in meter.times}):
        moment[0] = now
        for meter in recording.meters:
            meter.at = now
        sampler.sample()
    return sampler


def write_recording(recording: Recording, path: str | os.PathLike[str]) -> None:
    """Writes it as JSON."""
    channels = [
        {**asdict(meter.channel), "times": list(meter.times), "values": list(meter.values)}
        for meter in recording.meters
    ]
    content = {
        "version": VERSION,
        "about": recording.about,
        "cpus": recording.cpus,
        "unmeasured": dict(recording.unmeasured),
        "channels": channels,
    }
    Path(path).write_text(json.dumps(content))


def read_recording(path: str | os.PathLike[str]) -> Recording:
    """Reads it. Raises LogError on a file that is no recording, or of a newer version."""
    try:
        content = json.loads(Path(path).read_text())
        if content["version"] > VERSION:
            raise LogError(f"{os.fspath(path)}: recording version {content['version']}; this reads up to {VERSION}.")
        known = {f.name for f in fields(Channel)}
        meters = []
        for entry in content["channels"]:
            times, values = list(entry["times"]), list(entry["values"])
            if len(times) != len(values) or times != sorted(times):
                raise ValueError(f"channel {entry['name']!r}: times must rise, and have a value each")
            meters.append(ReplayMeter(Channel(**{k: v for k, v in entry.items() if k in known}), times, values))
    except LogError:
        raise
    except (ValueError, KeyError, TypeError, UnicodeDecodeError) as fault:
        raise LogError(f"{os.fspath(path)} is no recording of meters: {fault!r}.") from fault
    return Recording(tuple(meters), content.get("about", ""), content.get("cpus"), content.get("unmeasured") or {})
