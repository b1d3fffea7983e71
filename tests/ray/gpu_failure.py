"""Run by test_devices.py in a process of its own: a node that is not emulated, with one faked GPU; prints JSON."""

import json
import os

import fake_nvml
import ray
from conditions import wait_until

import placement
from placement import TaskSpec, current_device, placed_remote

SPEC = TaskSpec(flops=1e9, input_bytes=1e6, batch_size=8, parameters=1000)


@placed_remote(spec=SPEC, policy="gpu_only", max_retries=0)
def hungry(fail: bool) -> tuple[str, int]:
    if fail and current_device() != "cpu":
        raise RuntimeError("CUDA out of memory. Tried to allocate 20.00 GiB")
    return current_device(), os.getpid()


@placed_remote(spec=SPEC, policy="gpu_only")
def embeds(held_bytes: int) -> int:
    """Uses a library that keeps device memory until its process ends."""
    with open(os.path.join(os.environ["HELD"], str(os.getpid())), "w") as file:
        file.write(str(held_bytes))
    return os.getpid()


@placed_remote(spec=SPEC, policy="gpu_only")
def embeds_in_parts(held_bytes: int):  # type: ignore[no-untyped-def]
    with open(os.path.join(os.environ["HELD"], str(os.getpid())), "w") as file:
        file.write(str(held_bytes))
    yield os.getpid()


@placed_remote(spec=SPEC, policy="gpu_only")
def where() -> int:
    return os.getpid()


def gone(pid: int) -> bool:
    """The process has ended."""
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rsplit(")", 1)[1].split()[0] in "ZX"
    except OSError:
        return True


@placed_remote(spec=SPEC, policy="gpu_only", strict=True)
def strict() -> None:
    raise RuntimeError("CUDA out of memory. Tried to allocate 20.00 GiB")


def strict_error() -> str:
    try:
        ray.get(strict.remote())
    except RuntimeError as error:
        return str(error)
    return ""


def unfit() -> str:
    """The explanation, once it tells of the failure."""
    return table if "failed there before" in (table := str(hungry.explain(False))) else ""


fake_nvml.install()
ray.init("local", num_cpus=2, num_gpus=1, include_dashboard=False, logging_level="ERROR", log_to_driver=False)
placement.start(log=os.environ["LOG"])
warm = [ray.get(hungry.remote(False)) for _ in range(3)]
failed = ray.get([hungry.remote(True)])[0]
bare = [ray.get(embeds.remote(5 * 10**8)), ray.get(where.remote())]
holding = [ray.get(embeds.remote(3 * 10**9)), ray.get(where.remote())]
in_parts = [*map(ray.get, embeds_in_parts.remote(3 * 10**9)), ray.get(where.remote())]
for first, _ in (holding, in_parts):
    wait_until(lambda first=first: gone(first), "a worker that holds device memory does not end")
table = wait_until(unfit, "the failure is not heard of")
after = ray.get(hungry.options(device="gpu").remote(False)) if "gpu" in table else None
message = strict_error()
placement.flush(20)
rows = placement.read_log(os.environ["LOG"]).to_pylist()
print(
    json.dumps(
        {
            "warm": warm,
            "failed": failed,
            "bare": bare,
            "holding": holding,
            "in_parts": in_parts,
            "table": table,
            "after": after,
            "strict": message,
            "rows": [{name: row[name] for name in ("device", "fallback", "error", "time_provenance")} for row in rows],
        }
    )
)
ray.shutdown()
