# mypy: disable-error-code="overload-overlap"
# A generator function is also a function: the narrower signature comes first.
"""placed_remote as a type checker sees it: keyword arguments, return types and the names of options survive.

A function is known by its whole signature: called by keywords or positions it takes what the function takes, and by
positions alone also an ObjectRef in the place of any argument (as Ray's own types allow it).
"""

from collections.abc import AsyncIterator, Callable, Generator, Iterable, Iterator, Mapping, Sequence
from typing import Any, Generic, Literal, ParamSpec, Protocol, TypedDict, TypeVar, Unpack, overload

from ray import ObjectRef
from ray.actor import ActorClass, ActorHandle
from ray.dag.class_node import ClassNode
from ray.dag.dag_node import DAGNode
from ray.dag.function_node import FunctionNode
from ray.util.placement_group import PlacementGroup
from ray.util.scheduling_strategies import SchedulingStrategyT

from placement.scheduling.candidates import Policy
from placement.scheduling.explanation import Explanation
from placement.spec.task import TaskSpec

F = TypeVar("F", bound=Callable[..., Any])
F_co = TypeVar("F_co", bound=Callable[..., Any], covariant=True)
P = ParamSpec("P")
R = TypeVar("R")
R_co = TypeVar("R_co", covariant=True)
T = TypeVar("T")
T0 = TypeVar("T0")
T1 = TypeVar("T1")
T2 = TypeVar("T2")
T3 = TypeVar("T3")
T4 = TypeVar("T4")
T5 = TypeVar("T5")
T6 = TypeVar("T6")
T7 = TypeVar("T7")

class OurOptions(TypedDict, total=False):
    """See placement.submission.options.PlacementOptions."""

    spec: TaskSpec | Callable[..., TaskSpec | None] | None
    devices: Literal["any"] | None
    device: Literal["cpu", "gpu"] | None
    policy: str | Policy | None
    strict: bool
    side_effects: bool
    cpu_options: Mapping[str, Any]
    gpu_options: Mapping[str, Any]
    gpus: Literal["auto"] | None

class CommonOptions(OurOptions, total=False):
    """Ray's own, of tasks and actors."""

    num_cpus: float | None
    num_gpus: float | None
    memory: float | None
    resources: dict[str, float] | None
    label_selector: dict[str, str] | None
    fallback_strategy: list[dict[str, Any]] | None
    accelerator_type: str | None
    name: str | None
    object_store_memory: int | None
    runtime_env: dict[str, Any] | None
    scheduling_strategy: SchedulingStrategyT
    placement_group: PlacementGroup | str | None
    placement_group_bundle_index: int
    placement_group_capture_child_tasks: bool | None
    enable_task_events: bool
    _labels: dict[str, str] | None

class TaskOptions(CommonOptions, total=False):
    """Ray's own, of tasks."""

    num_returns: int | Literal["streaming", "dynamic"] | None
    max_retries: int
    retry_exceptions: bool | Sequence[type[Exception]]
    _generator_backpressure_num_objects: int | None
    _num_objects_per_yield: int | None

class ActorOptions(CommonOptions, total=False):
    """Ray's own, of actors."""

    lifetime: Literal["detached", "non_detached"] | None
    namespace: str | None
    get_if_exists: bool
    max_concurrency: int
    max_restarts: int
    max_task_retries: int
    max_pending_calls: int
    allow_out_of_order_execution: bool | None
    enable_tensor_transport: bool | None
    _actor_generator_backpressure_num_objects: int | None

class Options(TaskOptions, ActorOptions, total=False):
    """The options of a decorator, which may be put on a function or a class."""

    max_calls: int
    concurrency_groups: dict[str, int] | None

class Mapped(Iterator[R_co], Protocol[R_co]):
    """See placement.submission.map_results.Results."""

    def close(self) -> None: ...
    def __enter__(self) -> Mapped[R_co]: ...
    def __exit__(self, *_: object) -> None: ...

class Streamed(Iterator[ObjectRef[T]], AsyncIterator[ObjectRef[T]], Protocol[T]):
    """Ray's ObjectRefGenerator, to which Ray itself gives no types."""

    def completed(self) -> ObjectRef[None]: ...
    def is_finished(self) -> bool: ...

class PlacedTask(Generic[F_co]):
    """A placed function."""

    def options(self, **options: Unpack[TaskOptions]) -> PlacedTaskOptions[F_co]: ...
    @overload
    def remote(
        self: PlacedTask[Callable[P, Generator[T, Any, Any]]], *args: P.args, **kwargs: P.kwargs
    ) -> Streamed[T]: ...
    @overload
    def remote(self: PlacedTask[Callable[P, R]], *args: P.args, **kwargs: P.kwargs) -> ObjectRef[R]: ...
    @overload
    def remote(self: PlacedTask[Callable[[T0], R]], a0: T0 | ObjectRef[T0], /) -> ObjectRef[R]: ...
    @overload
    def remote(
        self: PlacedTask[Callable[[T0, T1], R]], a0: T0 | ObjectRef[T0], a1: T1 | ObjectRef[T1], /
    ) -> ObjectRef[R]: ...
    @overload
    def remote(
        self: PlacedTask[Callable[[T0, T1, T2], R]],
        a0: T0 | ObjectRef[T0],
        a1: T1 | ObjectRef[T1],
        a2: T2 | ObjectRef[T2],
        /,
    ) -> ObjectRef[R]: ...
    @overload
    def remote(
        self: PlacedTask[Callable[[T0, T1, T2, T3], R]],
        a0: T0 | ObjectRef[T0],
        a1: T1 | ObjectRef[T1],
        a2: T2 | ObjectRef[T2],
        a3: T3 | ObjectRef[T3],
        /,
    ) -> ObjectRef[R]: ...
    @overload
    def remote(
        self: PlacedTask[Callable[[T0, T1, T2, T3, T4], R]],
        a0: T0 | ObjectRef[T0],
        a1: T1 | ObjectRef[T1],
        a2: T2 | ObjectRef[T2],
        a3: T3 | ObjectRef[T3],
        a4: T4 | ObjectRef[T4],
        /,
    ) -> ObjectRef[R]: ...
    @overload
    def remote(
        self: PlacedTask[Callable[[T0, T1, T2, T3, T4, T5], R]],
        a0: T0 | ObjectRef[T0],
        a1: T1 | ObjectRef[T1],
        a2: T2 | ObjectRef[T2],
        a3: T3 | ObjectRef[T3],
        a4: T4 | ObjectRef[T4],
        a5: T5 | ObjectRef[T5],
        /,
    ) -> ObjectRef[R]: ...
    @overload
    def remote(
        self: PlacedTask[Callable[[T0, T1, T2, T3, T4, T5, T6], R]],
        a0: T0 | ObjectRef[T0],
        a1: T1 | ObjectRef[T1],
        a2: T2 | ObjectRef[T2],
        a3: T3 | ObjectRef[T3],
        a4: T4 | ObjectRef[T4],
        a5: T5 | ObjectRef[T5],
        a6: T6 | ObjectRef[T6],
        /,
    ) -> ObjectRef[R]: ...
    @overload
    def remote(
        self: PlacedTask[Callable[[T0, T1, T2, T3, T4, T5, T6, T7], R]],
        a0: T0 | ObjectRef[T0],
        a1: T1 | ObjectRef[T1],
        a2: T2 | ObjectRef[T2],
        a3: T3 | ObjectRef[T3],
        a4: T4 | ObjectRef[T4],
        a5: T5 | ObjectRef[T5],
        a6: T6 | ObjectRef[T6],
        a7: T7 | ObjectRef[T7],
        /,
    ) -> ObjectRef[R]: ...
    @overload
    def bind(self: PlacedTask[Callable[P, Any]], *args: P.args, **kwargs: P.kwargs) -> FunctionNode: ...
    @overload
    def bind(self: PlacedTask[Callable[[T0], Any]], a0: T0 | DAGNode, /) -> FunctionNode: ...
    @overload
    def bind(self: PlacedTask[Callable[[T0, T1], Any]], a0: T0 | DAGNode, a1: T1 | DAGNode, /) -> FunctionNode: ...
    @overload
    def bind(
        self: PlacedTask[Callable[[T0, T1, T2], Any]], a0: T0 | DAGNode, a1: T1 | DAGNode, a2: T2 | DAGNode, /
    ) -> FunctionNode: ...
    @overload
    def bind(
        self: PlacedTask[Callable[[T0, T1, T2, T3], Any]],
        a0: T0 | DAGNode,
        a1: T1 | DAGNode,
        a2: T2 | DAGNode,
        a3: T3 | DAGNode,
        /,
    ) -> FunctionNode: ...
    @overload
    def bind(
        self: PlacedTask[Callable[[T0, T1, T2, T3, T4], Any]],
        a0: T0 | DAGNode,
        a1: T1 | DAGNode,
        a2: T2 | DAGNode,
        a3: T3 | DAGNode,
        a4: T4 | DAGNode,
        /,
    ) -> FunctionNode: ...
    @overload
    def bind(
        self: PlacedTask[Callable[[T0, T1, T2, T3, T4, T5], Any]],
        a0: T0 | DAGNode,
        a1: T1 | DAGNode,
        a2: T2 | DAGNode,
        a3: T3 | DAGNode,
        a4: T4 | DAGNode,
        a5: T5 | DAGNode,
        /,
    ) -> FunctionNode: ...
    @overload
    def bind(
        self: PlacedTask[Callable[[T0, T1, T2, T3, T4, T5, T6], Any]],
        a0: T0 | DAGNode,
        a1: T1 | DAGNode,
        a2: T2 | DAGNode,
        a3: T3 | DAGNode,
        a4: T4 | DAGNode,
        a5: T5 | DAGNode,
        a6: T6 | DAGNode,
        /,
    ) -> FunctionNode: ...
    @overload
    def bind(
        self: PlacedTask[Callable[[T0, T1, T2, T3, T4, T5, T6, T7], Any]],
        a0: T0 | DAGNode,
        a1: T1 | DAGNode,
        a2: T2 | DAGNode,
        a3: T3 | DAGNode,
        a4: T4 | DAGNode,
        a5: T5 | DAGNode,
        a6: T6 | DAGNode,
        a7: T7 | DAGNode,
        /,
    ) -> FunctionNode: ...
    @overload
    def map(
        self: PlacedTask[Callable[[T0], R]],
        iterable: Iterable[T0 | ObjectRef[T0]],
        *,
        ordered: bool = ...,
        in_flight: int | None = ...,
        return_exceptions: Literal[False] = ...,
    ) -> Mapped[R]: ...
    @overload
    def map(
        self: PlacedTask[Callable[[T0], R]],
        iterable: Iterable[T0 | ObjectRef[T0]],
        *,
        ordered: bool = ...,
        in_flight: int | None = ...,
        return_exceptions: bool,
    ) -> Mapped[R | Exception]: ...
    def explain(self: PlacedTask[Callable[P, Any]], *args: P.args, **kwargs: P.kwargs) -> Explanation: ...

class PlacedTaskOptions(Generic[F_co]):
    """A placed function with options."""

    @overload
    def remote(
        self: PlacedTaskOptions[Callable[P, Generator[T, Any, Any]]], *args: P.args, **kwargs: P.kwargs
    ) -> Streamed[T]: ...
    @overload
    def remote(self: PlacedTaskOptions[Callable[P, R]], *args: P.args, **kwargs: P.kwargs) -> ObjectRef[R]: ...
    @overload
    def remote(self: PlacedTaskOptions[Callable[[T0], R]], a0: T0 | ObjectRef[T0], /) -> ObjectRef[R]: ...
    @overload
    def remote(
        self: PlacedTaskOptions[Callable[[T0, T1], R]], a0: T0 | ObjectRef[T0], a1: T1 | ObjectRef[T1], /
    ) -> ObjectRef[R]: ...
    @overload
    def remote(
        self: PlacedTaskOptions[Callable[[T0, T1, T2], R]],
        a0: T0 | ObjectRef[T0],
        a1: T1 | ObjectRef[T1],
        a2: T2 | ObjectRef[T2],
        /,
    ) -> ObjectRef[R]: ...
    @overload
    def remote(
        self: PlacedTaskOptions[Callable[[T0, T1, T2, T3], R]],
        a0: T0 | ObjectRef[T0],
        a1: T1 | ObjectRef[T1],
        a2: T2 | ObjectRef[T2],
        a3: T3 | ObjectRef[T3],
        /,
    ) -> ObjectRef[R]: ...
    @overload
    def remote(
        self: PlacedTaskOptions[Callable[[T0, T1, T2, T3, T4], R]],
        a0: T0 | ObjectRef[T0],
        a1: T1 | ObjectRef[T1],
        a2: T2 | ObjectRef[T2],
        a3: T3 | ObjectRef[T3],
        a4: T4 | ObjectRef[T4],
        /,
    ) -> ObjectRef[R]: ...
    @overload
    def remote(
        self: PlacedTaskOptions[Callable[[T0, T1, T2, T3, T4, T5], R]],
        a0: T0 | ObjectRef[T0],
        a1: T1 | ObjectRef[T1],
        a2: T2 | ObjectRef[T2],
        a3: T3 | ObjectRef[T3],
        a4: T4 | ObjectRef[T4],
        a5: T5 | ObjectRef[T5],
        /,
    ) -> ObjectRef[R]: ...
    @overload
    def remote(
        self: PlacedTaskOptions[Callable[[T0, T1, T2, T3, T4, T5, T6], R]],
        a0: T0 | ObjectRef[T0],
        a1: T1 | ObjectRef[T1],
        a2: T2 | ObjectRef[T2],
        a3: T3 | ObjectRef[T3],
        a4: T4 | ObjectRef[T4],
        a5: T5 | ObjectRef[T5],
        a6: T6 | ObjectRef[T6],
        /,
    ) -> ObjectRef[R]: ...
    @overload
    def remote(
        self: PlacedTaskOptions[Callable[[T0, T1, T2, T3, T4, T5, T6, T7], R]],
        a0: T0 | ObjectRef[T0],
        a1: T1 | ObjectRef[T1],
        a2: T2 | ObjectRef[T2],
        a3: T3 | ObjectRef[T3],
        a4: T4 | ObjectRef[T4],
        a5: T5 | ObjectRef[T5],
        a6: T6 | ObjectRef[T6],
        a7: T7 | ObjectRef[T7],
        /,
    ) -> ObjectRef[R]: ...
    @overload
    def bind(self: PlacedTaskOptions[Callable[P, Any]], *args: P.args, **kwargs: P.kwargs) -> FunctionNode: ...
    @overload
    def bind(self: PlacedTaskOptions[Callable[[T0], Any]], a0: T0 | DAGNode, /) -> FunctionNode: ...
    @overload
    def bind(
        self: PlacedTaskOptions[Callable[[T0, T1], Any]], a0: T0 | DAGNode, a1: T1 | DAGNode, /
    ) -> FunctionNode: ...
    @overload
    def bind(
        self: PlacedTaskOptions[Callable[[T0, T1, T2], Any]], a0: T0 | DAGNode, a1: T1 | DAGNode, a2: T2 | DAGNode, /
    ) -> FunctionNode: ...
    @overload
    def bind(
        self: PlacedTaskOptions[Callable[[T0, T1, T2, T3], Any]],
        a0: T0 | DAGNode,
        a1: T1 | DAGNode,
        a2: T2 | DAGNode,
        a3: T3 | DAGNode,
        /,
    ) -> FunctionNode: ...
    @overload
    def bind(
        self: PlacedTaskOptions[Callable[[T0, T1, T2, T3, T4], Any]],
        a0: T0 | DAGNode,
        a1: T1 | DAGNode,
        a2: T2 | DAGNode,
        a3: T3 | DAGNode,
        a4: T4 | DAGNode,
        /,
    ) -> FunctionNode: ...
    @overload
    def bind(
        self: PlacedTaskOptions[Callable[[T0, T1, T2, T3, T4, T5], Any]],
        a0: T0 | DAGNode,
        a1: T1 | DAGNode,
        a2: T2 | DAGNode,
        a3: T3 | DAGNode,
        a4: T4 | DAGNode,
        a5: T5 | DAGNode,
        /,
    ) -> FunctionNode: ...
    @overload
    def bind(
        self: PlacedTaskOptions[Callable[[T0, T1, T2, T3, T4, T5, T6], Any]],
        a0: T0 | DAGNode,
        a1: T1 | DAGNode,
        a2: T2 | DAGNode,
        a3: T3 | DAGNode,
        a4: T4 | DAGNode,
        a5: T5 | DAGNode,
        a6: T6 | DAGNode,
        /,
    ) -> FunctionNode: ...
    @overload
    def bind(
        self: PlacedTaskOptions[Callable[[T0, T1, T2, T3, T4, T5, T6, T7], Any]],
        a0: T0 | DAGNode,
        a1: T1 | DAGNode,
        a2: T2 | DAGNode,
        a3: T3 | DAGNode,
        a4: T4 | DAGNode,
        a5: T5 | DAGNode,
        a6: T6 | DAGNode,
        a7: T7 | DAGNode,
        /,
    ) -> FunctionNode: ...
    @overload
    def map(
        self: PlacedTaskOptions[Callable[[T0], R]],
        iterable: Iterable[T0 | ObjectRef[T0]],
        *,
        ordered: bool = ...,
        in_flight: int | None = ...,
        return_exceptions: Literal[False] = ...,
    ) -> Mapped[R]: ...
    @overload
    def map(
        self: PlacedTaskOptions[Callable[[T0], R]],
        iterable: Iterable[T0 | ObjectRef[T0]],
        *,
        ordered: bool = ...,
        in_flight: int | None = ...,
        return_exceptions: bool,
    ) -> Mapped[R | Exception]: ...
    def explain(self: PlacedTaskOptions[Callable[P, Any]], *args: P.args, **kwargs: P.kwargs) -> Explanation: ...

class PlacedActorClass(ActorClass[T]):
    """A placed class. Its actors are Ray's own, whose methods' types Ray gives."""

    def options(self, **options: Unpack[ActorOptions]) -> PlacedActorOptions[T]: ...  # type: ignore[override]
    def explain(self, *args: Any, **kwargs: Any) -> Explanation: ...

class PlacedActorOptions(Generic[T]):
    """A placed class with options."""

    def remote(self, *args: Any, **kwargs: Any) -> ActorHandle[T] | type[T]: ...
    def bind(self, *args: Any, **kwargs: Any) -> ClassNode: ...
    def explain(self, *args: Any, **kwargs: Any) -> Explanation: ...

class Decorator(Protocol):
    """placed_remote with options, to be put on a function or a class."""

    @overload
    def __call__(self, cls: type[T], /) -> PlacedActorClass[T]: ...
    @overload
    def __call__(self, function: F, /) -> PlacedTask[F]: ...
