"""Handle: the calls of a placed function are decided, packed and submitted; the work they share is done once.

Imported at the first call, so that decorating a function imports nothing of what a decision takes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from placement.messages.envelope import Envelope, with_comparison
from placement.ray_internals.connection import auto_init_ray, client_mode_should_convert, connection
from placement.ray_internals.names import has_nodes
from placement.ray_internals.worker_hooks import can_retire
from placement.scheduling.decision import Decision
from placement.scheduling.explanation import Explanation
from placement.scheduling.snapshot import Snapshot
from placement.spec.task import TaskSpec
from placement.submission.first_calls import FirstCalls, must_not_wait
from placement.submission.map_call import mapped
from placement.submission.map_results import Results
from placement.submission.options import PlacementOptions
from placement.submission.placer import Placer
from placement.submission.ray_constraints import caller_context
from placement.submission.recent_decisions import SentTask, remember
from placement.submission.snapshot_client import caller
from placement.submission.variants import Way, own_pool

if TYPE_CHECKING:
    from ray.dag.function_node import FunctionNode

    from placement.submission.captured_function import CapturedFunction


class CallPlan(NamedTuple):
    """The submission of tasks of one size while the snapshot stands. sent: the entry for `placement.explain(ref)`."""

    task: TaskSpec
    submit: Callable[..., Any]
    packed: bytes
    sent: SentTask


class Target(Protocol):
    """The placed function that a Handle submits."""

    name: str
    captured: CapturedFunction
    _function: Any
    _decorator: Any

    @property
    def check_arguments(self) -> Callable[[Any, Any], None]:
        """Raises the TypeError of arguments that do not fit the user's signature."""

    def code_hash(self, *, submitted: bool = True) -> str:
        """A name of what the function is; submitted: it is captured now if it was not before."""

    def submit_plainly(self, args: Any, kwargs: Any, **given: Any) -> Any:
        """An ordinary task of the user's own function."""

    def bind_plainly(self, args: Any, kwargs: Any) -> FunctionNode:
        """A node of Ray's own, whose task is not placed."""

    def variant(self, way: Way) -> Any:
        """The function in a way to run; its `submitter(options)` gives submit(args, kwargs, packed)."""


class Handle:
    """A placed function with options: what `.options()` returns and what the function itself submits through."""

    def __init__(self, function: Target, options: PlacementOptions, ray_options: dict[str, Any]) -> None:
        self._function = function
        self._options = options
        self._ray_options = ray_options
        self._placer = Placer(function.name, options, ray_options, function.check_arguments, explores=True)
        self._submitters: dict[Any, Callable[..., Any]] = {}
        self._first_calls: FirstCalls | None = None

    def remote(self, /, *args: Any, **kwargs: Any) -> Any:
        """Decides and submits; an ObjectRef like any other."""
        function = self._function
        if client_mode_should_convert():
            return function.submit_plainly(args, kwargs, **self._ray_options)
        if function._decorator is not None:
            return function._decorator(self._submit)(args, kwargs)
        return self._submit(args, kwargs)

    def fetch_snapshot(self) -> None:
        """Waits for the process's first snapshot, and imports what a decision takes."""
        caller().current()

    def _submit(self, args: Any, kwargs: Any) -> Any:
        if not connection.connected:
            auto_init_ray()
            connection.check_connected()
        if caller().snapshot is None and not connection.load_code_from_local and must_not_wait(self.fetch_snapshot):
            if self._first_calls is None:
                self._first_calls = FirstCalls(self._function, self._options, self._ray_options)
            return self._first_calls.submit(args, kwargs)
        plan = self._plan(args, kwargs)
        refs = plan.submit(args, kwargs, plan.packed)
        remember(refs, plan.sent)
        return refs

    def map(
        self, iterable: Iterable[Any], *, ordered: bool = True, in_flight: int | None = None,
        return_exceptions: bool = False,
    ) -> Results:  # fmt: skip
        """The results of one task for each item; see placement.submission.map_results."""
        return mapped(self, iterable, ordered, in_flight, return_exceptions)

    def explain(self, /, *args: Any, **kwargs: Any) -> Explanation:
        """The decision for these arguments as it would be now: every candidate, and why it was or was not taken."""
        self._placer.key = self.history_key(submitted=False)
        return self._placer.explain(args, kwargs)

    def history_key(self, *, submitted: bool = True) -> str:
        """The key under which history keeps the runs of this function under these options."""
        code_hash = self._function.code_hash(submitted=submitted)
        return self._function.captured.history_key(self._function.name, code_hash, self._ray_options.get("name"))

    def bind(self, /, *args: Any, **kwargs: Any) -> FunctionNode:
        """A node of a Ray DAG, placed when the DAG is executed."""
        if not has_nodes():
            return self._function.bind_plainly(args, kwargs)
        from placement.submission.dag_nodes import PlacedNode

        return PlacedNode(self, self._function._function, args, kwargs, self._ray_options)

    def _plan(self, args: Any, kwargs: Any) -> CallPlan:
        snapshot, context = caller().current(), caller_context()
        placer = self._placer
        table = placer.table
        if table is None or table.snapshot is not snapshot or table.context != context:  # `table_for`, without its call
            placer.key = self.history_key()
            snapshot.history.mark_current(placer.key)
            table = placer.table_for(snapshot, context)
        task = placer.task(args, kwargs)
        plan: CallPlan | None = table.plans.get(id(task))
        if plan is not None and plan.task is task:
            return plan
        decision = placer.decide(task, snapshot, context)
        decision = placer.prefer_local_data(decision, task, args, kwargs, snapshot, context)
        placer.count(decision, snapshot)
        sent = SentTask(placer.key, table.limits, task, decision, snapshot)
        repeats = placer.repeats(decision, snapshot)
        # Where each task is decided anew, most come to the same all the same: what is sent is then packed already.
        key: Any = id(task) if repeats else (id(task), *envelope_key(decision))
        plan = None if repeats else table.plans.get(key)
        if plan is not None and plan.task is task:
            return CallPlan(task, plan.submit, with_comparison(plan.packed, decision.comparison), sent)
        repeatable = not (self._options.strict or self._options.side_effects)
        packed = Envelope(task, decision, repeatable, placer.key).pack()
        plan = CallPlan(task, self._submitter(decision, snapshot, context, task), packed, sent)
        table.keep_plan(key, plan)
        return plan._replace(packed=with_comparison(packed, decision.comparison)) if decision.comparison else plan

    def _submitter(self, decision: Decision, snapshot: Snapshot, context: Any, task: TaskSpec) -> Callable[..., Any]:
        """A cached handle of Ray's for each (device, nodes): it costs no more than a plain call."""
        if connection.load_code_from_local:
            # Workers then import the user's function by its name, and know nothing of an Envelope.
            plainly = self._function.submit_plainly
            return lambda args, kwargs, _: plainly(args, kwargs, **self._ray_options)
        options = self._placer.ray_options_for(decision, snapshot, context, task)
        way: Way = decision.device if keeps_device(decision, snapshot) else "gpu_once"
        pooled = way == "gpu" and "max_calls" not in self._ray_options and uses_cuda(decision, snapshot)
        nodes = str(options.get("label_selector")), str(options.get("fallback_strategy"))
        key = (way, pooled, options.get("num_gpus"), *nodes)
        submit = self._submitters.get(key)
        if submit is None:
            if pooled:
                options["runtime_env"] = own_pool(options.get("runtime_env"), self._placer.key)
            submit = self._function.variant(way).submitter(options)
            self._submitters[key] = submit
        return submit

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_submitters": {}, "_first_calls": None}


def envelope_key(decision: Decision) -> tuple[Any, ...]:
    """The parts of a decision that travel with its task and may change while the snapshot stands."""
    return (
        decision.device, tuple(decision.configs), decision.gpus, decision.reason, decision.probability,
        decision.propensity,
    )  # fmt: skip


def keeps_device(decision: Decision, snapshot: Snapshot) -> bool:
    """The next task of a kept worker gets the device that this one gets, for its nodes have no other GPU to give.

    CUDA stays with the first device that a process saw; a worker whose next task may get another must end.
    """
    if decision.device == "cpu":
        return True
    granted = [kind.grants_gpus for kind in snapshot.inventory.kinds if kind.spec.config in decision.configs]
    return bool(granted) and all(gpus <= max(1.0, decision.gpus) for gpus in granted) and can_retire()


def uses_cuda(decision: Decision, snapshot: Snapshot) -> bool:
    """The task may initialise CUDA: some node of its is no emulated one."""
    return any(not kind.spec.emulated for kind in snapshot.inventory.kinds if kind.spec.config in decision.configs)
