"""This process as the worker of tasks: what they have left in it, and its ties to Ray and to the placement actor."""

from __future__ import annotations

from placement.messages.envelope import ANOTHERS_CUDA, TaskRun
from placement.messages.node_context import NodeContext
from placement.ray_internals.connection import running_task_id
from placement.ray_internals.worker_hooks import worker_retires
from placement.worker import outbox
from placement.worker.shared_gpu import SharedGpu
from placement.worker.worker_retirement import retire_worker


class WorkerProcess:
    """The process in which tasks run one after the other. Tests have one without Ray."""

    shared_gpu = SharedGpu
    """Makes what a task with a share of a GPU enters."""

    def __init__(self) -> None:
        self._seen_functions: set[str] = set()
        self._cuda_bound_to: str | None = None

    def node_context(self) -> NodeContext:
        """The context of this worker's node."""
        return outbox.node_context()

    def report(self, run: TaskRun, *, last: bool = False) -> None:
        """Hands a finished run to the outbox. last: the process ends after this one."""
        outbox.report(run, last=last)

    def running_task_id(self) -> bytes | None:
        """Ray's id of the task under way."""
        return running_task_id()

    def retires(self) -> bool:
        """Ray ends this process after the task under way."""
        return worker_retires()

    def retire(self) -> None:
        """Ray is to end this process after the task under way."""
        retire_worker()

    def is_cold(self, name: str) -> bool:
        """The first run of a function in this process: it pays imports, model building and caches."""
        if name in self._seen_functions:
            return False
        self._seen_functions.add(name)
        return True

    @property
    def has_run_on_gpu(self) -> bool:
        """A task of this process was given a GPU before."""
        return self._cuda_bound_to is not None

    def bound_elsewhere(self, visible: str) -> str | None:
        """The reason why this process cannot use the GPU it was given now; None where it can.

        visible: its CUDA_VISIBLE_DEVICES. CUDA stays with the device of the process's first GPU task.
        """
        if self._cuda_bound_to is None:
            self._cuda_bound_to = visible
        if visible == self._cuda_bound_to:
            return None
        self.retire()
        return f"{ANOTHERS_CUDA} GPU {self._cuda_bound_to or 'none'}, and it is now given {visible or 'none'}."


THIS_PROCESS = WorkerProcess()
