"""Policies that take the least of something over all candidates and their queues: time, energy, or their product.

Where nothing tells the seconds (see `placement.scheduling.cost_model`), the paper's threshold decides alone and the
reason says so. Where the queues were last told too long ago (the placement actor is gone), they are not looked at, and
the reason says `load_stale`.
"""

from __future__ import annotations

import math
import random
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import ClassVar, NamedTuple

from placement.scheduling.candidate_set import CandidateSet, candidate_set
from placement.scheduling.candidates import Candidate, Choice, Comparison, Queue, Waits
from placement.scheduling.cost_model import SECONDS_PER_JOULE, Option, Places, options_of
from placement.scheduling.energy_price import JoulePrice, PriceSchedule, joule_price, price_at
from placement.scheduling.policies.selector_policy import SelectorPolicy
from placement.scheduling.queue_model import STALE_S
from placement.spec.task import Device, TaskSpec

NEAR = 1.05  # ends that differ by less are as good as equal: the estimates are off by more
SAMPLED = 4  # configs of a group that are looked at; the better of a few drawn is nearly as good as the best of all
MOST_LOOKED_AT = 64  # of all groups together; with many groups fewer of each

THRESHOLD = SelectorPolicy()
UNSEEDED = random.Random()
"""Draws of the policies without a seed. Not the `random` module's own generator, whose numbers are the user's; and no
part of a policy, for drivers that were sent the same state would all draw the same nodes."""


class PricedOptions(NamedTuple):
    """Options to choose from. places: all of them, where they are few enough to be looked at each time."""

    options: list[Option]
    places: Places | None


class CostTable(NamedTuple):
    """The part of a choice that does not depend on the queues, kept with the CandidateSet it is made of.

    threshold: the choice of the paper's policy.  first: the queue of its best config.
    all: the options; None where no seconds are known.
    floor: the shortest seconds; a wait below is none to speak of.  price: of a joule, in seconds.
    """

    policy: MinScorePolicy
    threshold: Choice
    first: Queue
    all: PricedOptions | None
    floor: float
    price: float


@dataclass
class MinScorePolicy(ABC):
    """Takes the candidate of the least score; draws among those as good. seed: None draws anew in every process.

    Drivers that decide from the same snapshot would all run to the same node; so among nodes alike ends within NEAR
    count as equal, the choice holds all such configs (Ray takes the first that is free), and which comes first is
    drawn. Never among others: at the end of a long queue NEAR hides a node that takes twice the seconds.

    seconds_per_joule: the price of a joule: a number, a schedule file, a PriceSchedule, or a function of the seconds
    since the epoch (see `placement.scheduling.energy_price`).  clock: gives these seconds when a task is decided.
    """

    seconds_per_joule: JoulePrice | str = SECONDS_PER_JOULE
    seed: int | None = None
    clock: Callable[[], float] = field(default=time.time, repr=False, compare=False)
    _price: JoulePrice = field(init=False, repr=False, compare=False)
    _capped: bool = field(init=False, repr=False, compare=False)
    _random: random.Random | None = field(init=False, repr=False, compare=False)
    needs_estimates: ClassVar[bool] = True
    draws: ClassVar[bool] = True
    reason: ClassVar[str]
    _near: ClassVar[float] = NEAR

    def __post_init__(self) -> None:
        self._price = joule_price(self.seconds_per_joule, f"{type(self).__name__}(seconds_per_joule)")
        self.seconds_per_joule = self._price
        self._capped = isinstance(self._price, PriceSchedule) and self._price.has_cap
        self._random = None if self.seed is None else random.Random(self.seed)

    @abstractmethod
    def _scores(self, waits: Sequence[float], places: Places, gpu_price: float, named: Device) -> list[float]:
        """The score of each place, given the seconds until it is free; the least is taken.

        named: the device that the threshold names.
        """

    def cost_of(self, option: Option) -> float:
        """The figure by which idle devices are compared, in proportion to the seconds of the option."""
        return option.cost

    def choose(self, task: TaskSpec, candidates: Sequence[Candidate]) -> Choice:
        """The best, with all that are as good; the threshold's where no seconds are known."""
        found = candidate_set(candidates)
        plan = self._plan(task, found)
        if plan.all is None:
            return replace(plan.threshold, reason=f"{plan.threshold.reason}, seconds_unknown")
        if stale(found.waits):
            choice = self._least(plan.all, None, plan)
            return replace(choice, reason=f"{choice.reason}, load_stale", wait_s=None, comparison=None)
        return self._least(plan.all, found.waits, plan)

    def _plan(self, task: TaskSpec, found: CandidateSet) -> CostTable:
        kept, price = found.costs, self._price
        if not isinstance(price, float | int):
            price = price_at(price, self.clock(), found.draw_w)
        if isinstance(kept, CostTable) and kept.price == price and (kept.policy is self or kept.policy == self):
            return kept
        options = options_of(found)
        threshold = THRESHOLD.choose(task, found)
        priced = None
        if options is not None:
            options = [option.priced(price) for option in options]
            priced = priced_options(options)
        floor = min((option.seconds for option in options or ()), default=0.0)
        plan = CostTable(self, threshold, (threshold.configs[0], threshold.device), priced, floor, price)
        found.costs = plan
        return plan

    def _least(self, priced: PricedOptions, waits: Waits | None, plan: CostTable) -> Choice:
        places = priced.places or self._drawn(priced.options)
        asked = waits.waits_s(places.queues) if waits is not None else [None] * len(places.queues)
        told = [wait or 0.0 for wait in asked]  # one of which nothing is known is free
        moved = None if waits is None else self._moved_price(waits.gpu_price, told, places, plan)
        gpu_price = 1.0 if moved is None else moved
        places = self._repriced(told, places, gpu_price)
        scores = self._scores(told, places, gpu_price, plan.threshold.device)
        least = min(scores)
        best = scores.index(least)
        near = [i for i in places.alike(best) if scores[i] <= least * self._near]
        if len(near) > 1:
            start = int(self._draw() * len(near))
            near = near[start:] + near[:start]
        first = near[0]
        queues, wait = places.queues, told[first]
        for i in near:
            scores[i] = math.inf
        rival = min(scores)
        comparison = None
        if waits is not None and rival < math.inf:
            comparison = compare(told, places, first, scores.index(rival), gpu_price)
        device, threshold = queues[first][1], plan.threshold
        return Choice(
            device, tuple([queues[i][0] for i in near]), self._reason(device, wait, threshold), threshold.probability,
            1.0, wait, places.seconds[first], comparison, moved, joules=places.joules[first] if self._capped else None,
        )  # fmt: skip

    def _moved_price(
        self, price: float | None, waits: Sequence[float], places: Places, plan: CostTable
    ) -> float | None:
        """The price of a second of GPU, in seconds of CPU, after this look at the queues; None where it is fixed at 1.

        price: the one before; None where it was never moved.
        """
        return None

    def _repriced(self, waits: Sequence[float], places: Places, gpu_price: float) -> Places:
        """The places with the costs that hold at this price of a second of GPU."""
        return places

    def _draw(self) -> float:
        return (self._random or UNSEEDED).random()

    def _reason(self, device: Device, wait: float, threshold: Choice) -> str:
        return self.reason

    def _drawn(self, options: Sequence[Option]) -> Places:
        """Some neighbours of each option's configs, from a place drawn; so many that all together are few."""
        most, drawn = most_of(options), []
        for option in options:
            start = int(self._draw() * max(1, len(option.configs) - most + 1))
            drawn.append((option, option.configs[start : start + most]))
        return Places.of(drawn)


@dataclass
class MinTime(MinScorePolicy):
    """The earliest end: wait and seconds; the threshold where no seconds are known."""

    reason = "earliest_end"

    def cost_of(self, option: Option) -> float:
        """Its seconds."""
        return option.seconds

    def _scores(self, waits: Sequence[float], places: Places, gpu_price: float, named: Device) -> list[float]:
        return [wait + seconds for wait, seconds in zip(waits, places.seconds, strict=True)]


@dataclass
class MinEnergy(MinScorePolicy):
    """The least joules, however long it takes; where they are not known, the earliest end."""

    reason = "least_energy"

    def cost_of(self, option: Option) -> float:
        """Its joules, or seconds where they are not known."""
        return option.joules or option.seconds

    def _scores(self, waits: Sequence[float], places: Places, gpu_price: float, named: Device) -> list[float]:
        each = zip(waits, places.seconds, places.joules, strict=True)
        return [joules or wait + seconds for wait, seconds, joules in each]


@dataclass
class MinEdp(MinScorePolicy):
    """The least product of joules and of the seconds until the end; where joules are not known, the earliest end."""

    reason = "least_energy_delay"

    def cost_of(self, option: Option) -> float:
        """The geometric mean of its seconds and joules, or seconds where these are not known."""
        return math.sqrt(option.seconds * (option.joules or option.seconds))

    def _scores(self, waits: Sequence[float], places: Places, gpu_price: float, named: Device) -> list[float]:
        each = zip(waits, places.seconds, places.joules, strict=True)
        return [(wait + seconds) * (joules or 1.0) for wait, seconds, joules in each]


def compare(waits: Sequence[float], places: Places, first: int, other: int, gpu_price: float) -> Comparison:
    """The place that was taken beside another one."""
    return Comparison(
        *places.queues[first], waits[first], places.costs[first],
        *places.queues[other], waits[other], places.costs[other], gpu_price,
    )  # fmt: skip


def stale(waits: Waits | None) -> bool:
    """Whether the last poll of the queues is too old to be used."""
    age = None if waits is None else waits.age_s
    return age is not None and age > STALE_S


def most_of(options: Sequence[Option]) -> int:
    """Number of configs that are compared of each option."""
    return min(SAMPLED, max(1, MOST_LOOKED_AT // max(1, len(options))))


def priced_options(options: list[Option]) -> PricedOptions:
    """The options with their places, where all are compared each time."""
    most = most_of(options)
    all_of_them = all(len(option.configs) <= most for option in options)
    return PricedOptions(options, Places.of((o, o.configs) for o in options) if all_of_them else None)
