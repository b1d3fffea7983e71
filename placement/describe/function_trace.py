"""One call of a user's function on the meta device, operation by operation. Imports torch."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch.optim.optimizer import register_optimizer_step_post_hook, register_optimizer_step_pre_hook
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_leaves, tree_map

from placement.describe.meta_device import meta_tensor, without_data
from placement.describe.module import Shape
from placement.describe.operation_cost import tensor_bytes
from placement.describe.trace import (
    Counter,
    FusedAttention,
    OperationTrace,
    SavedTensors,
    storage_of,
    trace_of,
)
from placement.errors import SpecError

Tensor = torch.Tensor
MOVES = frozenset((Tensor.cuda, Tensor.cpu, Tensor.pin_memory))
NUMBERS: dict[Any, Callable[[Tensor], Any]] = {
    Tensor.item: lambda tensor: 1.0 if tensor.is_floating_point() else 1,
    Tensor.__float__: lambda _: 1.0,
}
"""Readings of a value that a function usually returns or prints."""
FILLS = frozenset((Tensor.fill_, Tensor.zero_, Tensor.normal_, Tensor.uniform_))
DECISIONS = frozenset((Tensor.__bool__, Tensor.__int__, Tensor.__index__, Tensor.tolist, Tensor.numpy, Tensor.nonzero))
"""Readings of values by which a function decides, or from which it makes sizes."""


class MetaTwins(TorchFunctionMode):
    """Replaces each real tensor that a call uses by a meta tensor of its own, the same one each time.

    It works above autograd: gradients reach the twin, and the user's module keeps its own. parameters: the twins of
    the `torch.nn.Parameter`s used, and those made on the meta device.
    """

    def __init__(self, own: set[int]) -> None:
        super().__init__()
        self.twins: dict[int, tuple[Tensor, Tensor]] = {}  # with the real tensor, so that its identity stays its own
        self.parameters: dict[int, Tensor] = {}
        self.own = own
        self.trains = False

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        args, kwargs = tree_map(self.twin, tuple(args)), tree_map(self.twin, dict(kwargs))
        if func in NUMBERS:
            return NUMBERS[func](args[0])
        if func in DECISIONS:
            raise SpecError(
                f"of_function: the function reads a tensor's values ({getattr(func, '__name__', func)}), and a trace "
                "has none. Leave that out of the function that is traced, or write its spec by hand: TaskSpec(...)."
            )
        if func in MOVES or initialises(func, args):
            return args[0] if args else kwargs["tensor"]
        if func is Tensor.to:
            args, kwargs = without_device(args, kwargs)
            if len(args) == 1 and not kwargs:
                return args[0]
        elif kwargs.get("device") is not None:
            kwargs["device"] = "meta"
        self.trains |= func in (Tensor.backward, torch.autograd.backward, torch.autograd.grad)
        return func(*args, **kwargs)

    def twin(self, value: Any) -> Any:
        """The meta tensor of a tensor; any other value as it is."""
        if not isinstance(value, Tensor):
            return value
        if value.device.type == "meta":
            self.note(value)
            return value
        if id(value) not in self.twins:
            made: Tensor = torch.empty_strided(value.shape, value.stride(), dtype=value.dtype, device="meta")
            made.requires_grad_(value.requires_grad)
            if isinstance(value, torch.nn.Parameter):
                made = torch.nn.Parameter(made, value.requires_grad)
            self.twins[id(value)] = value, made
            self.note(made)
        return self.twins[id(value)][1]

    def note(self, tensor: Tensor) -> None:
        """Counts a parameter."""
        if isinstance(tensor, torch.nn.Parameter) and id(tensor) not in self.parameters:
            self.parameters[id(tensor)] = tensor
            self.own.add(storage_of(tensor))


def initialises(func: Any, args: tuple[Any, ...]) -> bool:
    """The call fills a new module's weights: the host's work while the module is built, and no step's."""
    if getattr(func, "__module__", None) == "torch.nn.init":
        return True
    return func in FILLS and isinstance(args[0], torch.nn.Parameter)


def without_device(args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """The arguments of `Tensor.to` less the device, and less what only a copy has."""

    def is_device(value: Any) -> bool:
        return isinstance(value, str | torch.device) or type(value) is int

    kept = tuple(value for i, value in enumerate(args) if i == 0 or not (is_device(value) or isinstance(value, bool)))
    return kept, {name: kwargs[name] for name in ("dtype", "memory_format", "other") if name in kwargs}


class OptimiserSteps:
    """Steps of optimisers in a trace: on a GPU each launch is for many parameters, and its state stays in memory."""

    def __init__(self, counter: Counter) -> None:
        self.counter = counter
        self.before: dict[Any, float] = {}
        self.state_bytes: dict[int, float] = {}

    @contextmanager
    def counted(self) -> Iterator[None]:
        """Looks at every optimiser's steps in the `with` block."""
        hooks = register_optimizer_step_pre_hook(self.begin), register_optimizer_step_post_hook(self.end)
        try:
            yield
        finally:
            for hook in hooks:
                hook.remove()

    def begin(self, *_: Any) -> None:
        """Notes the launches before a step."""
        self.before = {kind: sums[2] for kind, sums in self.counter.sums.items()}

    def end(self, optimiser: torch.optim.Optimizer, *_: Any) -> None:
        """Counts the launches of the step as those of torch's multi-tensor kernels, and the state's bytes."""
        tensors = max(1, sum(len(group["params"]) for group in optimiser.param_groups))
        for kind, sums in self.counter.sums.items():
            before = self.before.get(kind, 0)
            sums[2] = before + math.ceil((sums[2] - before) / tensors)
        state = [leaf for leaf in tree_leaves(list(optimiser.state.values())) if isinstance(leaf, Tensor)]
        self.state_bytes[id(optimiser)] = float(sum(map(tensor_bytes, state)))


def trace_function(
    fn: Callable[..., Any], args: Sequence[Any], kwargs: Mapping[str, Any]
) -> tuple[OperationTrace, bool]:
    """One call of the function, its Shapes made meta tensors; and whether it ran a backward pass."""

    def made(value: Any) -> Any:
        return meta_tensor(value) if isinstance(value, Shape) else value

    args, kwargs = [made(value) for value in args], {name: made(value) for name, value in kwargs.items()}
    counter, saved = Counter(), SavedTensors(set())
    twins, optimisers = MetaTwins(saved.own), OptimiserSteps(counter)
    with ExitStack() as stack:
        for context in (
            without_data("run", fn, "of_function"), torch.enable_grad(), torch.device("meta"), counter,
            torch.autograd.graph.saved_tensors_hooks(saved.pack, saved.unpack), FusedAttention(), twins,
            optimisers.counted(),
        ):  # fmt: skip
            stack.enter_context(context)
        fn(*args, **kwargs)
    inputs = [value for value in (*args, *kwargs.values()) if isinstance(value, Tensor)]
    return summed_call(counter, saved, twins, optimisers, float(sum(map(tensor_bytes, inputs)))), twins.trains


def summed_call(
    counter: Counter, saved: SavedTensors, twins: MetaTwins, optimisers: OptimiserSteps, input_bytes: float
) -> OperationTrace:
    """The trace of what was counted."""
    parameters = list(twins.parameters.values())
    memory = sum(map(tensor_bytes, parameters)) + input_bytes + counter.largest_bytes
    if twins.trains:
        trained = sum(tensor_bytes(parameter) for parameter in parameters if parameter.requires_grad)
        memory += trained + sum(saved.bytes_by_storage.values()) + sum(optimisers.state_bytes.values())
    return trace_of(counter, parameters, input_bytes, memory)
