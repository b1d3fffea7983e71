"""The table of Ray's private names, and which of them a Ray lacks."""

from __future__ import annotations

from collections.abc import Iterable
from importlib import import_module
from typing import NamedTuple

ALL = "2.53 to 2.60"
PUBLIC_WAY = "tasks go by the public way"
PUBLIC_ACTORS = "actors go by the public way"


class PrivateName(NamedTuple):
    """One of Ray's private names. module: where it is imported from.  without: what is done on a Ray that lacks it."""

    module: str
    name: str
    purpose: str
    without: str
    seen: str = ALL


CONNECTION = (
    PrivateName(
        "ray._private.worker", "global_worker", "this process's connection: its cluster, job, node and mode",
        "ray.get_runtime_context() and ray.is_initialized() tell, some microseconds slower",
    ),
    PrivateName(
        "ray._private.auto_init_hook", "auto_init_ray", "connects a process that is not connected",
        "ray.init() where ray.is_initialized() is False",
    ),
    PrivateName(
        "ray._private.client_mode_hook", "client_mode_should_convert", "tells a Ray Client's process",
        "no process is taken for a Ray Client's",
    ),
)  # fmt: skip

OPTIONS = (
    PrivateName(
        "ray._private.worker", "_make_remote", "ray.remote itself, where placed_remote has been put in its place",
        "the ray.remote of the time of import",
    ),
    PrivateName("ray._private.inspect_util", "is_cython", "tells a Cython function", "none is one"),
    PrivateName(
        "ray._common", "ray_option_utils",
        "the options of tasks and actors, checked at decoration; `is_generator_callable` since 2.55, "
        "`_num_objects_per_yield` since 2.57",
        "ray.remote checks them itself",
    ),
    PrivateName(
        "ray._common.signature", "extract_signature", "the parameters of a function, as Ray sees them",
        "inspect.signature",
    ),
    PrivateName(
        "ray._common.signature", "validate_args", "Ray's TypeError of arguments that do not fit",
        "inspect.Signature.bind, whose words Ray's are",
    ),
)  # fmt: skip

TASKS = (
    PrivateName("ray.remote_function", "RemoteFunction", "is derived from: what is exported is ours", PUBLIC_WAY),
    PrivateName("ray", "Language", "argument of RemoteFunction", PUBLIC_WAY),
    PrivateName(
        "ray.remote_function", "_task_launch_hook", "where one is set, Ray submits by itself and calls it", PUBLIC_WAY
    ),
    PrivateName("ray._common", "signature", "how arguments are flattened, and read by a worker", PUBLIC_WAY),
    PrivateName("ray._common.serialization", "pickle_dumps", "pickles what is exported, with Ray's errors", PUBLIC_WAY),
    PrivateName("ray._common.utils", "resources_from_ray_options", "the resources of a task's options", PUBLIC_WAY),
    PrivateName("ray._private.utils", "get_runtime_env_info", "the runtime_env, serialised once", PUBLIC_WAY),
    PrivateName("ray._private.utils", "parse_runtime_env_for_task_or_actor", "the runtime_env, parsed", PUBLIC_WAY),
    PrivateName("ray._raylet", "PythonFunctionDescriptor", "names the exported function", PUBLIC_WAY),
    PrivateName(
        "ray._raylet", "CoreWorker.submit_task", "submits; 17 arguments to 2.56, `num_objects_per_yield` since 2.57",
        PUBLIC_WAY,
    ),
    PrivateName("ray.util.tracing.tracing_helper", "_global_is_tracing_enabled", "whether Ray traces", PUBLIC_WAY),
    PrivateName("ray.util.tracing.tracing_helper", "_inject_tracing_into_function", "traces", PUBLIC_WAY),
)  # fmt: skip

ACTORS = (
    PrivateName("ray", "ActorClassID", "names a class", PUBLIC_ACTORS),
    PrivateName("ray.actor", "ActorClass", "is derived from: a creation is decided on its way", PUBLIC_ACTORS),
    PrivateName("ray.actor", "_modify_class", "makes of a user's class the one that an actor has", PUBLIC_ACTORS),
    PrivateName("ray._private.ray_constants", "MAX_INT64_VALUE", "bounds max_restarts", PUBLIC_ACTORS),
    PrivateName("ray._private.utils", "parse_runtime_env_for_task_or_actor", "the runtime_env, parsed", PUBLIC_ACTORS),
    PrivateName("ray._common.signature", "validate_args", "checks a constructor's arguments", PUBLIC_ACTORS),
    PrivateName("ray.util.tracing.tracing_helper", "_inject_tracing_into_class", "traces", PUBLIC_ACTORS),
)  # fmt: skip

DAG = (
    PrivateName("ray.dag.function_node", "FunctionNode", "a placed task in a DAG", "Ray's own node: not placed"),
    PrivateName("ray.dag.class_node", "ClassNode", "a placed actor in a DAG", "Ray's own node: not placed"),
)

USAGE = (
    PrivateName("ray._common.usage.usage_lib", "record_library_usage", "is called as Ray calls it", "it is not called"),
)

CONTROL_STORE = tuple(
    PrivateName(
        "ray.experimental.internal_kv", name, "keeps selectors and settings over a restart of the placement actor",
        "placed_remote is ray.remote",
    )
    for name in ("_internal_kv_get", "_internal_kv_put", "_internal_kv_del")
)  # fmt: skip

CLUSTER = (
    PrivateName(
        "ray._private.state", "available_resources_per_node", "what is free on each node",
        "every node is taken for one in use",
    ),
    PrivateName(
        "ray.autoscaler.v2.sdk", "get_cluster_resource_state", "nodes and what waits for them",
        "queues are known as far as callers of placed tasks count them",
    ),
    PrivateName("ray.core.generated", "autoscaler_pb2", "the status of a node in that state", "as there"),
    PrivateName("ray.core.generated", "common_pb2", "the operator of a label in that state", "as there"),
    PrivateName(
        "ray._common.constants", "HEAD_NODE_RESOURCE_NAME", "keeps the placement actor on the head",
        "it runs on any node",
    ),
    PrivateName(
        "ray.experimental", "get_local_object_locations", "the size and place of an argument",
        "data's place is not looked at",
    ),
)  # fmt: skip

WORKER_HOOKS = (
    PrivateName(
        "ray._private.worker", "global_worker.function_actor_manager",
        "its _num_task_executions and _function_execution_info: a worker with a failed GPU is ended by its max_calls",
        "a worker ends after each task on a GPU",
    ),
    PrivateName(
        "ray._raylet", "CoreWorker.get_pending_children_task_ids", "a worker whose task left others is not kept",
        "a worker ends after each task on a GPU",
    ),
    PrivateName(
        "ray._private.utils", "format_error_message", "leaves this package's frames out of a task's traceback",
        "they are in it",
    ),
)  # fmt: skip

MACHINE = (
    PrivateName(
        "ray._private.utils", "get_num_cpus", "the CPUs that `ray start` counts, within a container's limits",
        "the CPUs that the process may run on",
    ),
    PrivateName(
        "ray._common.utils", "get_system_memory", "the memory of the machine or the container",
        "the memory of the machine",
    ),
)  # fmt: skip

EMULATION = (
    PrivateName(
        "ray._private.utils", "get_dashboard_dependency_error", "starts emulated nodes without a dashboard",
        "they start with one, more slowly",
    ),
)  # fmt: skip

NAMES = (
    *CONNECTION,
    *OPTIONS,
    *TASKS,
    *USAGE,
    *ACTORS,
    *DAG,
    *CONTROL_STORE,
    *CLUSTER,
    *WORKER_HOOKS,
    *MACHINE,
    *EMULATION,
)


def absent(names: Iterable[PrivateName]) -> list[str]:
    """The full names that this Ray lacks."""
    return [f"{one.module}.{one.name}" for one in names if not _is_there(one)]


def has_nodes() -> bool:
    """Nodes of Ray's DAGs can be derived from."""
    return not absent(DAG)


def _is_there(one: PrivateName) -> bool:
    try:
        found = import_module(one.module)
    except ImportError:
        return False
    for part in one.name.split("."):
        if not hasattr(found, part):
            try:
                found = import_module(f"{one.module}.{part}")
            except ImportError:
                return False
        else:
            found = getattr(found, part)
    return True
