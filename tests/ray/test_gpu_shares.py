"""gpus="auto" on a cluster: Ray is asked for the share, and the log keeps it with the task's neighbours."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import ray
from conditions import rows_of, wait_until

from placement import TaskSpec, placed_remote

pytestmark = pytest.mark.usefixtures("emulated")

LIGHT = TaskSpec(flops=1e9, input_bytes=1e6, batch_size=1, parameters=10**7, memory_bytes=0.2e9, kernels=60)


@placed_remote(spec=LIGHT, gpus="auto", policy="gpu_only", label_selector={"config": "D"}, gpu_options={"num_cpus": 0})
def beside(folder: str, name: str, of: int) -> dict[str, Any]:
    """The resources it was granted, once so many of its kind run at once."""
    Path(folder, name).touch()
    wait_until(lambda: len(list(Path(folder).iterdir())) >= of, "the other did not run beside it")
    return dict(ray.get_runtime_context().get_assigned_resources())


def test_two_tasks_run_on_one_gpu_and_the_log_says_so(tmp_path: Path, log_uri: str) -> None:
    decision = beside.explain(str(tmp_path), "0", 2).decision
    assert decision.configs == ("D",)
    assert 1 / 8 <= decision.gpus <= 1 / 2
    assert 0 < (decision.gpu_busy or 0.0) <= decision.gpus
    refs = [beside.remote(str(tmp_path), str(i), 2) for i in range(2)]
    for granted in ray.get(refs):
        assert granted["GPU"] == pytest.approx(decision.gpus, abs=1e-4)  # Ray counts in ten-thousandths
    rows = rows_of(log_uri, refs)
    assert [row["gpus"] for row in rows] == [pytest.approx(decision.gpus)] * 2
    assert [row["neighbours"] for row in rows] == [1, 1]
    assert all(0 < row["neighbour_utilisation"] <= decision.gpu_busy + 1e-3 for row in rows)
