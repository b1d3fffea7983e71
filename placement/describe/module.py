"""The TaskSpec of a torch module, and a cache of traces. `describe.trace` makes the trace."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Any, NamedTuple

from placement.errors import SpecError
from placement.spec.task import TaskSpec

KEPT_TRACES = 1024


class Shape(NamedTuple):
    """Shape and type of a tensor of the example. dtype: a torch dtype's name."""

    sizes: tuple[int, ...]
    dtype: str = "float32"


class Structure(NamedTuple):
    """The example: one tensor, or several with their keyword names (None = positional)."""

    names: tuple[str | None, ...]
    shapes: tuple[Shape, ...]


def of_module(factory: Callable[[], Any], example: Any, *, train: bool = False, steps: int = 1) -> TaskSpec:
    """The spec of a step of a torch module, traced on the meta device: nothing is allocated or computed.

    factory: makes the module; called under `torch.device("meta")`, so no weight is allocated. Use the same
        function object each time (not a new lambda): traces are kept by (factory, shapes, train), and a second
        call costs microseconds. `functools.partial` of hashable arguments counts as the same function.
    example: the arguments of the module: a tensor (real or meta), a shape (`torch.Size` or a tuple of whole
        numbers: FP32), a tuple of those (positional), or a dict (keywords). numpy arrays count as tensors.
    train: forward and backward, and an Adam update's memory traffic; else a forward pass without gradients.

    flops: multiply-adds as two; matrix products, convolutions and attention; grouped convolutions right in both
        directions; None where the module has none of them.  input_bytes: of the example.
    batch_size: its first tensor's leading dimension.  kernels: operations that launch one.
    memory_bytes: parameters, buffers, the input and the largest operation's operands; training adds gradients, two
        Adam moments and the tensors that autograd saves.  kind: "train" or "infer".
    operations: `placement.spec.task.Operation` by kind, with bytes read and written by each operation.

    Raises SpecError where an example cannot be read (an ObjectRef, say) or a module cannot be traced without
    data; what the module itself raises on a wrong input is passed through.
    """
    return traced(shared_factory(factory), structure_of(example), bool(train), steps)


def spec_of(trace: Any, batch_size: int | None, steps: int, train: bool) -> TaskSpec:
    """The spec of an OperationTrace of one step."""
    return TaskSpec(
        flops=trace.flops or None,  # 0 would mean an operation without a cost model, not free work
        input_bytes=trace.input_bytes,
        batch_size=batch_size,
        parameters=trace.parameters,
        steps=steps,
        memory_bytes=trace.memory_bytes,
        kernels=trace.kernels,
        framework="torch",
        kind="train" if train else "infer",
        operations=trace.operations,
    )


@lru_cache(maxsize=KEPT_TRACES)
def traced(factory: Callable[[], Any], structure: Structure, train: bool, steps: int) -> TaskSpec:
    """The spec of a factory's module for an example's structure."""
    trace = one_step(factory, structure, train)
    return spec_of(trace, (structure.shapes[0].sizes or (1,))[0] or None, steps, train)


@lru_cache(maxsize=KEPT_TRACES)
def one_step(factory: Callable[[], Any], structure: Structure, train: bool) -> Any:
    """The `trace.OperationTrace` of one step."""
    from placement.describe.trace import trace_step  # brings in torch

    args = [shape for name, shape in zip(*structure, strict=True) if name is None]
    kwargs = {name: shape for name, shape in zip(*structure, strict=True) if name is not None}
    return trace_step(factory, args, kwargs, train)


def structure_of(example: Any) -> Structure:
    """The example's shapes and types: the input of a trace and its key in the cache."""
    if isinstance(example, Mapping):
        if not example:
            raise SpecError("of_module: the example is an empty dict; give the tensors the module is called with.")
        return Structure(tuple(map(str, example)), tuple(shape_of(value, key) for key, value in example.items()))
    if isinstance(example, tuple | list) and not is_shape(example):
        return Structure((None,) * len(example), tuple(shape_of(value, i) for i, value in enumerate(example)))
    return Structure((None,), (shape_of(example, 0),))


def is_shape(value: Any) -> bool:
    """A tuple of whole numbers, such as torch.Size."""
    return isinstance(value, tuple) and len(value) > 0 and all(type(size) is int for size in value)


@lru_cache(maxsize=256)
def dtype_name(dtype: Any) -> str:
    """The name "float32" of torch.float32 and of numpy's."""
    return str(dtype).removeprefix("torch.")


def shape_of(value: Any, where: object) -> Shape:
    """A tensor's, an array's or a plain shape's Shape; SpecError with the remedy on anything else."""
    if isinstance(value, Shape):
        return value
    if is_shape(value):
        return Shape(tuple(value))
    if hasattr(value, "shape") and hasattr(value, "dtype"):
        return Shape(tuple(value.shape), dtype_name(value.dtype))
    if type(value).__name__ == "ObjectRef":
        raise SpecError(
            f"of_module: example[{where!r}] is an ObjectRef, and a spec never fetches one. "
            "Pass the sizes to the task as an argument of its own, and give of_module a shape: (batch, 3, 224, 224)."
        )
    raise SpecError(
        f"of_module: example[{where!r}] is a {type(value).__name__}; valid are a tensor, an array, a shape "
        "(a tuple of whole numbers), or a tuple or dict of those."
    )


@dataclass(frozen=True, slots=True)
class ComparablePartial:
    """A partial that compares by its function and arguments, so that a partial made anew finds the trace of the last
    one.
    """

    function: Callable[..., Any]
    args: tuple[Hashable, ...]
    keywords: tuple[tuple[str, Hashable], ...]

    def __call__(self) -> Any:
        """Calls the partial."""
        return self.function(*self.args, **dict(self.keywords))


def shared_factory(factory: Any) -> Callable[[], Any]:
    """The factory, or for a partial of hashable arguments one that compares equal to the next such partial."""
    if not callable(factory):
        raise SpecError(
            f"of_module: factory={factory!r} is not callable. Pass the function that makes the module, "
            "not the module: of_module(lambda: resnet18(), example)."
        )
    made: Callable[[], Any] = factory
    if type(factory) is not partial:
        return made
    shared = ComparablePartial(factory.func, factory.args, tuple(sorted(factory.keywords.items())))
    try:
        hash(shared)
    except TypeError:
        return made
    return shared
