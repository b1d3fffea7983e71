"""What happens in the worker, without one: the boundary to Ray is replaced, the rest is the real thing."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from placement.errors import DeviceError
from placement.messages import node_context
from placement.messages.envelope import Emulated, Envelope, TaskRun, common, unpack, weighed_of, with_weighed
from placement.messages.node_context import NodeContext
from placement.scheduling.candidates import Comparison
from placement.scheduling.decision import Decision
from placement.spec.node import NodeSpec, paper_configs
from placement.spec.task import Operation, TaskSpec
from placement.worker import execution, outbox, traceback_filter
from placement.worker.device import CUDA, current_device
from placement.worker.execution import run_placed, run_placed_generator
from placement.worker.run_records import recorded
from placement.worker.traceback_filter import without_own_frames

SPEC = TaskSpec(
    flops=1e9, input_bytes=1e6, batch_size=8, parameters=1000, kernels=3, framework="torch", kind="train",
    operations=(Operation("matmul", 1e9, 1e6, 3),),
)  # fmt: skip
REAL = NodeSpec("here", cpus=2, gpus=1, cpu_gflops=100.0, probes={"cpu_matmul_large": 0.1, "cpu_launch": 1e-6})


def envelope(device: str, *, repeatable: bool = True, cpus: float = 1.0) -> Envelope:
    gpus = 1.0 if device == "gpu" else 0.0
    return Envelope(SPEC, Decision(device, "here", ("here",), cpus, gpus, "why", "selector", "s1", 7, 0.9), repeatable)


@pytest.fixture
def runs(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[TaskRun]]:
    """The runs that were reported; the node is a real one."""
    reported: list[TaskRun] = []
    monkeypatch.setattr(outbox, "node_context", lambda: NodeContext("n1", REAL))
    monkeypatch.setattr(outbox, "report", lambda run, last: reported.append(run))
    monkeypatch.setattr(execution, "worker_retires", lambda: False)
    monkeypatch.setattr(execution, "running_task_id", lambda: b"t1")
    monkeypatch.setattr(execution, "_seen_functions", {"f"})
    monkeypatch.setattr(execution, "_bound_to", None)
    monkeypatch.setattr(execution, "_initialise_cuda", lambda: 0.0)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.setattr(execution, "_threads_set", None)
    monkeypatch.setattr(execution, "_users_own_threads", lambda: False)
    yield reported
    assert current_device() == "cpu"


@pytest.fixture
def retired(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    calls: list[bool] = []
    monkeypatch.setattr(execution, "retire_worker", lambda: calls.append(True))
    return calls


def run(function: Callable[..., Any], which: Envelope, *args: Any) -> Any:
    return run_placed(function, "f", which.pack(), args, {})


def test_an_envelope_survives_its_bytes() -> None:
    assert unpack(envelope("gpu").pack()) == envelope("gpu")
    packed, weighed = envelope("gpu").pack(), Comparison("D", "gpu", 2.0, 1.0, "A", "cpu", 0.0, 30.0, 2.0)
    told = with_weighed(packed, weighed)
    assert (unpack(told), weighed_of(told), weighed_of(packed)) == (envelope("gpu"), weighed, None)
    assert common(told) == packed


def test_an_envelope_takes_numpys_numbers() -> None:
    import numpy as np

    spec = TaskSpec(flops=np.float32(2.0), batch_size=np.int64(3))
    packed = Envelope(spec, envelope("cpu").decision).pack()
    assert unpack(packed).spec == TaskSpec(flops=2.0, batch_size=3)


def test_a_cpu_task_sees_no_gpu_and_the_users_own_setting_comes_back(
    runs: list[TaskRun], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(CUDA, "GPU-1234")
    assert run(lambda: (current_device(), os.environ[CUDA]), envelope("cpu")) == ("cpu", "")
    assert os.environ[CUDA] == "GPU-1234"
    monkeypatch.delenv(CUDA)
    assert run(lambda: os.environ[CUDA], envelope("cpu")) == ""
    assert CUDA not in os.environ
    assert [r.device for r in runs] == ["cpu", "cpu"]


def test_a_gpu_task_sees_its_own_gpu(runs: list[TaskRun], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(CUDA, "GPU-1234")
    assert run(lambda: (current_device(), os.environ[CUDA]), envelope("gpu")) == ("cuda:0", "GPU-1234")
    assert (runs[0].device, runs[0].visible) == ("gpu", "GPU-1234")


def test_a_worker_never_uses_a_gpu_that_its_cuda_was_not_made_for(
    runs: list[TaskRun], retired: list[bool], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Assignments as a node with two GPUs hands them out; CUDA stays with the first that a process saw."""

    def seen() -> tuple[str, str]:
        return current_device(), os.environ[CUDA]

    results = []
    for uuid in ("GPU-a", "GPU-a", "GPU-b"):
        monkeypatch.setenv(CUDA, uuid)
        results.append(run(seen, envelope("gpu")))
    assert results == [("cuda:0", "GPU-a"), ("cuda:0", "GPU-a"), ("cpu", "")]
    assert retired
    assert "made for GPU GPU-a, and it is now given GPU-b" in (runs[2].fallback or "")
    assert recorded(runs, NodeContext("n1", REAL), {}).unfit == []  # and the GPU is not to blame
    with pytest.raises(DeviceError, match="submit the task again"):
        run(seen, envelope("gpu", repeatable=False))
    assert run(lambda: os.environ[CUDA], envelope("cpu")) == ""  # the CPU needs no CUDA
    assert os.environ[CUDA] == "GPU-b"


def test_a_gpu_out_of_memory_ends_on_the_cpu(runs: list[TaskRun], retired: list[bool]) -> None:
    tries = []

    def hungry(x: int) -> tuple[int, str]:
        tries.append((current_device(), os.environ.get(CUDA)))
        if current_device() != "cpu":
            raise RuntimeError("CUDA out of memory. Tried to allocate 20.00 GiB")
        return x, current_device()

    assert run(hungry, envelope("gpu"), 5) == (5, "cpu")
    assert tries[1] == ("cpu", "")
    assert retired == [True]
    assert runs[0].device == "cpu"
    assert "out of memory" in (runs[0].fallback or "")
    _, observations, unfit = recorded(runs, NodeContext("n1", REAL), {})
    assert observations == []
    assert unfit[0][1] == "here"


@pytest.mark.parametrize("error", [ValueError("CUDA out of memory"), RuntimeError("shapes differ"), MemoryError()])
def test_another_error_is_the_users_own(error: Exception, runs: list[TaskRun], retired: list[bool]) -> None:
    def fails() -> None:
        raise error

    with pytest.raises(type(error)):
        run(fails, envelope("gpu"))
    assert retired == []
    assert runs[0].error == type(error).__name__


@pytest.mark.parametrize("which", [envelope("gpu", repeatable=False), envelope("cpu")])
def test_nothing_is_run_twice_where_it_must_not_be(which: Envelope, runs: list[TaskRun], retired: list[bool]) -> None:
    calls = []

    def hungry() -> None:
        calls.append(1)
        raise RuntimeError("CUDA out of memory")

    with pytest.raises(RuntimeError, match="out of memory"):
        run(hungry, which)
    assert calls == [1]
    assert retired == []
    assert runs[0].fallback is None


def test_a_generator_that_has_yielded_is_never_run_again(runs: list[TaskRun], retired: list[bool]) -> None:
    def hungry() -> Iterator[int]:
        yield 1
        raise RuntimeError("CUDA out of memory")

    values = run_placed_generator(hungry, "f", envelope("gpu").pack(), (), {})
    assert next(values) == 1
    with pytest.raises(RuntimeError):
        next(values)
    assert retired == []
    assert runs[0].error == "RuntimeError"


@pytest.mark.parametrize(
    ("found", "own", "cpus", "seen"),
    [
        ("2", False, [2.0], [2]), ("1", False, [0.5], [1]), ("3", False, [3.7], [3]),
        (None, False, [2.0, 4.0, 1.0], [2, 4, 1]),  # ours, and known again
        ("1", False, [2.0, 1.0, 2.0], [2, 1, 2]),  # Ray's cluster launcher exports it everywhere
        ("1", True, [2.0], [None]), ("3", False, [2.0], [None]), ("3", False, [2.0, 3.0], [None, 3]),
        ("all", False, [1], [None]),
    ],
)  # fmt: skip
def test_the_libraries_get_the_cpus_granted_and_a_users_own_threads_hold(
    runs: list[TaskRun], monkeypatch: pytest.MonkeyPatch, found: str | None, own: bool, cpus: list[float],
    seen: list[int | None],
) -> None:  # fmt: skip
    """Ray sets OMP_NUM_THREADS to the CPUs granted where it finds none: `found` is what the first task then finds.

    own: the runtime_env has it.  seen: what each task sets, None: nothing.
    """
    told: list[int] = []
    torch = SimpleNamespace(get_num_threads=lambda: 17, set_num_threads=told.append)
    monkeypatch.setitem(sys.modules, "torch", torch)  # an earlier task of this worker has loaded it
    monkeypatch.setitem(sys.modules, "xgboost", SimpleNamespace(set_config=lambda nthread: told.append(nthread)))
    monkeypatch.setattr(execution, "_users_own_threads", lambda: own)
    if found is None:
        monkeypatch.delenv("OMP_NUM_THREADS")
    else:
        monkeypatch.setenv("OMP_NUM_THREADS", found)
    for granted, threads in zip(cpus, seen, strict=True):
        told.clear()
        given = run(lambda: os.environ["OMP_NUM_THREADS"], envelope("cpu", cpus=granted))
        assert given == (found if threads is None else str(threads))
        assert told == ([] if threads is None else [threads, threads])


def test_the_first_run_in_a_process_is_cold_and_no_observation(
    runs: list[TaskRun], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(execution, "_seen_functions", set())
    run(lambda: None, envelope("cpu"))
    run(lambda: None, envelope("cpu"))
    assert [r.cold for r in runs] == [True, False]
    rows, observations, _ = recorded(runs, NodeContext("n1", REAL), {})
    assert rows[0].same["probes"] == '{"cpu_launch": 1e-06, "cpu_matmul_large": 0.1}'
    assert ([some.number for some in rows], [len(samples) for _, _, samples in observations]) == ([2], [1])


def emulate(task: TaskSpec, node: NodeSpec, device: str, cpus: float) -> Emulated:
    return Emulated(compute_s=2.0, transfer_s=0.5, cpu_joules=10.0, gpu_joules=5.0 if device == "gpu" else None)


def test_an_emulated_gpu_task_runs_on_the_cpu_and_logs_emulated_times(
    runs: list[TaskRun], monkeypatch: pytest.MonkeyPatch
) -> None:
    name = f"{__name__}:emulate"
    context = NodeContext("n1", paper_configs()["A"], emulated=True, emulator=name)
    monkeypatch.setattr(node_context, "emulator_of", lambda _: emulate)
    monkeypatch.setattr(outbox, "node_context", lambda: context)
    assert run(current_device, envelope("gpu")) == "cpu"
    rows, observations, _ = recorded(runs, context, {})
    (row,) = rows
    assert (row.same["device"], row.same["compute_s"], row.same["time_provenance"]) == ("gpu", 2.0, "emulated")
    assert observations[0][2] == [(2.5, 15.0, 0.0, None)]


def test_without_an_emulator_the_hosts_seconds_are_not_told_as_anothers(runs: list[TaskRun]) -> None:
    run(lambda: None, envelope("cpu"))
    rows, observations, _ = recorded(runs, NodeContext("n1", paper_configs()["A"], emulated=True), {})
    (row,) = rows
    assert (row.column("compute_s"), row.column("time_provenance"), observations) == ([None], [None], [])


def test_our_frames_are_left_out_of_tracebacks_also_of_exception_groups() -> None:
    ours = traceback_filter._OWN.removeprefix('  File "') + "execution.py"
    frames = f'  File "{ours}", line 1, in run\n    call()\n    ^^^^\n  File "mine.py", line 2, in f\n    raise it\n'
    left = '  File "mine.py", line 2, in f\n    raise it\n'
    assert without_own_frames(f"Traceback:\n{frames}E: text") == f"Traceback:\n{left}E: text"

    def grouped(text: str) -> str:
        return "".join(f"    | {line}\n" for line in text.splitlines())

    assert without_own_frames(f"  + Traceback:\n{grouped(frames)}    | E") == f"  + Traceback:\n{grouped(left)}    | E"


def test_runs_are_known_by_the_key_of_their_code(runs: list[TaskRun], monkeypatch: pytest.MonkeyPatch) -> None:
    """Two functions of one name: each has a cold first run, and timings and failures of its own."""
    monkeypatch.setattr(execution, "_seen_functions", set())

    def fails() -> None:
        if current_device() != "cpu":
            raise RuntimeError("CUDA out of memory")

    for key in ("f@1", "f@2"):
        run(lambda: None, envelope("cpu")._replace(key=key))
        run(lambda: None, envelope("cpu")._replace(key=key))
    run(fails, envelope("gpu")._replace(key="f@3"))
    assert [r.cold for r in runs] == [True, False, True, False, True]
    assert {r.function for r in runs} == {"f"}
    rows, observations, unfit = recorded(runs, NodeContext("n1", REAL), {})
    assert {row.same["function"] for row in rows} == {"f"}
    assert [key for (key, _), _, _ in observations] == ["f@1", "f@2"]
    assert [key for (key, _), _, _ in unfit] == ["f@3"]
