"""The price of a joule over time: a schedule (a tariff, the carbon intensity of the grid, a cap in watts). Pure.

A schedule file is CSV with a header; a price holds from its time until the next one:

    time,seconds_per_joule,cap_watts
    00:00,0.001,
    07:00,0.01,900

time: HH:MM (UTC), which returns every day, or dates like 2026-01-31T07:00+01:00 (UTC where they name no offset), of
which the first price also holds before and the last one ever after.  seconds_per_joule: what a joule counts, in seconds
of waiting, 0 or more.  cap_watts: may be left out or empty: no cap.

Near the cap a joule counts more. Work goes on all the same, so the cap is soft: what a dear joule lowers is the joules
that a task takes, and with them the mean draw of the same stream of tasks.
"""

from __future__ import annotations

import csv
import math
import os
import re
from bisect import bisect_right
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

from placement.errors import OptionError

SECONDS_PER_JOULE = 1 / 500  # a busy node of the paper's kinds draws about 500 W: a second saved is worth what it draws
DAY_S = 86_400.0
COLUMNS = ("time", "seconds_per_joule", "cap_watts")
CAP_BEGINS = 0.5
"""Share of the cap from which on a joule counts more."""
CAP_STEPS = 20
"""Steps in which the draw is looked at, up to the cap: costs are worked out anew only where the price has changed."""
LARGEST_CAP_FACTOR = 50.0
_CLOCK = re.compile(r"([01]?\d|2[0-3]):([0-5]\d)")


@dataclass(frozen=True, slots=True)
class PriceSchedule:
    """Prices of a joule, each from its time until the next one.

    times_s: ascending; seconds of the day (UTC) where `daily`, else seconds since the epoch.  prices: seconds per
    joule.  caps: watts of the cluster, infinite where there is no cap.
    """

    times_s: tuple[float, ...]
    prices: tuple[float, ...]
    caps: tuple[float, ...]
    daily: bool

    def row(self, unix_time: float) -> int:
        """Index of the price that holds at a moment."""
        at = bisect_right(self.times_s, unix_time % DAY_S if self.daily else unix_time) - 1
        return at if at >= 0 else len(self.times_s) - 1 if self.daily else 0

    def price(self, unix_time: float, draw_w: float = 0.0) -> float:
        """Seconds per joule at a moment, while the cluster draws so many watts."""
        at = self.row(unix_time)
        cap = self.caps[at]
        return self.prices[at] if cap == math.inf else self.prices[at] + SECONDS_PER_JOULE * cap_charge(draw_w / cap)

    @property
    def has_cap(self) -> bool:
        """Whether the draw of the cluster ever matters."""
        return min(self.caps) < math.inf

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON; read by from_dict."""
        caps = [None if cap == math.inf else cap for cap in self.caps]
        return {**asdict(self), "caps": caps}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> PriceSchedule:
        """The schedule of `to_dict`'s data."""
        caps = tuple(math.inf if cap is None else cap for cap in data["caps"])
        return cls(tuple(data["times_s"]), tuple(data["prices"]), caps, data["daily"])


JoulePrice = float | PriceSchedule | Callable[[float], float]
"""Seconds per joule: a number, a schedule, or a function of the seconds since the epoch."""


def cap_charge(load: float) -> float:
    """The surcharge of a joule, in multiples of SECONDS_PER_JOULE, where the draw is `load` of the cap.

    It is 0 up to CAP_BEGINS and grows as the room that is left shrinks: 1 / room, as in a barrier function.
    """
    stepped = math.floor(load * CAP_STEPS) / CAP_STEPS
    if stepped <= CAP_BEGINS:
        return 0.0
    return min(LARGEST_CAP_FACTOR, (1 - CAP_BEGINS) / max(1 - stepped, 1e-9)) - 1


def price_at(price: JoulePrice, unix_time: float, draw_w: Callable[[], float]) -> float:
    """Seconds per joule at a moment. draw_w: the watts that the cluster draws, looked at where there is a cap.

    Raises OptionError where a function gives no price.
    """
    if isinstance(price, PriceSchedule):
        return price.price(unix_time, draw_w() if price.has_cap else 0.0)
    if not callable(price):
        return price
    found = price(unix_time)
    if not is_price(found):
        raise OptionError(f"seconds_per_joule={price!r} gave {found!r} at {unix_time:.0f} s: it must be 0 or more.")
    return found


def is_price(value: Any) -> bool:
    """Whether a value can be seconds per joule."""
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < math.inf


def joule_price(value: Any, of: str = "seconds_per_joule") -> JoulePrice:
    """A price as a user gives it: a number, a PriceSchedule, the path of a schedule file, or a function of time.

    of: its name in messages. Raises OptionError.
    """
    if isinstance(value, str | os.PathLike):
        return read_schedule(value)
    if isinstance(value, PriceSchedule) or is_price(value) or (callable(value) and not isinstance(value, type)):
        return value  # type: ignore[no-any-return]
    raise OptionError(
        f"{of}={value!r}: must be a number of seconds, 0 or more, a schedule file, a PriceSchedule, or a function of "
        "the seconds since the epoch."
    )


def data_of_price(price: JoulePrice) -> float | dict[str, Any]:
    """A price as plain data for JSON. Raises OptionError of a function, which is none."""
    if isinstance(price, PriceSchedule):
        return price.to_dict()
    if callable(price):
        raise OptionError(
            f"seconds_per_joule={price!r}: a cluster's price is a number or a schedule; give a function to a policy: "
            "policy=Balanced(seconds_per_joule=...)."
        )
    return price


def price_of_data(data: float | Mapping[str, Any] | None) -> float | PriceSchedule | None:
    """The price of `data_of_price`'s data."""
    return PriceSchedule.from_dict(data) if isinstance(data, Mapping) else data


def read_schedule(path: str | os.PathLike[str]) -> PriceSchedule:
    """The schedule of a file; OptionError names the first fault and its line."""
    name = os.fspath(path)
    try:
        text = Path(path).expanduser().read_text("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not text"
        raise OptionError(f"price schedule {name}: cannot be read ({reason}). {_FORMAT}") from None
    return parse_schedule(text, name)


_FORMAT = "It is CSV: time,seconds_per_joule[,cap_watts], with times like 07:00 (UTC, every day) or 2026-01-31T07:00Z."


def parse_schedule(text: str, name: str = "schedule") -> PriceSchedule:
    """The schedule of a file's content."""
    rows = list(csv.reader(text.splitlines()))
    header = tuple(cell.strip() for cell in rows[0]) if rows else ()
    if header not in (COLUMNS, COLUMNS[:2]):
        raise OptionError(f"price schedule {name}: its first line is {','.join(header)!r}. {_FORMAT}")
    found: list[tuple[float, float, float, bool]] = []
    for line, cells in enumerate(rows[1:], 2):
        if any(cell.strip() for cell in cells):
            try:
                found.append(_row(cells, len(header)))
            except ValueError as error:
                raise OptionError(f"price schedule {name}, line {line}: {error}. {_FORMAT}") from None
    times, prices, caps, daily = zip(*found, strict=True) if found else ((), (), (), ())
    if not times or len(set(daily)) > 1 or any(b <= a for a, b in pairwise(times)):
        raise OptionError(f"price schedule {name}: it needs one time or more, ascending, of one kind. {_FORMAT}")
    return PriceSchedule(times, prices, caps, daily[0])


def _row(cells: list[str], columns: int) -> tuple[float, float, float, bool]:
    if len(cells) != columns:
        raise ValueError(f"{len(cells)} values, not {columns}")
    moment, price, cap = (*(cell.strip() for cell in cells), "")[:3]
    clock = _CLOCK.fullmatch(moment)
    seconds_per_joule, watts = float(price), float(cap) if cap else math.inf
    if not is_price(seconds_per_joule):
        raise ValueError(f"seconds_per_joule is {price!r}, and must be 0 or more")
    if not watts > 0:
        raise ValueError(f"cap_watts is {cap!r}, and must be above 0 or empty")
    if clock:
        return 3600.0 * int(clock[1]) + 60.0 * int(clock[2]), seconds_per_joule, watts, True
    date = datetime.fromisoformat(moment)
    return (date if date.tzinfo else date.replace(tzinfo=UTC)).timestamp(), seconds_per_joule, watts, False
