"""BatchQueue: which batch a free worker of a stage takes."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from placement.errors import OptionError
from placement.spec.task import Device
from placement.stages.batch_queue import BatchQueue, Capacity, Request
from placement.stages.batches import bytes_of, described, rows_of, slices, writable
from placement.stages.device_use import DeviceUse, Figures
from placement.stages.map_batches import map_batches
from placement.stages.pool import Worker, WorkerPool
from placement.stages.room import FairLimit, room
from placement.stages.stage import Stage
from placement.stages.stage_stats import text
from placement.submission.options import PlacementOptions

BOTH = Capacity({"cpu": 4, "gpu": 1}, {"cpu": 4, "gpu": 1})


def queue(*gains: float, gpu_s: float = 1.0) -> BatchQueue:
    found = BatchQueue()
    for number, gain in enumerate(gains):
        found.add(number, Request(10, gain, gpu_s * math.exp(gain), gpu_s))
    return found


def test_each_device_takes_from_its_end() -> None:
    found = queue(0.5, 2.0, 1.0)
    assert found.take("gpu", BOTH) == 1
    assert found.take("cpu", BOTH) == 0
    assert found.take("gpu", BOTH) == 2
    assert found.take("gpu", BOTH) is None


def test_of_batches_alike_the_gpu_takes_the_oldest() -> None:
    found = queue(1.0, 1.0, 1.0)
    assert [found.take("gpu", BOTH) for _ in range(3)] == [0, 1, 2]


def test_of_batches_alike_a_worker_takes_one_of_its_own_node_first_and_none_waits_for_ever() -> None:
    found = BatchQueue()
    for number in range(40):
        found.add(number, Request(10, 1.0, 3.0, 1.0, node="far" if number == 0 else "near"))
    taken = [found.take("gpu", BOTH, "near") for _ in range(17)]
    assert taken == [*range(1, 16), 0, 16]
    assert found.take("cpu", BOTH, "near") == 39
    found.add(40, Request(10, 2.0, 7.0, 1.0, node="far"))
    assert found.take("gpu", BOTH, "near") == 40  # it gains more


def test_a_cpu_leaves_what_the_gpus_end_sooner() -> None:
    few = queue(3.0, 3.0)  # 20 times: two batches that wait take 2 s on the GPU and 20 s on a CPU
    assert few.take("cpu", BOTH) is None
    assert few.wants("cpu", BOTH) == 0
    assert few.wants("gpu", BOTH) == 2
    many = queue(*[3.0] * 30)
    assert many.take("cpu", BOTH) is not None


def test_in_full_flow_cpus_help_where_all_of_them_add_a_share() -> None:
    found = queue(*[math.log(40)] * 10)  # 10 wait for one GPU, and a CPU takes as long as 40
    assert found.take("cpu", BOTH._replace(most={"cpu": 1, "gpu": 1})) is None
    assert found.take("cpu", BOTH._replace(most={"cpu": 8, "gpu": 1})) is not None


def test_a_stage_that_has_just_begun_leaves_to_gpus_what_a_cpu_takes_long_for() -> None:
    found = queue(*[math.log(40)] * 10)  # 40 s on a CPU
    flow = BOTH._replace(most={"cpu": 8, "gpu": 1})
    assert found.take("cpu", flow._replace(flow_s=39.0)) is None
    assert found.wants("cpu", flow._replace(flow_s=41.0, startup_s=5.0)) == 0
    assert found.wants("cpu", flow._replace(flow_s=46.0, startup_s=5.0)) == 10
    assert found.take("cpu", flow._replace(flow_s=41.0)) is not None


def test_without_a_gpu_worker_and_without_estimates_a_cpu_takes_all() -> None:
    assert queue(5.0).take("cpu", BOTH._replace(ready={"cpu": 1, "gpu": 0})) == 0
    unknown = BatchQueue()
    unknown.add(0, Request(10))
    assert unknown.take("cpu", BOTH) == 0


def test_a_batch_of_one_device_waits_for_that() -> None:
    found = BatchQueue()
    found.add(0, Request(10, devices=("cpu",)))
    assert found.take("gpu", BOTH) is None
    assert found.take("cpu", BOTH) == 0


def test_measured_seconds_are_surer_than_estimates() -> None:
    found = queue(3.0, 3.0)
    found.measured("cpu", Request(10), 1.0)
    found.measured("gpu", Request(10), 1.0)
    assert found.expected("cpu", Request(20, 3.0, 20.0, 1.0)) == pytest.approx(2.0)
    assert found.take("cpu", BOTH) is not None


def test_an_estimate_is_corrected_by_what_the_other_devices_are_found_to_be_off() -> None:
    found = queue(3.0)
    found.measured("gpu", found.waiting[0], 40.0)  # forty times the estimate
    assert found.expected("cpu", found.waiting[0]) == pytest.approx(40 * math.exp(3.0))
    assert found.take("cpu", BOTH) is None


def test_a_backup_run_is_for_batches_that_a_cpu_needs_long_for() -> None:
    found = BatchQueue()
    slow = Request(10, 3.0, 20.0, 1.0)
    assert found.needs_backup("cpu", slow, 5.0)
    assert not found.needs_backup("cpu", slow, 18.5)
    assert found.needs_backup("cpu", slow, 20.5)  # it is overdue
    assert not found.needs_backup("cpu", slow._replace(devices=("cpu",)), 5.0)
    found.measured("gpu", Request(10), 1.0)
    assert found.needs_backup("cpu", Request(10, 3.0), 5.0)  # 20 s are left by the gain alone
    assert found.needs_backup("cpu", Request(10), 2.5)  # of the CPU nothing is known, but it is late
    assert not found.needs_backup("cpu", Request(10), 1.5)


def test_a_backup_run_is_for_batches_that_a_gpu_is_long_overdue_with() -> None:
    found, request = BatchQueue(), Request(10, 3.0, 20.0, 1.0)
    assert found.backup_after_s("gpu", request) is None  # an estimate alone may be far too short
    found.measured("gpu", request, 2.0)
    after = found.backup_after_s("gpu", request)
    assert after == pytest.approx(16.0)
    assert not found.needs_backup("gpu", request, after - 0.1)
    assert found.needs_backup("gpu", request, after + 0.1)
    assert found.backup_after_s("cpu", request) == 0.0
    assert found.backup_after_s("cpu", request._replace(devices=("cpu",))) is None


BATCHES = [
    {"x": np.arange(10), "y": np.ones((10, 2))},
    pd.DataFrame({"x": np.arange(10)}),
    pa.table({"x": np.arange(10)}),
]


@pytest.mark.parametrize("batch", BATCHES, ids=["numpy", "pandas", "arrow"])
def test_batches_are_cut_without_loss(batch: object) -> None:
    parts = list(slices(batch, 4))
    assert [rows_of(part) for part in parts] == [4, 4, 2]
    assert (
        [int(x) for part in parts for x in part["x"].to_numpy()] == list(range(10))
        if not isinstance(batch, dict)
        else np.concatenate([part["x"] for part in parts]).tolist() == list(range(10))
    )
    assert next(slices(batch, None)) is batch
    assert bytes_of(batch) >= 80
    assert "10 rows" in described(batch)


def test_shared_columns_are_copied_where_the_user_may_change_them() -> None:
    shared = np.arange(3)
    shared.flags.writeable = False
    own = writable({"x": shared})["x"]
    own[0] = 5
    assert (own.tolist(), shared.tolist()) == ([5, 1, 2], [0, 1, 2])


def test_room_is_counted_node_by_node() -> None:
    nodes = [{"CPU": 3.0, "GPU": 1.0}, {"CPU": 1.0}]
    assert room({"CPU": 2.0}, nodes) == 1
    assert room({"GPU": 0.5}, nodes) == 2


def test_a_stage_shares_cpus_with_the_others() -> None:
    limit = FairLimit()
    grown = []
    for second in range(4):
        limit.update(float(second), int(limit.workers), crowded=False, step_s=1.0)
        grown.append(limit.workers)
    assert grown == [1, 2, 3, 4]
    limit.update(3.5, 4, crowded=True, step_s=1.0)
    assert limit.workers == 4  # the last change has not taken effect yet
    limit.update(4.0, 4, crowded=True, step_s=1.0)
    assert limit.workers == 2
    limit.update(5.0, 1, crowded=False, step_s=1.0)
    assert limit.workers == 2  # it is not used up


def test_a_pool_ends_the_surplus_once_it_has_no_batch() -> None:
    ended: list[Worker] = []
    pool = WorkerPool(stage(), "cpu", lambda: None, ended.append)
    for number in range(3):
        pool.workers[number] = Worker(number, "cpu", None)
        pool.is_ready(pool.workers[number], 0.0)
    pool.workers[0].running[7] = 0.0
    pool.shrink(2)
    assert [worker.number for worker in ended] == [1, 2]
    pool.shrink(1)
    assert pool.workers[0].leaves
    pool.workers[0].running.clear()
    pool.shrink(0)
    assert [worker.number for worker in ended] == [1, 2, 0]


@pytest.mark.parametrize("device", ["cpu", "gpu"])
def test_a_worker_has_a_second_batch_on_its_way_while_many_wait(device: Device) -> None:
    pool = WorkerPool(stage(), device, lambda: None, lambda worker: None)
    for number in range(2):
        pool.workers[number] = Worker(number, device, None, running={number: 0.0})
        pool.is_ready(pool.workers[number], 0.0)
    assert pool.free(0.1, 3) is not None
    assert pool.free(0.1, 2) is None  # the last ones go to whoever is free first
    assert (pool.free(5.0, 3) is None) == (device == "cpu")  # a CPU would hold a long one for long
    assert pool.free(None, 3) is None
    pool.workers[1].running.clear()
    assert pool.free(5.0, 1) is pool.workers[1]


def test_the_stats_of_a_stage_are_by_device() -> None:
    use = DeviceUse()
    use.open(1, 10.0)
    use.add(32, 1.5, 6.4)
    use.close(1, 12.0)
    use.open(2, 12.0)
    use.add(32, 0.5, 6.4)
    shown = text("Model", 4.0, {"cpu": Figures(joules=None), "gpu": use.figures(14.0)})
    assert "* gpu: 2 batches, 64 rows, 16.0 rows/s, workers 50% busy, 0.2 J/row" in shown
    assert "* cpu: 0 batches, 0 rows, 0.0 rows/s, workers 0% busy, - J/row" in shown
    use.add(32, 0.5, None)
    assert use.figures(14.0).joules is None


def stage(**changes: object) -> Stage:
    return Stage("1", "f", "f", len, PlacementOptions(devices="any"), {}, **changes)  # type: ignore[arg-type]


def test_a_gpu_out_of_memory_gets_smaller_batches_and_a_broken_one_rests() -> None:
    pool = WorkerPool(stage(rows={"gpu": 64}), "gpu", lambda: None, lambda worker: None)
    pool.failed(None, 64, of_memory=True)
    assert (pool.largest, pool.usable) == (32, True)
    for _ in range(3):
        pool.failed(None, 1, of_memory=True)
    assert not pool.usable


def test_misuse_is_named_at_once() -> None:
    with pytest.raises(OptionError, match=r"compute= cannot.*gpus= cannot.*batch_size=0 must be.*concurrency knows"):
        map_batches(None, len, batch_size=0, compute=1, gpus="auto", concurrency={"tpu": 1})  # type: ignore[arg-type]

    async def later(batch: object) -> object:
        return batch

    with pytest.raises(OptionError, match="asynchronous"):
        map_batches(None, later)  # type: ignore[arg-type]
