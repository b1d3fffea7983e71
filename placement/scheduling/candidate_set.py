"""CandidateSet: the feasible candidates of one task, by groups of kinds of node that it cannot tell apart.

A choice among a thousand kinds of node then costs no more than one among sixteen. A CandidateSet is also a plain
sequence of Candidates, each made only when it is read: a policy of the user's own sees nothing of groups.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import chain, groupby
from typing import Any, NamedTuple, TypeVar, overload

from placement.prediction.estimate import Estimate, EstimateList, Estimates
from placement.scheduling.candidates import Candidate, Queue, Waits
from placement.scheduling.gpu_share import GpuShare
from placement.spec.joint_threshold import JointThreshold
from placement.spec.task import Device

T = TypeVar("T")
LARGEST_MEMO = 1024
THRESHOLDS = JointThreshold()


class NodeGroup(NamedTuple):
    """Kinds of node that a task cannot tell apart, so that one estimate does for all.

    configs: of all its kinds.  cpu, gpu: those that are candidates on that device, in the inventory's order.
    by_name: `gpu`, sorted.  estimated: index of its estimate, None where there is none (nodes without a GPU).
    """

    configs: tuple[str, ...]
    cpu: tuple[str, ...]
    gpu: tuple[str, ...]
    by_name: tuple[str, ...]
    estimated: int | None


def node_group(configs: Iterable[str], cpu: Iterable[str], gpu: Iterable[str], estimated: int | None) -> NodeGroup:
    """A NodeGroup of these configs."""
    gpu = tuple(gpu)
    return NodeGroup(tuple(configs), tuple(cpu), gpu, tuple(sorted(gpu)), estimated)


class CandidateSet(Sequence[Candidate]):
    """The feasible candidates of one task.

    groups: all; gpu: indices of those that have GPU candidates.  cpu_configs: in the inventory's order.
    costs: for the policy to keep what it computes of the candidates; the set lives in a row of the DecisionTable.
    sorted_options: likewise for exploration.
    thresholds: of the joint threshold, for what is worked out of the estimates.
    shares: of each GPU config's GPUs, where the function allows shares; None: Limits.gpus of any.
    """

    __slots__ = (
        "_all", "_by_group", "_candidates", "_estimate", "_estimates", "_known", "costs", "cpu_configs",
        "gpu", "groups", "memo", "shares", "sorted_options", "thresholds", "waits",
    )  # fmt: skip

    def __init__(
        self,
        groups: Sequence[NodeGroup],
        gpu: Sequence[int],
        cpu_configs: tuple[str, ...],
        estimate: Callable[[], Estimates],
        candidates: Callable[[CandidateSet], Sequence[Candidate]],
        memo: dict[tuple[Any, ...], Any],
        waits: Waits | None,
        thresholds: JointThreshold = THRESHOLDS,
    ) -> None:
        self.thresholds = thresholds
        self.groups = groups
        self.gpu = gpu
        self.cpu_configs = cpu_configs
        self.memo = memo
        self.waits = waits
        self.shares: Mapping[str, GpuShare] | None = None
        self.costs: object = None
        self.sorted_options: object = None
        self._estimate = estimate
        self._estimates: Estimates | None = None
        self._known: list[tuple[float, int]] | None = None
        self._by_group: dict[int, Estimate | None] = {}
        self._all = candidates
        self._candidates: Sequence[Candidate] | None = None

    @property
    def estimates(self) -> Estimates:
        """Estimates of the groups that have one, by their `estimated`."""
        if self._estimates is None:
            self._estimates = self._estimate()
        return self._estimates

    def known(self) -> list[tuple[float, int]]:
        """(P(GPU), node_group) of the GPU candidates of which something is known."""
        if self._known is None:
            groups = self.groups
            p = self.estimates.p_gpu if self.gpu else ()
            self._known = [(q, i) for i in self.gpu if (q := p[groups[i].estimated]) is not None]  # type: ignore[index]
        return self._known

    def is_known(self) -> bool:
        """Whether something is known of a GPU candidate or, where there is none, of the task on any kind of node."""
        return bool(self.known() if self.gpu else [p for p in self.estimates.p_gpu if p is not None])

    def estimate(self, at: int) -> Estimate | None:
        """The estimate of a group; None where there is none. Made once: an estimate of trees takes some 5 us."""
        if at not in self._by_group:
            index = self.groups[at].estimated
            self._by_group[at] = None if index is None else self.estimates[index]
        return self._by_group[at]

    def doubts(self, best: float, known: list[tuple[float, int]]) -> str:
        """The doubts about the surest estimate, as text that is added to a reason."""
        tied = [i for p, i in known if p == best]
        at = tied[0] if len(tied) == 1 else min((self.groups[i].by_name[0], i) for i in tied)[1]
        estimated = self.groups[at].estimated
        return "" if estimated is None else self.estimates.doubts(estimated)

    def draw_w(self) -> float:
        """Watts that the cluster's running tasks draw; 0 where nothing is known of them."""
        return 0.0 if self.waits is None else self.waits.draw_w

    def gpu_configs(self) -> tuple[str, ...]:
        """The GPU candidates' configs, in the inventory's order."""
        return tuple(on("gpu", self))

    def best_first(self, known: list[tuple[float, int]]) -> tuple[str, ...]:
        """The GPU configs of some groups, surest first, by name where they are as sure."""
        if len(known) == 1:
            return self.groups[known[0][1]].by_name
        known = sorted(known, key=surest_first)
        last, key = -1.0, []
        for p, i in known:
            key.append(~i if p == last else i)
            last = p
        pattern = tuple(key)
        found = self.memo.get(pattern)
        if found is None:
            ties = ([self.groups[i].by_name for _, i in tied] for _, tied in groupby(known, lambda one: one[0]))
            found = tuple(chain.from_iterable(sorted(chain.from_iterable(names)) for names in ties))
            self.keep(pattern, found)
        return found

    def keep(self, order: tuple[Any, ...], configs: T) -> T:
        """Keeps the configs of an order of groups, for all candidates of the same groups; returns them."""
        if len(self.memo) >= LARGEST_MEMO:
            self.memo.clear()
        self.memo[order] = configs
        return configs

    def _list(self) -> Sequence[Candidate]:
        if self._candidates is None:
            self._candidates = self._all(self)
        return self._candidates

    def __len__(self) -> int:
        return len(self._list())

    @overload
    def __getitem__(self, index: int) -> Candidate: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Candidate]: ...
    def __getitem__(self, index: int | slice) -> Candidate | Sequence[Candidate]:
        return self._list()[index]


def surest_first(known: tuple[float, int]) -> tuple[float, int]:
    """Sort key: the most probable first, then the lowest index."""
    return -known[0], known[1]


class CandidateWaits:
    """The waits that the Candidates themselves state."""

    __slots__ = ("_waits",)
    age_s = None
    gpu_price = None
    draw_w = 0.0

    def __init__(self, candidates: Sequence[Candidate]) -> None:
        self._waits = {(c.config, c.device): c.wait_s for c in candidates}

    def wait_s(self, config: str, device: Device, /) -> float | None:
        """The wait of the Candidate."""
        return self._waits.get((config, device))

    def waits_s(self, queues: Sequence[Queue], /) -> list[float | None]:
        """The result of wait_s for each of many queues."""
        return [self._waits.get(queue) for queue in queues]


def on(device: Device, candidates: Iterable[Candidate]) -> list[str]:
    """The configs of those on a device."""
    return [candidate.config for candidate in candidates if candidate.device == device]


def candidate_set(candidates: Sequence[Candidate]) -> CandidateSet:
    """Any candidates as a CandidateSet; those of one config that share an Estimate are one group."""
    if isinstance(candidates, CandidateSet):
        return candidates
    by_config: dict[tuple[str, int], list[Candidate]] = {}
    for candidate in candidates:
        by_config.setdefault((candidate.config, id(candidate.estimate)), []).append(candidate)
    groups = [
        node_group([config], on("cpu", same), on("gpu", same), i)
        for i, ((config, _), same) in enumerate(by_config.items())
    ]
    estimates = [same[0].estimate for same in by_config.values()]
    return CandidateSet(
        groups,
        [i for i, one in enumerate(groups) if one.gpu],
        tuple(on("cpu", candidates)),
        lambda: EstimateList(estimates),
        lambda _: candidates,
        {},
        CandidateWaits(candidates),
    )
