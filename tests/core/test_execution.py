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
from placement.worker import device, traceback_filter
from placement.worker.device import CUDA, current_device
from placement.worker.execution import run_placed, run_placed_generator
from placement.worker.run_records import recorded
from placement.worker.traceback_filter import without_own_frames
from placement.worker.worker_process import WorkerProcess

SPEC = TaskSpec(
    flops=1e9, input_bytes=1e6, batch_size=8, parameters=1000, kernels=3, framework="torch", kind="train",
    operations=(Operation("matmul", 1e9, 1e6, 3),),
)  # fmt: skip
REAL = NodeSpec("here", cpus=2, gpus=1, cpu_gflops=100.0, probes={"cpu_matmul_large": 0.1, "cpu_launch": 1e-6})


def envelope(device: str, *, repeatable: bool = True, cpus: float = 1.0, gpus: float = 1.0) -> Envelope:
    gpus = gpus if device == "gpu" else 0.0
    return Envelope(SPEC, Decision(device, "here", ("here",), cpus, gpus, "why", "selector", "s1", 7, 0.9), repeatable)


class Worker(WorkerProcess):
    """A process that is no worker of Ray's, on a real node.

    runs: what was reported.  retired: how often Ray was asked to end it.  ends: Ray ends it after each task.
    """

    def __init__(self) -> None:
        super().__init__()
        self.context = NodeContext("n1", REAL)
        self.runs: list[TaskRun] = []
        self.retired = 0
        self.ends = False

    def node_context(self) -> NodeContext:
        return self.context

    def report(self, run: TaskRun, *, last: bool = False) -> None:
        assert last == self.ends
        self.runs.append(run)

    def retires(self) -> bool:
        return self.ends

    def retire(self) -> None:
        self.retired += 1

    def running_task_id(self) -> bytes:
        return b"t1"

    def run(self, function: Callable[..., Any], which: Envelope, *args: Any) -> Any:
        return run_placed(function, "f", which.pack(), args, {}, self)

    def run_generator(self, function: Callable[..., Any], which: Envelope) -> Iterator[Any]:
        return run_placed_generator(function, "f", which.pack(), (), {}, self)


@pytest.fixture
def worker(monkeypatch: pytest.MonkeyPatch) -> Iterator[Worker]:
    """A process that has run the function f before; each test leaves its environment as it was."""
    monkeypatch.setattr(gpu_state, "memory_held", lambda ours: {})
    monkeypatch.setattr(device, "users_variables", frozenset)
    monkeypatch.delitem(sys.modules, "torch", raising=False)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    made = Worker()
    assert made.is_cold("f")
    yield made
    assert current_device() == "cpu"
    assert os.environ["OMP_NUM_THREADS"] == "1"


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
    worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(CUDA, "GPU-1234")
    assert worker.run(lambda: (current_device(), os.environ[CUDA]), envelope("cpu")) == ("cpu", "")
    assert os.environ[CUDA] == "GPU-1234"
    monkeypatch.delenv(CUDA)
    assert worker.run(lambda: os.environ[CUDA], envelope("cpu")) == ""
    assert CUDA not in os.environ
    assert [r.device for r in worker.runs] == ["cpu", "cpu"]


def test_a_gpu_task_sees_its_own_gpu(worker: Worker, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(CUDA, "GPU-1234")
    assert worker.run(lambda: (current_device(), os.environ[CUDA]), envelope("gpu")) == ("cuda:0", "GPU-1234")
    assert (worker.runs[0].device, worker.runs[0].visible) == ("gpu", "GPU-1234")


def test_an_error_that_wants_a_gpu_on_a_cpu_says_where_it_ran(worker: Worker) -> None:
    class XGBoostError(ValueError):
        """As XGBoost 3.2 and 3.4 raise it on a machine with a GPU that a task does not see."""

    def fit(text: str) -> None:
        raise XGBoostError(text)

    no_device = "src/common/cuda_dr_utils.cc: 28: cudaErrorNoDevice: no CUDA-capable device is detected"
    for text, notes in ((no_device, 1), ("labels must be in [0, 3)", 0)):
        with pytest.raises(XGBoostError) as raised:
            worker.run(fit, envelope("cpu"), text)
        assert len(getattr(raised.value, "__notes__", [])) == notes
    assert [run.error for run in worker.runs] == ["XGBoostError"] * 2


def test_a_worker_never_uses_a_gpu_that_its_cuda_was_not_made_for(
    worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Assignments as a node with two GPUs hands them out; CUDA stays with the first that a process saw."""

    def seen() -> tuple[str, str]:
        return current_device(), os.environ[CUDA]

    results = []
    for uuid in ("GPU-a", "GPU-a", "GPU-b"):
        monkeypatch.setenv(CUDA, uuid)
        results.append(worker.run(seen, envelope("gpu")))
    assert results == [("cuda:0", "GPU-a"), ("cuda:0", "GPU-a"), ("cpu", "")]
    assert worker.retired
    assert "made for GPU GPU-a, and it is now given GPU-b" in (worker.runs[2].fallback or "")
    assert recorded(worker.runs, NodeContext("n1", REAL), {}).unfit == []  # and the GPU is not to blame
    with pytest.raises(DeviceError, match="submit the task again"):
        worker.run(seen, envelope("gpu", repeatable=False))
    assert worker.run(lambda: os.environ[CUDA], envelope("cpu")) == ""  # the CPU needs no CUDA
    assert os.environ[CUDA] == "GPU-b"


def test_a_gpu_out_of_memory_ends_on_the_cpu(worker: Worker) -> None:
    tries = []

    def hungry(x: int) -> tuple[int, str]:
        tries.append((current_device(), os.environ.get(CUDA)))
        if current_device() != "cpu":
            raise RuntimeError("CUDA out of memory. Tried to allocate 20.00 GiB")
        return x, current_device()

    assert worker.run(hungry, envelope("gpu"), 5) == (5, "cpu")
    assert tries[1] == ("cpu", "")
    assert worker.retired == 1
    assert worker.runs[0].device == "cpu"
    assert "out of memory" in (worker.runs[0].fallback or "")
    _, observations, unfit = recorded(worker.runs, NodeContext("n1", REAL), {})
    assert observations == []
    assert unfit[0][1] == "here"


def test_a_process_whose_cuda_is_up_too_early_for_a_task_is_to_blame_and_not_the_gpu(
    worker: Worker, cuda: Cuda
) -> None:
    def forks() -> str:
        if current_device() != "cpu":
            raise RuntimeError("Cannot re-initialize CUDA in forked subprocess.")
        return current_device()

    with pytest.raises(RuntimeError, match="forked"):  # nobody but the task itself has initialised CUDA
        worker.run(forks, envelope("gpu"))
    cuda.initialised = True
    assert worker.run(forks, envelope("gpu")) == "cpu"
    assert worker.retired == 1
    assert recorded(worker.runs, NodeContext("n1", REAL), {}).unfit == []


@pytest.mark.parametrize("error", [ValueError("CUDA out of memory"), RuntimeError("shapes differ"), MemoryError()])
def test_another_error_is_the_users_own(error: Exception, worker: Worker) -> None:
    def fails() -> None:
        raise error

    with pytest.raises(type(error)):
        worker.run(fails, envelope("gpu"))
    assert worker.retired == 0
    assert worker.runs[0].error == type(error).__name__


@pytest.mark.parametrize("which", [envelope("gpu", repeatable=False), envelope("cpu")])
def test_nothing_is_run_twice_where_it_must_not_be(which: Envelope, worker: Worker) -> None:
    calls = []

    def hungry() -> None:
        calls.append(1)
        raise RuntimeError("CUDA out of memory")

    with pytest.raises(RuntimeError, match="out of memory"):
        worker.run(hungry, which)
    assert calls == [1]
    assert worker.retired == 0
    assert worker.runs[0].fallback is None


def test_a_generator_that_has_yielded_is_never_run_again(worker: Worker) -> None:
    def hungry() -> Iterator[int]:
        yield 1
        raise RuntimeError("CUDA out of memory")

    values = worker.run_generator(hungry, envelope("gpu"))
    assert next(values) == 1
    with pytest.raises(RuntimeError):
        next(values)
    assert worker.retired == 0
    assert worker.runs[0].error == "RuntimeError"


def test_the_first_run_in_a_process_is_cold_and_no_observation(worker: Worker) -> None:
    worker.run(lambda: None, envelope("cpu")._replace(key="f@1"))
    worker.run(lambda: None, envelope("cpu")._replace(key="f@1"))
    assert [r.cold for r in worker.runs] == [True, False]
    rows, observations, _ = recorded(worker.runs, NodeContext("n1", REAL), {})
    assert rows[0].same["probes"] == '{"cpu_launch": 1e-06, "cpu_matmul_large": 0.1}'
    assert ([some.number for some in rows], [len(samples) for _, _, samples in observations]) == ([2], [1])


def test_cuda_is_left_to_the_users_code_whose_first_run_is_cold_and_its_startup_unknown(
    worker: Worker, cuda: Cuda
) -> None:
    def uses_cuda() -> list[str]:
        before = [] if cuda.initialised else list(cuda.calls)
        cuda.initialised = True
        return before

    assert worker.run(lambda: None, envelope("gpu")) is None
    assert cuda.calls == []
    assert [worker.run(uses_cuda, envelope("gpu")) for _ in range(2)] == [[], []]
    assert [(r.startup_s, r.cold, r.memory_bytes) for r in worker.runs] == [
        (None, True, None),
        (None, True, 7.0),
        (0.0, False, 7.0),
    ]
    assert worker.retired == 0
    rows, observations, _ = recorded(worker.runs, NodeContext("n1", REAL), {})
    assert rows[0].column("startup_s") == [None, None, 0.0]
    assert [len(samples) for _, _, samples in observations] == [1]


def test_a_gpu_worker_ends_after_a_task_that_leaves_memory_or_a_failure_to_look(
    worker: Worker, cuda: Cuda, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = os.getpid()
    kept: list[Any] = [{}, {(0, own): 5 * 10**8}]
    ended: list[Any] = [{(0, own): 3 * 10**9}, {(1, own + 1): 1}, None]
    for held, ends in [*((held, False) for held in kept), *((held, True) for held in ended)]:
        monkeypatch.setattr(gpu_state, "memory_held", lambda ours, held=held: held)
        worker.retired = 0
        assert worker.run(lambda: 5, envelope("gpu")) == 5
        assert list(worker.run_generator(lambda: iter("ab"), envelope("gpu"))) == ["a", "b"]
        assert worker.retired == 2 * ends
    monkeypatch.setattr(gpu_state, "memory_held", lambda ours: {})
    cuda.initialised, cuda.reserved = True, 2**30  # a model in a global
    worker.retired = 0
    worker.run(lambda: None, envelope("gpu"))
    assert worker.retired == 1
    worker.run(lambda: None, envelope("cpu"))
    assert worker.retired == 1


def test_runs_of_gpu_workers_that_end_after_each_task_are_observations(worker: Worker, cuda: Cuda) -> None:
    """Their start-up is part of every call, so it is part of what history expects."""
    cuda.initialised = True
    worker.ends = True
    worker.run(lambda: None, envelope("gpu"))
    kept = Worker()
    kept.is_cold("f")
    kept.run(lambda: None, envelope("gpu"))
    worker.runs += kept.runs
    assert [(r.startup_s, r.cold) for r in worker.runs] == [(None, False), (None, True)]
    _, observations, _ = recorded(worker.runs, NodeContext("n1", REAL), {})
    assert [len(samples) for _, _, samples in observations] == [1]


def emulate(task: TaskSpec, node: NodeSpec, device: str, cpus: float) -> Emulated:
    return Emulated(compute_s=2.0, transfer_s=0.5, cpu_joules=10.0, gpu_joules=5.0 if device == "gpu" else None)


def test_an_emulated_gpu_task_runs_on_the_cpu_and_logs_emulated_times(worker: Worker) -> None:
    name = f"{__name__}:emulate"
    context = NodeContext("n1", paper_configs()["A"], emulated=True, emulator=name)
    worker.context = context
    assert worker.run(current_device, envelope("gpu")) == "cpu"
    rows, observations, _ = recorded(worker.runs, context, {})
    (row,) = rows
    assert (row.same["device"], row.same["compute_s"], row.same["time_provenance"]) == ("gpu", 2.0, "emulated")
    assert observations[0][2] == [Sample(2.5, 15.0)]


def test_without_an_emulator_the_hosts_seconds_are_not_told_as_anothers(worker: Worker) -> None:
    worker.run(lambda: None, envelope("cpu"))
    rows, observations, _ = recorded(worker.runs, NodeContext("n1", paper_configs()["A"], emulated=True), {})
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


def test_runs_are_known_by_the_key_of_their_code(worker: Worker) -> None:
    """Two functions of one name: each has a cold first run, and timings and failures of its own."""

    def fails() -> None:
        if current_device() != "cpu":
            raise RuntimeError("CUDA out of memory")

    for key in ("f@1", "f@2"):
        worker.run(lambda: None, envelope("cpu")._replace(key=key))
        worker.run(lambda: None, envelope("cpu")._replace(key=key))
    worker.run(fails, envelope("gpu")._replace(key="f@3"))
    assert [r.cold for r in worker.runs] == [True, False, True, False, True]
    assert {r.function for r in worker.runs} == {"f"}
    rows, observations, unfit = recorded(worker.runs, NodeContext("n1", REAL), {})
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
    worker: Worker,
) -> None:
    def fails() -> None:
        if current_device() != "cpu":
            raise RuntimeError("CUDA out of memory")

    worker.shared_gpu = Beside
    worker.run(fails, envelope("gpu", gpus=0.25))
    worker.run(fails, envelope("gpu"))
    assert [(r.neighbours, r.neighbour_utilisation, r.device) for r in worker.runs] == [
        (2, 0.6, "cpu"),
        (None, None, "cpu"),
    ]
    rows, _, unfit = recorded(worker.runs, NodeContext("n1", REAL), {})
    assert [(row.same["gpus"], row.column("neighbours")) for row in rows] == [(0.25, [2]), (1.0, [None])]
    assert [(one.config, one.share) for one in unfit] == [(REAL.config, 0.25), (REAL.config, 1.0)]


def test_an_emulated_task_is_slowed_by_its_neighbours(worker: Worker, monkeypatch: pytest.MonkeyPatch) -> None:
    def slower(task: TaskSpec, node: NodeSpec, device: str, cpus: float, others: float = 0.0) -> Emulated:
        return Emulated(compute_s=1.0 + others, transfer_s=0.0, gpu_utilisation=0.2)

    context = NodeContext("n1", paper_configs()["A"], emulated=True, emulator="some:emulator")
    monkeypatch.setattr(node_context, "emulator_of", lambda _: slower)
    worker.context, worker.shared_gpu = context, Beside
    worker.run(lambda: None, envelope("gpu", gpus=0.25))
    worker.run(lambda: None, envelope("gpu"))
    rows, observations, _ = recorded(worker.runs, context, {})
    assert [row.same["compute_s"] for row in rows] == [1.6, 1.0]
    assert [sample.utilisation for _, _, samples in observations for sample in samples] == [0.2, 0.2]
