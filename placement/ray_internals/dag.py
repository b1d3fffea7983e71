"""The nodes of Ray's DAGs. ray.dag takes a script some 20 ms to import, which few have a use for."""

from __future__ import annotations

from ray.dag.class_node import ClassNode
from ray.dag.function_node import FunctionNode

__all__ = ["ClassNode", "FunctionNode"]
