"""One step of a module on the meta device, operation by operation. Imports torch; `describe.module` calls it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map
from torch.utils.flop_counter import flop_registry

from placement.describe.meta_device import built, meta_tensor, without_data
from placement.describe.operation_cost import Cost, cost_of, tensor_bytes, tensors_in
from placement.errors import SpecError
from placement.spec.task import Operation, OperationKind

aten = torch.ops.aten
LAUNCH_NOTHING = {
    "empty", "empty_like", "new_empty", "empty_strided", "new_empty_strided", "_unsafe_view", "detach", "alias",
    "lift_fresh", "_reshape_alias", "set_", "resize_", "_local_scalar_dense", "is_same_size",
}  # fmt: skip
"""Operations besides views that only make or relabel a tensor."""


def batch_norm(source: torch.Tensor, *_: Any) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Output, saved mean and saved deviation."""
    return torch.empty_like(source), source.new_empty(source.shape[1]), source.new_empty(source.shape[1])


def batch_norm_backward(_grad: torch.Tensor, source: torch.Tensor, *rest: Any) -> tuple[Any, Any, Any]:
    """The gradients of input, weight and bias that the operation computes."""
    made = (torch.empty_like(source), source.new_empty(source.shape[1]), source.new_empty(source.shape[1]))
    return tuple(tensor if asked else None for tensor, asked in zip(made, rest[-1], strict=True))  # type: ignore[return-value]


SHORT_CUTS: dict[Any, Callable[..., Any]] = {
    aten.native_batch_norm: batch_norm,
    aten.cudnn_batch_norm: batch_norm,
    aten.native_batch_norm_backward: batch_norm_backward,
}
"""Operations without a meta kernel in torch: their Python decomposition takes half the trace of a MobileNet."""

ADAM_MOMENTS = 2
ADAM_PASSES = 7
"""Reads of parameter, gradient and two moments, writes of parameter and two moments."""
ADAM_LAUNCHES = 12
"""torch's multi-tensor Adam: about so many grouped launches, whatever the number of tensors. An estimate."""


@dataclass(frozen=True, slots=True)
class OperationTrace:
    """One step: FLOPs, bytes and launches by kind, and the memory it needs in bytes."""

    flops: float
    input_bytes: float
    parameters: int
    memory_bytes: float
    kernels: int
    operations: tuple[Operation, ...]


class FusedAttention(TorchFunctionMode):
    """Attention as one kernel that keeps no score matrix, as on a GPU; on the meta device torch spells it out."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func is torch.nn.functional.scaled_dot_product_attention:
            fused = fused_attention(*args, **(kwargs or {}))
            if fused is not None:
                return fused
        return func(*args, **(kwargs or {}))


def fused_attention(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attn_mask: torch.Tensor | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> torch.Tensor | None:
    """The memory-efficient kernel's output, which takes any mask; None where that kernel does not apply."""
    if query.dim() != 4 or enable_gqa:
        return None
    bias = attn_mask
    if bias is not None:
        bias = bias.to(query.dtype).expand(*query.shape[:3], key.shape[2])
    keep = torch.is_grad_enabled()
    kernel = aten._scaled_dot_product_efficient_attention
    return kernel(query, key, value, bias, keep, dropout_p, is_causal, scale=scale)[0]


class Counter(TorchDispatchMode):
    """Counts what passes through the dispatcher, by kind of operation; `largest_bytes`: of one operation's operands.

    A network repeats its layers, and torch's meta kernels are slow Python: the result of an operation for given shapes,
    and its cost, are computed once.
    """

    def __init__(self) -> None:
        super().__init__()
        self.sums: dict[OperationKind, list[float]] = defaultdict(lambda: [0.0, 0.0, 0])
        self.largest_bytes = 0.0
        self.known: dict[Any, tuple[Any, Cost]] = {}

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        packet = func._overloadpacket
        if packet in SHORT_CUTS:
            result = SHORT_CUTS[packet](*args)
            self.add(cost_of(packet, args, kwargs, result))
            return result
        if packet not in flop_registry and func._can_decompose():
            with self:
                parts = func.decompose(*args, **kwargs)
            if parts is not NotImplemented:
                return parts
        if func.is_view or packet.__name__ in LAUNCH_NOTHING:
            return func(*args, **kwargs)
        return self.launch(func, args, kwargs)

    def launch(self, func: Any, args: Any, kwargs: Any) -> Any:
        """Runs an operation that launches a kernel, or repeats its result for the same shapes."""
        if func._schema.is_mutable:  # works in place: its result is one of its operands
            result = func(*args, **kwargs)
            self.add(cost_of(func._overloadpacket, args, kwargs, result))
            return result
        key = (func, signature(args), signature(tuple(kwargs.items())))
        if key in self.known:
            made, cost = self.known[key]
            self.add(cost)
            return tree_map(lambda leaf: leaf.make() if isinstance(leaf, Layout) else leaf, made)
        result = func(*args, **kwargs)
        cost = cost_of(func._overloadpacket, args, kwargs, result)
        self.known[key] = tree_map(lambda leaf: layout(leaf) if isinstance(leaf, torch.Tensor) else leaf, result), cost
        self.add(cost)
        return result

    def add(self, cost: Cost) -> None:
        """Adds one operation."""
        self.largest_bytes = max(self.largest_bytes, cost.bytes)
        sums = self.sums[cost.kind]
        sums[0] += cost.flops
        sums[1] += cost.bytes
        sums[2] += 1


@dataclass(frozen=True, slots=True)
class Layout:
    """The properties of a meta tensor that a meta kernel reads."""

    size: tuple[int, ...]
    stride: tuple[int, ...]
    dtype: torch.dtype
    storage_bytes: int

    def make(self) -> torch.Tensor:
        """A new tensor of this layout."""
        return torch.empty_strided(self.size, self.stride, dtype=self.dtype, device="meta")


def layout(tensor: torch.Tensor) -> Layout:
    """The layout of a meta tensor."""
    return Layout(tuple(tensor.shape), tensor.stride(), tensor.dtype, tensor.untyped_storage().nbytes())


def signature(value: Any) -> Any:
    """The value with its tensors replaced by their layouts: a key."""
    if isinstance(value, torch.Tensor):
        return layout(value)
    if isinstance(value, list | tuple):
        return tuple([signature(item) for item in value])
    return (type(value), value) if isinstance(value, bool | float) else value  # 1, 1.0 and True promote differently


def trace_step(
    factory: Callable[[], torch.nn.Module], args: Iterable[Any], kwargs: Mapping[str, Any], train: bool
) -> OperationTrace:
    """Builds the module under `torch.device("meta")` and runs one step of it; `args`, `kwargs` hold `module.Shape`s.

    The tensors that autograd saves are those a training step holds at the end of its forward pass.
    """
    module = built(factory)
    if not isinstance(module, torch.nn.Module):
        raise SpecError(f"of_module: the factory returned a {type(module).__name__}, not a torch.nn.Module.")
    module = module.to("meta").train(train)  # .to: a buffer made from a numpy array ignores torch.device
    inputs = [meta_tensor(shape) for shape in args], {name: meta_tensor(shape) for name, shape in kwargs.items()}
    counter, saved = Counter(), SavedTensors({storage_of(parameter) for parameter in module.parameters()})
    saving = torch.autograd.graph.saved_tensors_hooks(saved.pack, saved.unpack)
    with without_data("run", type(module)), torch.set_grad_enabled(train), FusedAttention(), counter, saving:
        outputs = module(*inputs[0], **inputs[1])
        if train:
            backward(outputs)
    return summed(module, tree_leaves(inputs), counter, saved, train)


def backward(outputs: Any) -> None:
    """A backward pass from the loss where the module returns one, else from every output."""
    loss = outputs.get("loss") if isinstance(outputs, Mapping) else None
    roots = [loss] if loss is not None else [tensor for tensor in tensors_in(outputs) if tensor.requires_grad]
    if not roots:
        raise SpecError("of_module(train=True): no output of the module needs a gradient. Trace it with train=False.")
    torch.autograd.backward(roots, [torch.empty_like(root) for root in roots])


def storage_of(tensor: torch.Tensor) -> int:
    """The identity of a tensor's storage, while that lives."""
    return int(tensor.untyped_storage()._cdata)


class SavedTensors:
    """The storages that autograd keeps for the backward pass, those of the parameters (`own`) left out."""

    def __init__(self, own: set[int]) -> None:
        self.own = own
        self.bytes_by_storage: dict[int, float] = {}
        self.kept: list[Any] = []  # a storage freed would lend its identity to the next one

    def pack(self, tensor: torch.Tensor) -> torch.Tensor:
        """Notes a tensor that autograd saves."""
        storage = tensor.untyped_storage()
        if storage._cdata not in self.own:
            self.bytes_by_storage[storage._cdata] = storage.nbytes()
            self.kept.append(storage)
        return tensor

    def unpack(self, tensor: torch.Tensor) -> torch.Tensor:
        """The tensor itself."""
        return tensor


def trace_of(
    counter: Counter, parameters: Iterable[torch.Tensor], input_bytes: float, memory_bytes: float
) -> OperationTrace:
    """The trace of what was counted, with the sizes that no operation tells."""
    operations = tuple(
        Operation(kind, flops, moved, int(launches)) for kind, (flops, moved, launches) in sorted(counter.sums.items())
    )
    return OperationTrace(
        flops=sum(operation.flops for operation in operations),
        input_bytes=input_bytes,
        parameters=sum(parameter.numel() for parameter in parameters),
        memory_bytes=memory_bytes,
        kernels=sum(operation.launches for operation in operations),
        operations=operations,
    )


def summed(
    module: torch.nn.Module, inputs: list[torch.Tensor], counter: Counter, saved: SavedTensors, train: bool
) -> OperationTrace:
    """The trace from the counts and the saved tensors."""
    parameters = list(module.parameters())
    weights = sum(map(tensor_bytes, parameters))
    trained = sum(tensor_bytes(parameter) for parameter in parameters if parameter.requires_grad)
    if train:
        update = counter.sums["memory"]
        update[1] += ADAM_PASSES * trained
        update[2] += ADAM_LAUNCHES
    input_bytes = float(sum(map(tensor_bytes, inputs)))
    memory = weights + sum(map(tensor_bytes, module.buffers())) + input_bytes + counter.largest_bytes
    if train:
        memory += (1 + ADAM_MOMENTS) * trained + sum(saved.bytes_by_storage.values())
    return trace_of(counter, parameters, input_bytes, memory)
