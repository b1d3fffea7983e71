"""The TaskSpec of a user's own torch function, traced as it stands. `describe.function_trace` makes the trace."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any, NamedTuple

from placement.describe.module import KEPT_TRACES, Shape, dtype_name, is_shape, spec_of
from placement.errors import SpecError
from placement.spec.task import TaskSpec


class CallExample(NamedTuple):
    """The arguments of a call, tensors as `Shape`s: positional ones, and keywords in their order."""

    args: tuple[Any, ...]
    kwargs: tuple[tuple[str, Any], ...]

    @property
    def shapes(self) -> list[Shape]:
        """The tensors among the arguments."""
        return [value for value in (*self.args, *(value for _, value in self.kwargs)) if isinstance(value, Shape)]


def of_function(fn: Callable[..., Any], example: Any = (), *, steps: int = 1) -> TaskSpec:
    """The spec of one call of a torch function: forward, loss, backward and optimiser as they stand in it.

    The function is called once on meta tensors: nothing is computed, and no weight that it uses is changed or copied.
    Tensors and modules of its closure, its globals and its arguments are replaced by meta tensors as they are used;
    `.to(...)`, `.cuda()` and `.cpu()` keep the tensor where it is.

    fn: takes the example's arguments.  Give the same function object each time (not a new lambda): traces are kept by
        (fn, shapes, other arguments), and a second call costs microseconds.
    example: its arguments: a tensor (real or meta), a shape (a tuple of whole numbers: FP32), a tuple of arguments
        (positional), or a dict (keywords). NumPy arrays count as tensors; anything else is passed as it is.
    steps: how many such calls the task makes; a loop inside the function is traced as it runs.

    flops, kernels, operations: as in `of_module`.  input_bytes, batch_size: of the tensors of the example.
    parameters: of the modules that it uses.  kind: "train" where it ran a backward pass, else "infer".
    memory_bytes: parameters, the input, the largest operation's operands, and where it trains gradients, what
        autograd saves and the optimiser's state.

    A tensor's value is not known: `.item()` and `float()` give 1, and `if tensor:` raises SpecError with the remedy.
    Raises SpecError where the function needs data; what the function itself raises is passed through.
    """
    if not callable(fn):
        raise SpecError(f"of_function: fn={fn!r} is not callable. Pass the function, and its arguments as `example`.")
    call = call_of(example)
    try:
        return traced_call(fn, call, steps)
    except TypeError as error:
        if "unhashable" not in str(error):
            raise
    return trace_call(fn, call, steps)  # an argument that cannot be a key: traced anew each time


def trace_call(fn: Callable[..., Any], call: CallExample, steps: int) -> TaskSpec:
    """The spec of a call."""
    from placement.describe.function_trace import trace_function  # brings in torch

    trace, trains = trace_function(fn, call.args, dict(call.kwargs))
    sizes = [shape.sizes for shape in call.shapes]
    return spec_of(trace, ((sizes[0] if sizes else ()) or (1,))[0] or None, steps, trains)


traced_call = lru_cache(maxsize=KEPT_TRACES)(trace_call)


def call_of(example: Any) -> CallExample:
    """The example's arguments."""
    if isinstance(example, Mapping):
        return CallExample((), tuple((str(name), argument_of(value, name)) for name, value in example.items()))
    if isinstance(example, tuple | list) and not is_shape(example):
        return CallExample(tuple(argument_of(value, i) for i, value in enumerate(example)), ())
    return CallExample((argument_of(example, 0),), ())


def argument_of(value: Any, where: object) -> Any:
    """The Shape of a tensor, an array or a shape; any other value as it is. SpecError on an ObjectRef."""
    if type(value).__name__ == "ObjectRef":
        raise SpecError(
            f"of_function: example[{where!r}] is an ObjectRef, and a spec never fetches one. "
            "Pass the sizes to the task as an argument of its own, and give of_function a shape: (batch, 3, 224, 224)."
        )
    if is_shape(value):
        return Shape(tuple(value))
    if hasattr(value, "shape") and hasattr(value, "dtype") and not isinstance(value, type):
        return Shape(tuple(value.shape), dtype_name(value.dtype))
    return value
