"""The cost of one traced operation: its kind, FLOPs and bytes. Imports torch; `describe.trace` calls it.

FLOPs are torch.utils.flop_counter's formulas, with two replaced: its grouped convolution's backward over-counts by
the number of groups (torch 2.14: 3.9 GFLOP for a MobileNetV3-Small step whose convolutions take a tenth of that), and
its fused attention's backward adds a recomputation.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import torch
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import flop_registry

from placement.spec.task import OperationKind

aten = torch.ops.aten
CONVOLUTIONS = {aten.convolution, aten._convolution, aten.cudnn_convolution, aten.convolution_backward}
GROUPS_ARGUMENT = {aten.convolution_backward: 9, aten.cudnn_convolution: 6}


class Cost(NamedTuple):
    """One operation's kind, FLOPs and bytes read and written."""

    kind: OperationKind
    flops: float
    bytes: float


def cost_of(packet: Any, args: Any, kwargs: Any, result: Any) -> Cost:
    """One operation's cost: it reads each operand once and writes each result once."""
    moved = sum(map(tensor_bytes, tensors_in((args, kwargs)))) + sum(map(tensor_bytes, tensors_in(result)))
    return Cost(kind_of(packet, args), flops_of(packet, args, kwargs, result), moved)


def flops_of(packet: Any, args: Any, kwargs: Any, result: Any) -> float:
    """FLOPs of one operation, a multiply-add counted as two; 0 where it has no formula (element-wise work)."""
    if packet is aten.convolution_backward:
        return convolution_backward_flops(args)
    if packet is aten._scaled_dot_product_efficient_attention_backward:
        # Two products for each of the forward's two; torch's formula adds the scores' recomputation.
        return 2.0 * flop_registry[aten._scaled_dot_product_efficient_attention](args[1], args[2], args[3])
    formula = flop_registry.get(packet)
    return float(formula(*args, **kwargs, out_val=result)) if formula else 0.0


def convolution_backward_flops(args: Any) -> float:
    """Each gradient asked for (input, weight) takes as many multiply-adds as the forward pass.

    Forward: for each output pixel of each sample, every weight once; the weight's own shape (channels out, channels
    in / groups, kernel) makes this right for any number of groups. Transposed, the input's pixels take that place.
    """
    grad_output, source, weight = args[0], args[1], args[2]
    transposed, output_mask = args[7], args[10]
    pixels = (source if transposed else grad_output).shape[2:]
    forward: float = 2.0 * grad_output.shape[0] * math.prod(pixels) * weight.numel()
    return forward * (bool(output_mask[0]) + bool(output_mask[1]))


def kind_of(packet: Any, args: Any) -> OperationKind:
    """matmul, conv, grouped_conv, or memory for an operation without a FLOP formula."""
    if packet in CONVOLUTIONS:
        position = GROUPS_ARGUMENT.get(packet, 8)
        return "grouped_conv" if len(args) > position and args[position] > 1 else "conv"
    return "matmul" if packet in flop_registry else "memory"


def tensors_in(tree: Any) -> list[torch.Tensor]:
    """Every tensor in nested tuples, lists and dicts."""
    return [leaf for leaf in tree_leaves(tree) if isinstance(leaf, torch.Tensor)]


def tensor_bytes(tensor: torch.Tensor) -> int:
    """Bytes an operation touches of a tensor: an expanded one has fewer in memory than its shape says."""
    return min(tensor.numel() * tensor.element_size(), tensor.untyped_storage().nbytes())
