"""A real torch.cuda.OutOfMemoryError: the task runs again on a CPU; with strict=True the error reaches the caller."""

from __future__ import annotations

import tempfile

import ray
from gpu_step import SPEC, ray_with_gpu, report, rows_of, wait_until

from placement import current_device, placed_remote

TOO_MUCH = 2


def hungry(share: float) -> str:
    """Allocates so many times the GPU's memory where it runs on one."""
    import torch

    device = current_device()
    if device != "cpu":
        size = int(share * torch.cuda.get_device_properties(0).total_memory)
        torch.empty(size, dtype=torch.uint8, device=device)
    return device


def main() -> None:
    """A task that fits, one that does not, the same again, and one that must not run elsewhere."""
    with tempfile.TemporaryDirectory() as log, ray_with_gpu(log=log):
        placed = placed_remote(spec=SPEC, policy="gpu_only", max_retries=0)(hungry)
        fits = ray.get(placed.remote(0.01))
        too_large = ray.get(placed.remote(TOO_MUCH))
        remembered = wait_until(lambda: "failed there before" in str(placed.explain(TOO_MUCH)))
        try:
            ray.get(placed_remote(spec=SPEC, device="gpu", strict=True, max_retries=0)(hungry).remote(TOO_MUCH))
            strict = None
        except Exception as error:
            strict = f"{type(error).__name__}: {error}".splitlines()[0][:300]
        rows = [{name: row[name] for name in ("device", "fallback", "error")} for row in rows_of(log, "hungry")]
    report(
        {"fits": fits, "too_large": too_large, "strict": strict, "rows": rows},
        a_small_task_runs_on_the_gpu=fits == "cuda:0",
        a_large_task_runs_again_on_the_cpu=too_large == "cpu",
        the_failure_is_remembered=bool(remembered),
        a_strict_task_raises_torchs_error=strict is not None and "OutOfMemory" in strict,
        the_log_names_the_fallback=any(row["device"] == "cpu" and row["fallback"] for row in rows),
    )


if __name__ == "__main__":
    main()
