"""placement.map_batches: every row once, on either device, whatever fails; bad input as Ray Data has it, or named."""

from __future__ import annotations

import gc
import os
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import ray
from conditions import PATIENCE_S, in_use, wait_until
from ray import cloudpickle

import placement
from placement import TaskSpec

pytestmark = pytest.mark.usefixtures("emulated")
cloudpickle.register_pickle_by_value(sys.modules[__name__])

ROWS = 60


@pytest.fixture(autouse=True)
def given_back(emulated: str) -> Iterator[None]:
    """A test's stage has given back all that it held: later tests ask for whole nodes."""
    yield
    gc.collect()  # the traceback of a stage that failed holds its actors
    wait_until(lambda: not in_use(), lambda: f"a stage has ended and still holds {in_use()}")


def spec(batch: Any, **_: Any) -> TaskSpec:
    n = len(batch["id"])
    return TaskSpec(flops=1e9 * n, input_bytes=1e5 * n, batch_size=n, parameters=1_000_000)


def on_gpu() -> bool:
    return bool(ray.get_gpu_ids())


class Model:
    """Doubles, and says where; fails as it is told to."""

    def __init__(self, factor: int = 2, broken_on: str = "") -> None:
        self.factor = factor
        if broken_on and (broken_on == "both" or (broken_on == "gpu") == on_gpu()):
            raise ZeroDivisionError(f"no such model on the {broken_on}")

    def __call__(self, batch: Any, *, dies_by: str = "", most_on_gpu: int = 0) -> Any:
        n = len(batch["id"])
        if dies_by and not Path(dies_by).exists():
            Path(dies_by).write_text("once")
            os._exit(1)
        if most_on_gpu and on_gpu() and n > most_on_gpu:
            raise RuntimeError("CUDA out of memory. Tried to allocate 2 GiB")
        return {"id": batch["id"] * self.factor, "gpu": np.full(n, on_gpu()), "rows": np.full(n, n)}


class Logged(Model):
    """The class of one test, so that its rows of the log are that test's."""


def numbers(rows: int = ROWS, blocks: int = 6) -> Any:
    ray.data.DataContext.get_current().enable_progress_bars = False
    return ray.data.range(rows, override_num_blocks=blocks)


def placed(rows: Any = None, fn: Any = Model, **options: Any) -> Any:
    """One worker of each device, so that the tests start few processes."""
    given = {"spec": spec, "batch_size": 10, "concurrency": 1, "num_cpus": 0.1, **options}
    return placement.map_batches(numbers() if rows is None else rows, fn, **given)


def ids(rows: list[dict[str, Any]]) -> list[int]:
    return sorted(int(row["id"]) for row in rows)


DOUBLED = [2 * i for i in range(ROWS)]


def test_every_row_comes_once_and_in_order_and_every_batch_has_a_row_in_the_log(log_uri: str) -> None:
    context = ray.data.DataContext.get_current()
    context.execution_options.preserve_order = True
    try:
        rows = placed(fn=Logged, batch_size={"cpu": 5, "gpu": 10}).take_all()
    finally:
        context.execution_options.preserve_order = False
    assert [row["id"] for row in rows] == DOUBLED
    assert {int(row["rows"]) for row in rows if row["gpu"]} <= {10}
    assert {int(row["rows"]) for row in rows if not row["gpu"]} <= {5}
    placement.flush(PATIENCE_S)
    logged = [row for row in placement.read_log(log_uri).to_pylist() if row["function"].endswith(".Logged")]
    assert sum(row["batch_size"] for row in logged) == ROWS
    assert {row["device"] for row in logged} == {"gpu" if row["gpu"] else "cpu" for row in rows}
    assert all(row["input_bytes"] == 1e5 * row["batch_size"] for row in logged)


@pytest.mark.parametrize("batch_format", ["pandas", "pyarrow"])
def test_functions_take_other_formats_and_may_change_the_number_of_rows(batch_format: str) -> None:
    def twice(batch: Any) -> Any:
        yield batch
        yield batch.slice(0, 1) if batch_format == "pyarrow" else batch.iloc[:1]

    rows = placed(numbers(20, 2), twice, batch_format=batch_format, batch_size=5).take_all()
    assert Counter(ids(rows)) == Counter([*range(20), 0, 5, 10, 15])


def test_an_empty_dataset_and_a_batch_of_one_row() -> None:
    assert placed(ray.data.from_items([])).take_all() == []
    assert ids(placed(numbers(1, 1), batch_size=1).take_all()) == [0]


def test_a_constructor_that_fails_on_one_device_leaves_the_other() -> None:
    rows = placed(fn_constructor_kwargs={"broken_on": "gpu"}).take_all()
    assert ids(rows) == DOUBLED
    assert not any(row["gpu"] for row in rows)


def test_a_constructor_that_fails_everywhere_fails_the_stage() -> None:
    with pytest.raises(Exception, match="no such model on the both"):
        placed(fn_constructor_kwargs={"broken_on": "both"}).take_all()


def test_a_gpu_out_of_memory_is_followed_by_a_cpu_and_smaller_batches() -> None:
    rows = placed(numbers(200, 20), fn_kwargs={"most_on_gpu": 4}, spec=TaskSpec(), concurrency=1).take_all()
    assert ids(rows) == [2 * i for i in range(200)]
    assert {int(row["rows"]) for row in rows if row["gpu"]} <= {1, 2, 3, 4}
    assert {int(row["rows"]) for row in rows if not row["gpu"]} == {10}


def test_a_worker_that_dies_in_the_middle_loses_no_row(tmp_path: Path) -> None:
    rows = placed(fn_kwargs={"dies_by": str(tmp_path / "died")}).take_all()
    assert (tmp_path / "died").exists()
    assert ids(rows) == DOUBLED


@pytest.mark.soak
def test_rows_come_once_though_workers_are_killed_again_and_again(tmp_path: Path) -> None:
    class Dies:
        def __call__(self, batch: Any) -> Any:
            time.sleep(0.05)
            if hash((os.getpid(), int(batch["id"][0]))) % 25 == 0:
                os._exit(1)
            return batch

    rows = placed(numbers(2_000, 50), Dies, concurrency=2).take_all()
    assert ids(rows) == list(range(2_000))


def test_a_spec_that_makes_no_sense_for_a_batch_names_it() -> None:
    def nonsense(batch: Any) -> Any:
        return "large" if 30 in batch["id"] else None

    with pytest.raises(Exception, match="must return a TaskSpec") as raised:
        placed(spec=nonsense).take_all()
    assert "the batch of 10 rows with columns ['id']" in str(raised.value)


def broken(batch: Any) -> Any:
    raise LookupError("no such size")


def test_a_spec_that_raises_names_the_batch() -> None:
    with pytest.raises(Exception, match="no such size") as raised:
        placed(numbers(10, 1), spec=broken).take_all()
    assert "the batch of 10 rows with columns ['id']" in str(raised.value)


def test_a_function_that_raises_names_the_batch_and_the_device() -> None:
    with pytest.raises(Exception, match="no such size") as raised:
        placed(numbers(10, 1), broken).take_all()
    assert "It was the batch of 10 rows with columns ['id'] of stage" in str(raised.value)


def test_a_stage_may_drop_every_row_of_a_batch() -> None:
    def small(batch: Any) -> Any:
        return {"id": batch["id"][batch["id"] < 25]}

    assert ids(placed(fn=small).take_all()) == list(range(25))


def test_the_stats_of_the_dataset_show_the_stage_by_device() -> None:
    stage = placed(fn_kwargs={})
    assert "Placed stage" not in stage.stats()
    for _ in stage.iter_batches(batch_size=None):
        pass
    wait_until(lambda: rows_by_stats(stage.stats()) == ROWS, stage.stats)


def rows_by_stats(stats: str) -> int:
    """The rows of both devices together."""
    lines = [line for line in stats.splitlines() if line.startswith(("* cpu:", "* gpu:"))]
    return sum(int(line.split(" batches, ")[1].split()[0]) for line in lines)


def test_a_stage_on_one_device_is_ray_datas_own(log_uri: str) -> None:
    def halved(batch: Any) -> Any:
        return {"id": batch["id"] // 2}

    stage = placed(fn=halved, device="cpu")
    assert ids(stage.take_all()) == sorted(i // 2 for i in range(ROWS))
    placement.flush(PATIENCE_S)
    logged = [row for row in placement.read_log(log_uri).to_pylist() if row["function"].endswith(".halved")]
    assert [row["batch_size"] for row in logged] == [10] * 6
    assert {row["reason"] for row in logged} == {"only_device"}
