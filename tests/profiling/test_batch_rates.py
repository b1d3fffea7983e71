"""The work of functions and stages by device, as the report shows it."""

from __future__ import annotations

from placement.log import TaskRecord, table_of
from profiling.report.batch_rates import batch_rates, section


def batch(device: str, at: float, seconds: float, joules: float | None, **changes: object) -> TaskRecord:
    fields = {
        "run_id": "p", "source": "production", "function": "jobs.Model", "device": device, "time_utc": at,
        "compute_s": seconds, "batch_size": 32, "cpu_joules": joules,
    }  # fmt: skip
    return TaskRecord(**{**fields, **changes})  # type: ignore[arg-type]


def test_rates_are_by_function_and_device() -> None:
    rows = [
        batch("gpu", 100.0, 1.0, 10.0, gpu_joules=54.0), batch("gpu", 101.0, 1.0, 10.0, gpu_joules=54.0),
        batch("cpu", 100.0, 4.0, None), batch("cpu", 100.0, 4.0, 1.0, error="ValueError: no"),
        batch("cpu", 100.0, 4.0, 1.0, function="jobs.nothing_known", batch_size=None),
    ]  # fmt: skip
    cpu, gpu = batch_rates(table_of(rows))
    assert (gpu.function, gpu.batches, gpu.rows, gpu.rows_per_s, gpu.busy) == ("jobs.Model", 2, 64, 16.0, 0.5)
    assert gpu.joules_per_row == 2.0
    assert (cpu.batches, cpu.rows_per_s, cpu.busy, cpu.joules_per_row) == (1, 8.0, 1.0, None)


def test_emulated_seconds_are_not_those_of_the_clock() -> None:
    rows = [batch("gpu", 100.0, 50.0, 1.0, emulated=True), batch("gpu", 102.0, 50.0, 1.0, emulated=True)]
    (gpu,) = batch_rates(table_of(rows))
    assert (gpu.rows_per_s, gpu.busy) == (32.0, None)
    assert gpu.joules_per_row is None, "the GPU's joules are unknown"


def test_the_section_is_left_out_where_no_row_has_a_number_of_samples() -> None:
    assert section(table_of([batch("cpu", 1.0, 1.0, None, batch_size=None)])) is None
    shown = section(table_of([batch("gpu", 100.0, 2.0, 64.0)]))
    assert shown is not None
    assert "jobs.Model" in shown.html()
