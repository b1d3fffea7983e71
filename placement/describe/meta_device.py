"""The meta device: modules built on it, tensors made on it, and what to say where it has no data. Imports torch."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch.overrides import TorchFunctionMode

from placement.errors import SpecError


def built(factory: Callable[[], Any]) -> Any:
    """The factory's module under `torch.device("meta")`.

    Where the factory computes sizes with tensors (a RegNet's widths, say), it is called again with these on the CPU.
    """
    try:
        with torch.device("meta"):
            return factory()
    except (NotImplementedError, RuntimeError) as error:
        if "meta" not in str(error).lower():
            raise
    with without_data("build", factory), torch.device("meta"), SequencesOnCpu():
        return factory()


class SequencesOnCpu(TorchFunctionMode):
    """Makes the tensors on the CPU that carry values of their own, from which a factory may compute sizes.

    Weights are made by other functions (`empty` and its like), which stay on the device that is set.
    """

    MAKERS = frozenset((torch.arange, torch.linspace, torch.logspace, torch.tensor, torch.as_tensor))

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if func in self.MAKERS and kwargs.get("device") is None:
            kwargs = {**kwargs, "device": "cpu"}
        return func(*args, **kwargs)


@contextmanager
def without_data(verb: str, what: Any, by: str = "of_module") -> Iterator[None]:
    """Turns failures of the meta device into a SpecError with the remedy; the module's own errors pass through."""
    try:
        yield
    except (NotImplementedError, RuntimeError) as error:
        if "meta" not in str(error).lower():
            raise
        raise SpecError(
            f"{by} cannot {verb} {getattr(what, '__qualname__', what)} without data "
            f"({str(error).splitlines()[0]}). Where it computes sizes with tensors, let it do so under "
            'torch.device("cpu"); else write its spec by hand: '
            "TaskSpec(flops=..., input_bytes=..., batch_size=..., parameters=...)."
        ) from error


def meta_tensor(shape: Any) -> torch.Tensor:
    """An empty tensor of a `module.Shape` on the meta device."""
    dtype = getattr(torch, shape.dtype, None)
    if not isinstance(dtype, torch.dtype):
        raise SpecError(f"of_module: torch has no type {shape.dtype!r}; give tensors or arrays of numbers.")
    return torch.empty(shape.sizes, dtype=dtype, device="meta")
