"""What happens in the worker, without one: the boundary to Ray is replaced, the rest is the real thing."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from placement.errors import DeviceError
from placement.hardware.meters import gpu_state
from placement.messages import node_context
from placement.messages.envelope import Emulated, Envelope, TaskRun, common, comparison_of, unpack, with_comparison
from placement.messages.node_context import NodeContext
from placement.prediction.runtime_history import Sample
from placement.scheduling.candidates import Comparison
from placement.scheduling.decision import Decision
from placement.spec.node import NodeSpec, paper_configs
from placement.spec.task import Operation, TaskSpec
from placement.worker import device, execution, outbox, thread_limits, traceback_filter
from placement.worker.device import CUDA, current_device
from placement.worker.execution import run_placed, run_placed_generator
from placement.worker.run_records import recorded
from placement.worker.traceback_filter import without_own_frames

SPEC = TaskSpec(
    flops=1e9, input_bytes=1e6, batch_size=8, parameters=1000, kernels=3, framework="torch", kind="train",
    operations=(Operation("matmul", 1e9, 1e6, 3),),
)  # fmt: skip
REAL = NodeSpec("here", cpus=2, gpus=1, cpu_gflops=100.0, probes={"cpu_matmul_large": 0.1, "cpu_launch": 1e-6})


def envelope(device: str, *, repeatable: bool = True, cpus: float = 1.0, gpus: float = 1.0) -> Envelope:
    gpus = gpus if device == "gpu" else 0.0
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
    monkeypatch.setattr(gpu_state, "memory_held", lambda ours: {})
    monkeypatch.setattr(device, "users_variables", frozenset)
    monkeypatch.setattr(thread_limits, "_set_by_launcher", lambda: False)
    monkeypatch.delitem(sys.modules, "torch", raising=False)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    yield reported
    assert current_device() == "cpu"
    assert os.environ["OMP_NUM_THREADS"] == "1"


@pytest.fixture
def retired(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    calls: list[bool] = []
    monkeypatch.setattr(execution, "retire_worker", lambda: calls.append(True))
    return calls


class Cuda:
    """torch.cuda as a user's code meets it: initialised at first use, with the settings found then."""

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.reserved = 0
        self.initialised = False

    def is_initialized(self) -> bool:
        return self.initialised

    def __getattr__(self, name: str) -> Any:
        def call(*_: Any) -> int:
            self.calls.append(name)
            if not self.initialised:
                raise AssertionError(f"torch.cuda.{name} was called before the user's code initialised CUDA")
            return {"memory_reserved": self.reserved, "max_memory_reserved": 7, "device_count": 1}.get(name, 0)

        return call


@pytest.fixture
def cuda(monkeypatch: pytest.MonkeyPatch) -> Cuda:
    made = Cuda()
    torch = SimpleNamespace(cuda=made, get_num_threads=lambda: 1, set_num_threads=lambda n: None)
    monkeypatch.setitem(sys.modules, "torch", torch)
    return made


def run(function: Callable[..., Any], which: Envelope, *args: Any) -> Any:
    return run_placed(function, "f", which.pack(), args, {})


def test_an_envelope_survives_its_bytes() -> None:
    assert unpack(envelope("gpu").pack()) == envelope("gpu")
    packed, comparison = envelope("gpu").pack(), Comparison("D", "gpu", 2.0, 1.0, "A", "cpu", 0.0, 30.0, 2.0)
    told = with_comparison(packed, comparison)
    assert (unpack(told), comparison_of(told), comparison_of(packed)) == (envelope("gpu"), comparison, None)
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


def test_an_error_that_wants_a_gpu_on_a_cpu_says_where_it_ran(runs: list[TaskRun]) -> None:
    class XGBoostError(ValueError):
        """As XGBoost 3.2 and 3.4 raise it on a machine with a GPU that a task does not see."""

    def fit(text: str) -> None:
        raise XGBoostError(text)

    no_device = "src/common/cuda_dr_utils.cc: 28: cudaErrorNoDevice: no CUDA-capable device is detected"
    for text, notes in ((no_device, 1), ("labels must be in [0, 3)", 0)):
        with pytest.raises(XGBoostError) as raised:
            run_placed(fit, "f", envelope("cpu").pack(), (text,), {})
        assert len(getattr(raised.value, "__notes__", [])) == notes
    assert [run.error for run in runs] == ["XGBoostError"] * 2


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


def test_a_process_whose_cuda_is_up_too_early_for_a_task_is_to_blame_and_not_the_gpu(
    runs: list[TaskRun], retired: list[bool], cuda: Cuda
) -> None:
    def forks() -> str:
        if current_device() != "cpu":
            raise RuntimeError("Cannot re-initialize CUDA in forked subprocess.")
        return current_device()

    with pytest.raises(RuntimeError, match="forked"):  # nobody but the task itself has initialised CUDA
        run(forks, envelope("gpu"))
    cuda.initialised = True
    assert run(forks, envelope("gpu")) == "cpu"
    assert retired == [True]
    assert recorded(runs, NodeContext("n1", REAL), {}).unfit == []


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


def test_cuda_is_left_to_the_users_code_whose_first_run_is_cold_and_its_startup_unknown(
    runs: list[TaskRun], cuda: Cuda, retired: list[bool]
) -> None:
    def uses_cuda() -> list[str]:
        before = [] if cuda.initialised else list(cuda.calls)
        cuda.initialised = True
        return before

    assert run(lambda: None, envelope("gpu")) is None
    assert cuda.calls == []
    assert [run(uses_cuda, envelope("gpu")) for _ in range(2)] == [[], []]
    assert [(r.startup_s, r.cold, r.memory_bytes) for r in runs] == [
        (None, True, None),
        (None, True, 7.0),
        (0.0, False, 7.0),
    ]
    assert retired == []
    rows, observations, _ = recorded(runs, NodeContext("n1", REAL), {})
    assert rows[0].column("startup_s") == [None, None, 0.0]
    assert [len(samples) for _, _, samples in observations] == [1]


def test_a_gpu_worker_ends_after_a_task_that_leaves_memory_or_a_failure_to_look(
    runs: list[TaskRun], cuda: Cuda, retired: list[bool], monkeypatch: pytest.MonkeyPatch
) -> None:
    own = os.getpid()
    kept: list[Any] = [{}, {(0, own): 5 * 10**8}]
    ended: list[Any] = [{(0, own): 3 * 10**9}, {(1, own + 1): 1}, None]
    for held, ends in [*((held, False) for held in kept), *((held, True) for held in ended)]:
        monkeypatch.setattr(gpu_state, "memory_held", lambda ours, held=held: held)
        retired.clear()
        assert run(lambda: 5, envelope("gpu")) == 5
        assert list(run_placed_generator(lambda: iter("ab"), "f", envelope("gpu").pack(), (), {})) == ["a", "b"]
        assert retired == [True, True] * ends
    monkeypatch.setattr(gpu_state, "memory_held", lambda ours: {})
    cuda.initialised, cuda.reserved = True, 2**30  # a model in a global
    retired.clear()
    run(lambda: None, envelope("gpu"))
    assert retired == [True]
    run(lambda: None, envelope("cpu"))
    assert retired == [True]


def test_runs_of_gpu_workers_that_end_after_each_task_are_observations(
    runs: list[TaskRun], cuda: Cuda, retired: list[bool], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Their start-up is part of every call, so it is part of what history expects."""
    monkeypatch.setattr(execution, "worker_retires", lambda: True)
    cuda.initialised = True
    run(lambda: None, envelope("gpu"))
    monkeypatch.setattr(execution, "worker_retires", lambda: False)
    monkeypatch.setattr(execution, "_bound_to", None)
    run(lambda: None, envelope("gpu"))
    assert [(r.startup_s, r.cold) for r in runs] == [(None, False), (None, True)]
    _, observations, _ = recorded(runs, NodeContext("n1", REAL), {})
    assert [len(samples) for _, _, samples in observations] == [1]


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
    assert observations[0][2] == [Sample(2.5, 15.0)]


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
    assert [(one.key[0], one.share) for one in unfit] == [("f@3", 1.0)]


class Beside:
    """A task's share of a GPU beside two others."""

    neighbours, utilisation = 2, 0.6

    def __init__(self, gpu: str, busy: float) -> None:
        self.busy = busy

    def look(self) -> None:
        """They stay."""

    leave = look


def test_a_share_is_recorded_with_its_neighbours_and_running_out_of_memory_beside_them_widens_it(
    runs: list[TaskRun], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails() -> None:
        if current_device() != "cpu":
            raise RuntimeError("CUDA out of memory")

    monkeypatch.setattr(execution, "SharedGpu", Beside)
    run(fails, envelope("gpu", gpus=0.25))
    run(fails, envelope("gpu"))
    assert [(r.neighbours, r.neighbour_utilisation, r.device) for r in runs] == [(2, 0.6, "cpu"), (None, None, "cpu")]
    rows, _, unfit = recorded(runs, NodeContext("n1", REAL), {})
    assert [(row.same["gpus"], row.column("neighbours")) for row in rows] == [(0.25, [2]), (1.0, [None])]
    assert [(one.config, one.share) for one in unfit] == [(REAL.config, 0.25), (REAL.config, 1.0)]


def test_an_emulated_task_is_slowed_by_its_neighbours(runs: list[TaskRun], monkeypatch: pytest.MonkeyPatch) -> None:
    def slower(task: TaskSpec, node: NodeSpec, device: str, cpus: float, others: float = 0.0) -> Emulated:
        return Emulated(compute_s=1.0 + others, transfer_s=0.0, gpu_utilisation=0.2)

    context = NodeContext("n1", paper_configs()["A"], emulated=True, emulator="some:emulator")
    monkeypatch.setattr(node_context, "emulator_of", lambda _: slower)
    monkeypatch.setattr(outbox, "node_context", lambda: context)
    monkeypatch.setattr(execution, "SharedGpu", Beside)
    run(lambda: None, envelope("gpu", gpus=0.25))
    run(lambda: None, envelope("gpu"))
    rows, observations, _ = recorded(runs, context, {})
    assert [row.same["compute_s"] for row in rows] == [1.6, 1.0]
    assert [sample.utilisation for _, _, samples in observations for sample in samples] == [0.2, 0.2]
