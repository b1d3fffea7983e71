from __future__ import annotations

import heapq
import math
import pickle

from core_builders import TASK
from hypothesis import given
from hypothesis import strategies as st

from placement.prediction.estimate import Estimate
from placement.scheduling.candidate_set import candidate_set
from placement.scheduling.candidates import Candidate
from placement.scheduling.policies.balanced import Balanced
from placement.scheduling.policies.map_order import DeviceOfMap, Gain, Order
from placement.scheduling.policies.registry import name_of


def task(cpu: float, gpu: float) -> Gain:
    return Gain(math.log(cpu / gpu), "gpu" if cpu >= 2 * gpu else "cpu", cpu, gpu)


TASKS = st.lists(
    st.one_of(
        st.tuples(st.floats(0.01, 100), st.floats(0.01, 100)).map(lambda pair: task(*pair)),
        st.tuples(st.floats(-3, 3), st.sampled_from(["cpu", "gpu"])).map(lambda pair: Gain(*pair, None, None)),
    ),
    max_size=60,
)


def run(gains: list[Gain], slots: dict, window: int) -> tuple[list[tuple[str, int]], float]:
    """Runs a map on so many slots; the (device, task) in the order they were taken, and when the last ended."""
    order, waiting = Order(slots), list(enumerate(gains))
    free = [(0.0, device, i) for device, n in slots.items() for i in range(n)]
    taken: list[tuple[str, int]] = []
    end, idle = 0.0, []
    while waiting or len(order):
        while waiting and len(order) < window:
            order.add(*waiting.pop(0))
        if not free:  # neither device takes what is left: each its own side
            now, device, i = min(idle)
            free, idle = [(now, device, i)], []
        now, device, i = heapq.heappop(free)
        position = order.take(device)
        if position is None:
            if not free and all(d == device for _, d, _ in idle):
                position = min(p for _, p in order._tasks)
                order.remove(position)
            else:
                idle.append((now, device, i))
                continue
        taken.append((device, position))
        seconds = gains[position].gpu if device == "gpu" else gains[position].cpu
        heapq.heappush(free, (now + (seconds or 1.0), device, i))
        end = max(end, now + (seconds or 1.0))
        for one in idle:
            heapq.heappush(free, (now, *one[1:]))
        idle = []
    return taken, end


@given(TASKS, st.integers(1, 3), st.integers(1, 3), st.integers(1, 70))
def test_every_task_is_taken_once(gains: list[Gain], cpus: int, gpus: int, window: int) -> None:
    taken, _ = run(gains, {"cpu": cpus, "gpu": gpus}, window)
    assert sorted(position for _, position in taken) == list(range(len(gains)))


@given(TASKS, st.lists(st.sampled_from(["cpu", "gpu"]), max_size=80))
def test_gpus_take_from_one_end_and_cpus_from_the_other(gains: list[Gain], asked: list) -> None:
    order = Order({"cpu": 2, "gpu": 1})
    for position, gain in enumerate(gains):
        order.add(position, gain)
    left = dict(enumerate(gains))
    for device in asked:
        position = order.take(device)
        if position is None:
            continue
        found = left.pop(position)
        every = [gain.gain for gain in left.values()]
        assert all(found.gain >= g for g in every) if device == "gpu" else all(found.gain <= g for g in every)
        if found.side != device:  # stolen: it ends sooner here than behind all the rest there
            other = sum((g.cpu if device == "gpu" else g.gpu) or 0.0 for g in left.values())
            mine, theirs = (found.gpu, found.cpu) if device == "gpu" else (found.cpu, found.gpu)
            assert mine < theirs + other / {"cpu": 1, "gpu": 2}[device] + 1e-6
    assert len(order) == len(left)


def test_what_one_device_alone_would_do_is_shared() -> None:
    gains = [task(4.0, 1.0)] * 20
    taken, end = run(gains, {"cpu": 4, "gpu": 1}, 64)
    by_device = [device for device, _ in taken]
    assert 6 <= by_device.count("cpu") <= 12
    assert end <= 12  # all on the GPU: 20 s


def test_a_few_tasks_stay_on_their_side() -> None:
    taken, _ = run([task(4.0, 1.0), task(1.0, 0.9)], {"cpu": 4, "gpu": 4}, 64)
    assert set(taken) == {("gpu", 0), ("cpu", 1)}


def test_the_order_beats_the_order_of_arrival() -> None:
    gains = [task(2.0 + i % 7, 1.0 if i % 3 else 0.2) for i in range(90)]
    slots = {"cpu": 6, "gpu": 2}
    ordered, arrival = run(gains, slots, 90)[1], run(gains, slots, 1)[1]
    assert ordered < 0.95 * arrival


def candidates(estimate: Estimate) -> list[Candidate]:
    return [Candidate("A", "cpu", 1.0, 0.0, estimate, 0.0), Candidate("A", "gpu", 1.0, 1.0, estimate, 3.0)]


def test_an_end_takes_its_device_and_says_whose_side_it_was() -> None:
    worth = candidate_set(candidates(Estimate(0.9, cpu_seconds=8.0, gpu_seconds=1.0)))
    gpu, cpu = DeviceOfMap(device="gpu"), DeviceOfMap(device="cpu")
    assert gpu.choose(TASK, worth).reason == "map: the gpus' end, its side"
    choice = cpu.choose(TASK, worth)
    assert (choice.device, choice.reason, choice.seconds) == ("cpu", "map: the cpus' end, stolen", 8.0)
    gain = gpu.gain(TASK, worth)
    assert gain is not None
    assert (gain.side, round(gain.cpu or 0, 6), gain.gpu) == ("gpu", 8.0, 1.0)
    unknown = gpu.gain(TASK, candidate_set(candidates(Estimate(0.9))))
    assert unknown is not None
    assert (unknown.side, unknown.cpu) == ("gpu", None)
    assert gpu.gain(TASK, candidate_set(candidates(Estimate(0.9))[:1])) is None
    assert pickle.loads(pickle.dumps(gpu)) == gpu != cpu
    assert name_of(gpu) == name_of(Balanced())
