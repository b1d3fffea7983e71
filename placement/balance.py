"""Policies that see the queues: `balanced`, and the least of time, of energy, or of their product.

`balanced`. Where the device that the paper's threshold names is free, the threshold decides. Where it must be waited
for, every candidate competes with

    end ** SHARPNESS * cost * rate      end = wait + seconds + seconds_per_joule * joules,  cost = end - wait

and the least is taken. The first factor alone would be the earliest end, which fills a queue with whatever came first;
the second lets the tasks that gain most from a device have it. The rate is 1 on CPUs; on GPUs it is what a second of
GPU is going at in seconds of CPU: it begins at the paper's T_t, rises while the GPUs' queue is the longer one and falls
while the CPUs' is. Read as a threshold, it is one that moves with the queues: the GPU is taken where
cost_cpu / cost_gpu >= rate * (end_gpu / end_cpu) ** SHARPNESS. At the rate where the queues stay level each device
holds the tasks it is best at: the rate is then the dual price of the linear programme of `profiling.simulation_bound`.

Seconds that are not known: of the one device from the other's and the speed-up, which a bare P(GPU) implies as
`placement.history.prior_spread` has it; of one kind of node from the others' (their geometric mean). Where nothing
tells any, the threshold decides alone and the reason says so. Joules count only where all candidates' are known.
Where the queues were last told too long ago (the placement actor is gone), they are not looked at, and the reason says
`load_stale`.
"""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from copy import copy
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

from placement.backlog import STALE_S
from placement.candidates import Candidate, Choice, Field, Waits, field_of
from placement.errors import OptionError
from placement.history import prior_spread
from placement.rule import JointThreshold
from placement.task import Device, TaskSpec
from placement.threshold import SelectorPolicy

SHARPNESS = 16.0
LEARNING = 0.05  # of the rate, a decision: half as large or twice did as well in simulation
LARGEST_LOG_RATE = math.log(1e4)
SECONDS_PER_JOULE = 1 / 500  # a busy node of the paper's kinds draws about 500 W: a second saved is worth what it draws
NEAR = 1.05  # ends that differ by less are as good as equal: the estimates are off by more
SAMPLED = 4  # configs of a lot that are looked at; the better of a few drawn is nearly as good as the best of all
MOST_LOOKED_AT = 64  # of all lots together; with many lots fewer of each
THRESHOLDS = JointThreshold()


class Option(NamedTuple):
    """A device of a lot of nodes. joules: 0 where they do not count.  cost: seconds, joules priced in.

    log_cost: its logarithm, once for all decisions.
    """

    device: Device
    configs: tuple[str, ...]
    seconds: float
    joules: float
    cost: float = 0.0
    log_cost: float = 0.0

    def priced(self, seconds_per_joule: float) -> Option:
        """With its cost."""
        cost = self.seconds + seconds_per_joule * self.joules
        return self._replace(cost=cost, log_cost=math.log(cost))


Scored = tuple[float, float, str, Option]
"""(score, wait, config, option): an Option at one of its configs; the least is the best."""


class Plan(NamedTuple):
    """What a policy works out of a field but for the queues, kept with it.

    threshold: what the paper's policy would choose.  free: the same, where it need not wait.  options: None where no
    seconds are known.  floor: the shortest seconds; a wait below is none to speak of.
    within: the options of the threshold's choice, once they were asked for.
    """

    policy: Least
    threshold: Choice
    free: Choice
    options: list[Option] | None
    floor: float
    within: list[Option]


def _options(found: Field) -> list[Option] | None:
    told = [seconds_of(found, i) for i in range(len(found.lots))]
    usual = [geometric_mean([s for one in told if (s := one[at]) is not None]) for at in (0, 1)]
    gpu = set(found.gpu)
    options, joules_known = [], True
    for i, lot in enumerate(found.lots):
        estimate = found.estimate(i)
        sides: tuple[tuple[Device, tuple[str, ...]], ...] = (("cpu", lot.cpu), ("gpu", lot.gpu if i in gpu else ()))
        for (device, configs), own, others in zip(sides, told[i], usual, strict=True):
            seconds = others if own is None else own
            if not configs:
                continue
            if seconds is None:
                return None
            joules = estimate and (estimate.cpu_joules if device == "cpu" else estimate.gpu_joules)
            joules_known = joules_known and joules is not None
            options.append(Option(device, configs, max(seconds, 1e-9), joules or 0.0))
    return options if joules_known else [option._replace(joules=0.0) for option in options]


def seconds_of(found: Field, at: int) -> tuple[float | None, float | None]:
    """(CPU, GPU) seconds of a lot; the one that is not known from the other and the speed-up."""
    estimate = found.estimate(at)
    if estimate is None:
        return None, None
    cpu, gpu = estimate.cpu_seconds, estimate.gpu_seconds
    if (cpu is None) == (gpu is None):
        return cpu, gpu
    belief = prior_spread(estimate, THRESHOLDS)
    speedup = math.exp(belief.mean) if belief else 1.0
    return (gpu * speedup, gpu) if gpu is not None else (cpu, cpu / speedup)  # type: ignore[operator]


def geometric_mean(values: Sequence[float]) -> float | None:
    """None of none."""
    return math.exp(sum(math.log(max(v, 1e-9)) for v in values) / len(values)) if values else None


@dataclass(frozen=True)
class Least:
    """Takes the candidate of the least score; draws among those as good. seed: None draws anew in every process.

    Drivers that decide from the same snapshot would all run to the same node; so ends within NEAR count as equal, the
    choice holds all such configs (Ray takes the first that is free), and which comes first is drawn.
    """

    seconds_per_joule: float = SECONDS_PER_JOULE
    seed: int | None = None
    _threshold: SelectorPolicy = field(default_factory=SelectorPolicy, init=False, repr=False)
    _random: random.Random = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        price = self.seconds_per_joule
        if isinstance(price, bool) or not isinstance(price, int | float) or not 0 <= price < math.inf:
            raise OptionError(
                f"{type(self).__name__}(seconds_per_joule={price!r}): must be a number of seconds, 0 or more."
            )
        object.__setattr__(self, "_random", random.Random(self.seed))

    def choose(self, task: TaskSpec, candidates: Sequence[Candidate]) -> Choice:
        """The best, with all that are as good; the threshold's where no seconds are known."""
        found = field_of(candidates)
        plan = self._plan(task, found)
        if plan.options is None:
            return replace(plan.threshold, reason=f"{plan.threshold.reason}, seconds_unknown")
        if stale(found.waits):
            choice = self._least(plan.options, None, plan)
            return replace(choice, reason=f"{choice.reason}, load_stale", wait_s=None)
        return self._least(plan.options, found.waits, plan)

    def __reduce__(self) -> tuple[Any, ...]:
        """Travels without its state: drivers that drew the same numbers would herd."""
        return type(self), (self.seconds_per_joule, self.seed)

    def __deepcopy__(self, _: object) -> Least:
        """With its state, for a look that changes nothing."""
        other = object.__new__(type(self))
        for name, value in vars(self).items():
            object.__setattr__(other, name, value if isinstance(value, random.Random) else copy(value))
        state = random.Random()
        state.setstate(self._random.getstate())
        object.__setattr__(other, "_random", state)
        return other

    def _plan(self, task: TaskSpec, found: Field) -> Plan:
        kept = found.costs
        if isinstance(kept, Plan) and kept.policy is self:
            return kept
        options = _options(found)
        if options is not None:
            options = [option.priced(self.seconds_per_joule) for option in options]
        floor = min((option.seconds for option in options or ()), default=0.0)
        threshold = self._threshold.choose(task, found)
        plan = Plan(self, threshold, _free(threshold, options), options, floor, [])
        found.costs = plan
        return plan

    reason = "least"

    def score(self, wait: float, option: Option) -> float:
        """What is to be least, as a logarithm."""
        raise NotImplementedError

    def _least(self, options: Sequence[Option], waits: Waits | None, plan: Plan) -> Choice:
        scored = self._scored(options, waits, plan)
        best = min(scored)
        device, enough = best[3].device, best[0] + self._near
        near = [one for one in scored if one[0] <= enough and one[3].device == device]
        first = best
        if len(near) > 1:
            start = int(self._random.random() * len(near))
            near = near[start:] + near[:start]
            first = near[0]
        reason = self._reason(device, first[1], plan.threshold)
        configs = tuple([one[2] for one in near])
        return Choice(device, configs, reason, plan.threshold.probability, 1.0, first[1], first[3].seconds)

    def _reason(self, device: Device, wait: float, threshold: Choice) -> str:  # noqa: ARG002 - Balanced looks
        return self.reason

    _near = math.log(NEAR)

    def _scored(self, options: Sequence[Option], waits: Waits | None, plan: Plan) -> list[Scored]:  # noqa: ARG002
        score = self.score
        return [(score(wait, option), wait, config, option) for wait, config, option in self._waiting(options, waits)]

    def _waiting(self, options: Sequence[Option], waits: Waits | None) -> list[tuple[float, str, Option]]:
        """Every option at its configs, or at some drawn, with the wait there; one of which nothing is known is free."""
        if waits is None:
            return [(0.0, config, option) for option in options for config in self._some(option.configs)]
        wait_s = waits.wait_s
        most = min(SAMPLED, max(1, MOST_LOOKED_AT // len(options)))
        return [
            (wait_s(config, option.device) or 0.0, config, option)
            for option in options
            for config in (option.configs if len(option.configs) <= most else self._some(option.configs, most))
        ]

    def _some(self, configs: tuple[str, ...], most: int = SAMPLED) -> tuple[str, ...]:
        """So many neighbours from a place drawn, or all where there are no more."""
        start = int(self._random.random() * max(1, len(configs) - most + 1))
        return configs[start : start + most]


@dataclass(frozen=True)
class Balanced(Least):
    """The paper's threshold while its device is free; else the earliest end, joules priced in seconds.

    See the module. seconds_per_joule: the price; 0 leaves energy to the threshold.
    """

    _near = SHARPNESS * math.log(NEAR)
    _log_rate: list[float] = field(
        default_factory=lambda: [math.log(THRESHOLDS.speedup)], init=False, repr=False, compare=False
    )

    def choose(self, task: TaskSpec, candidates: Sequence[Candidate]) -> Choice:
        """The threshold's choice, or a better one where that would have to wait."""
        found = field_of(candidates)
        plan, waits = self._plan(task, found), found.waits
        threshold, options = plan.threshold, plan.options
        if waits is None:
            return threshold
        if stale(waits):
            return replace(threshold, reason=f"{threshold.reason}, load_stale")
        free = busy = False
        wait = None
        for config in threshold.configs[:SAMPLED]:
            wait = waits.wait_s(config, threshold.device)
            if wait:
                busy = True
            else:
                free = True
            if free and busy:
                break
        if not busy:
            return threshold if wait is None else plan.free
        if options is None:
            return replace(threshold, reason=f"{threshold.reason}, seconds_unknown")
        if free:
            options = plan.within or _within(options, threshold, plan.within)
        return self._least(options, waits, plan)

    def _reason(self, device: Device, wait: float, threshold: Choice) -> str:
        if device != threshold.device:
            return f"{device}_ends_sooner"
        return f"{threshold.reason}, waits" if wait else threshold.reason

    def _scored(self, options: Sequence[Option], waits: Waits | None, plan: Plan) -> list[Scored]:
        log, rate = math.log, self._log_rate[0]
        cpu = gpu = math.inf
        scored = []
        for wait, config, option in self._waiting(options, waits):
            score = SHARPNESS * log(wait + option.cost) + option.log_cost
            if option.device == "gpu":
                score += rate
                if wait < gpu:
                    gpu = wait
            elif wait < cpu:
                cpu = wait
            scored.append((score, wait, config, option))
        if cpu < math.inf and gpu < math.inf:
            apart = log((gpu + plan.floor) / (cpu + plan.floor))
            rate += LEARNING * min(1.0, max(-1.0, apart))
            self._log_rate[0] = min(LARGEST_LOG_RATE, max(-LARGEST_LOG_RATE, rate))
        return scored


def stale(waits: Waits | None) -> bool:
    """What is known of the queues is too old to be used."""
    age = None if waits is None else waits.age_s
    return age is not None and age > STALE_S


def _free(threshold: Choice, options: Sequence[Option] | None) -> Choice:
    """The threshold's choice with no wait, and the seconds expected."""
    first = threshold.configs[:1]
    found = [o.seconds for o in options or () if o.device == threshold.device and set(first) & set(o.configs)]
    return replace(threshold, wait_s=0.0, seconds=found[0] if found else None)


def the_one(policy: Any, known: list[Any] = []) -> Any:  # noqa: B006 - kept on purpose: one for the process
    """This process's own object of a policy that learns of the queues: what one function's tasks teach, all use."""
    if not isinstance(policy, Least):
        return policy
    for other in known:
        if type(other) is type(policy) and other == policy:
            return other
    known.append(policy)
    return policy


def _within(options: Sequence[Option], choice: Choice, found: list[Option]) -> list[Option]:
    """The options of the device and the configs of a choice, put into `found`."""
    allowed = set(choice.configs)
    cut = ((o, tuple([c for c in o.configs if c in allowed])) for o in options if o.device == choice.device)
    found += [option._replace(configs=configs) for option, configs in cut if configs]
    return found


@dataclass(frozen=True)
class MinTime(Least):
    """The earliest end: wait and seconds; the threshold where no seconds are known."""

    reason = "earliest_end"

    def score(self, wait: float, option: Option) -> float:
        """Log seconds."""
        return math.log(wait + option.seconds)


@dataclass(frozen=True)
class MinEnergy(Least):
    """The least joules, however long it takes; where they are not known, the earliest end."""

    reason = "least_energy"

    def score(self, wait: float, option: Option) -> float:
        """Log joules."""
        return math.log(option.joules or wait + option.seconds)


@dataclass(frozen=True)
class MinEdp(Least):
    """The least product of joules and of the seconds until the end; where joules are not known, the earliest end."""

    reason = "least_energy_delay"

    def score(self, wait: float, option: Option) -> float:
        """Log joule-seconds."""
        return math.log((wait + option.seconds) * (option.joules or 1.0))
