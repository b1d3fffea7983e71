"""Foreign measurements as rows of the log: a table of pairs, one piece of work timed on one CPU and on one GPU.

| column of the table                 | goes to                            | unit, meaning                       |
|-------------------------------------|------------------------------------|-------------------------------------|
| task (required)                     | workload, function                 | the work's name                     |
| cpu, gpu (required)                 | cpu_name, gpu_name; config is both | the devices' names                  |
| cpu_seconds, gpu_seconds (required) | compute_s of the CPU and GPU row   | s, of one run, transfers included   |
| source                              | source_name                        | whose measurement                   |
| family, framework                   | the same                           |                                     |
| cpu_peak_gflops, gpu_peak_gflops    | cpu_gflops, gpu_gflops             | GFLOP/s; gflops_basis says "peak"   |
| gpu_memory_gb, cpu_tdp_w, gpu_tdp_w | the same                           | GB, W, W                            |
| flops, batch_size, parameters       | the same                           | of the run, which is taken as 1 step |
| input_elements                      | input_bytes                        | taken as 4 bytes each (FP32)        |
| kernels                             | the same                           | launches of the run                 |
| inputs_on_device                    | the same                           | the times hold no transfer          |
| energy_ratio                        | pair_energy_ratio of the GPU row   | E_gpu / E_cpu, measured             |
| cpu_joules, gpu_joules              | cpu_joules of the CPU row,         | J, measured: the energy of each run |
|                                     | gpu_joules of the GPU row          | whole, a GPU run's CPU in it (Eq. 2) |

Each pair stays its own (`preset` carries its number): two measurements of the same work are two pairs.
A missing value (null or NaN) stays unknown; so do columns that the table does not have.
"""

from __future__ import annotations

import logging
import math
import os
from collections.abc import Mapping
from typing import Any

import pyarrow as pa

from placement.errors import LogError
from placement.spec.task_record import TaskRecord
from profiling.dataset.table_file import digest_of, read_table_file

REQUIRED = ("task", "cpu", "gpu", "cpu_seconds", "gpu_seconds")
TEXT = ("task", "cpu", "gpu", "source", "family", "framework")
NUMBERS = ("cpu_seconds", "gpu_seconds", "cpu_peak_gflops", "gpu_peak_gflops", "gpu_memory_gb", "cpu_tdp_w",
           "gpu_tdp_w", "flops", "batch_size", "parameters", "input_elements", "kernels", "energy_ratio",
           "cpu_joules", "gpu_joules")  # fmt: skip
FLAGS = ("inputs_on_device",)
TYPES = dict.fromkeys(TEXT, pa.string()) | dict.fromkeys(NUMBERS, pa.float64()) | dict.fromkeys(FLAGS, pa.bool_())
_SAME = ("family", "framework", "gpu_memory_gb", "cpu_tdp_w", "gpu_tdp_w", "flops", "inputs_on_device")
_WHOLE = ("batch_size", "parameters", "kernels")
_BYTES_AN_ELEMENT = 4.0
_log = logging.getLogger(__name__)


def import_pairs(path: str | os.PathLike[str]) -> list[TaskRecord]:
    """The rows of a table of pairs, two for each pair: the CPU's, then the GPU's.

    path: of a file or folder that `profiling.dataset.table_file` reads.
    Append the rows to the log in one call: they are one batch, named by the file's content, and count once if the same
    file is imported twice. Pairs without a name, or without positive times, are left out with a warning.

    Raises LogError on a file that is no such table, OSError where it cannot be read.
    """
    table, digest = read_pair_table(path), digest_of(path)
    table = table.select([name for name in TYPES if name in table.column_names])
    rows, left_out = [], 0
    for number, entry in enumerate(table.to_pylist()):
        pair = {name: _known(value) for name, value in entry.items()}
        if any(pair[name] is None for name in REQUIRED) or min(pair["cpu_seconds"], pair["gpu_seconds"]) <= 0:
            left_out += 1
            continue
        rows += _rows(pair, digest, number)
    if left_out:
        _log.warning(
            "%s: %d of %d pairs left out: a name or a time is missing or not positive.", path, left_out, len(table)
        )
    if not rows:
        raise LogError(f"{os.fspath(path)} has no pair with both times; nothing was imported.")
    return rows


def read_pair_table(path: str | os.PathLike[str]) -> pa.Table:
    """The table of pairs in a file; columns that are not in TYPES are left as they are. Errors of `import_pairs`."""
    return read_table_file(path, "table of pairs", TYPES, REQUIRED)


def _known(value: Any) -> Any:
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _positive(value: float | None) -> float | None:
    """The value; None where it is not positive, which no run's energy is."""
    return value if value is not None and value > 0 else None


def _common(pair: Mapping[str, Any], digest: str, number: int) -> dict[str, Any]:
    """The columns that the rows of both devices have alike."""
    elements = pair.get("input_elements")
    common: dict[str, Any] = {name: pair.get(name) for name in _SAME}
    common |= {name: None if pair.get(name) is None else round(pair[name]) for name in _WHOLE}
    return common | {
        "run_id": f"import-{digest}",
        "batch_id": f"import-{digest}:0",
        "source": "import",
        "source_name": pair.get("source"),
        "function": pair["task"],
        "workload": pair["task"],
        "preset": f"pair-{number}",
        "config": f"{pair['cpu']} + {pair['gpu']}",
        "cpu_name": pair["cpu"],
        "gpu_name": pair["gpu"],
        "emulated": False,
        "steps": 1,
        "cpu_gflops": pair.get("cpu_peak_gflops"),
        "gpu_gflops": pair.get("gpu_peak_gflops"),
        "gflops_basis": "peak",
        "input_bytes": None if elements is None else elements * _BYTES_AN_ELEMENT,
        "censored": False,
        "time_provenance": "measured",
    }


def _rows(pair: Mapping[str, Any], digest: str, number: int) -> list[TaskRecord]:
    common = _common(pair, digest, number)
    ratio, joules = pair.get("energy_ratio"), {name: _positive(pair.get(name)) for name in ("cpu_joules", "gpu_joules")}
    cpu = TaskRecord(
        device="cpu",
        compute_s=pair["cpu_seconds"],
        cpu_joules=joules["cpu_joules"],
        energy_provenance=None if joules["cpu_joules"] is None else "measured",
        **common,
    )
    gpu = TaskRecord(
        device="gpu",
        gpus=1.0,
        compute_s=pair["gpu_seconds"],
        pair_energy_ratio=ratio,
        gpu_joules=joules["gpu_joules"],
        energy_provenance=None if ratio is None and joules["gpu_joules"] is None else "measured",
        **common,
    )
    return [cpu, gpu]
