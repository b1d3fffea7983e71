"""Run by test_devices.py in a process of its own: a node that is not emulated, with one faked GPU; prints JSON."""

import atexit
import json
import os
import shutil
import signal
import tempfile
from typing import Any

import fake_nvml
import ray
from conditions import PATIENCE_S, wait_until

import placement
from placement import TaskSpec, current_device, placed_remote
from placement.control_plane import client
from placement.errors import ControlPlaneError
from placement.scheduling.decision import key_of
from placement.submission import snapshot_client

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


@placed_remote(spec=SPEC, policy="gpu_only", max_calls=1)
def once() -> int:
    return os.getpid()


@placed_remote(spec=SPEC, policy="gpu_only")
def leaves_a_child(folder: str) -> int:
    """Starts a plain GPU task, to which Ray hands its runtime_env down, and ends before it."""
    ray.remote(num_gpus=1)(write_pid).remote(folder)
    return os.getpid()


def write_pid(folder: str) -> None:
    with open(os.path.join(folder, "child"), "w") as file:
        file.write(str(os.getpid()))


@ray.remote(num_gpus=1)
def plain() -> int:
    return os.getpid()


def child_of(folder: str) -> int:
    """The process of the task that `leaves_a_child` has left, once it has run."""
    path = os.path.join(folder, "child")
    return int(wait_until(lambda: os.path.exists(path) and open(path).read(), "the child does not run"))


def remembered() -> dict[str, Any]:
    """What a process that begins now decides for `hungry`, and why; its runs and failures in the history."""
    snapshot_client._caller = None
    found = hungry.options(policy="selector").explain(False)
    entry = snapshot_client.caller().current().history.get(key_of(hungry.handle.history_key(), SPEC))
    assert entry is not None
    runs = [[*place, timings.runs, round(timings.mean, 9)] for place, timings in sorted(entry.timings.items())]
    return {
        "decision": [found.decision.device, found.decision.config, found.decision.reason],
        "considered": [[one.config, one.device, one.reason] for one in found.considered],
        "runs": runs,
        "unfit": dict(entry.unfit),
    }


def after_the_actors_end() -> dict[str, Any]:
    """What is remembered once the actor has been killed, has come back, and knows its node again."""
    os.kill(ray.get(client.actor().process_id.remote()), signal.SIGKILL)

    def found() -> dict[str, Any] | None:
        try:
            status = placement.status()
            return remembered() if not status["pending_nodes"] and status["history"] else None
        except (ControlPlaneError, ray.exceptions.RayError, AssertionError):
            client.forget_actor()
            return None

    result: dict[str, Any] = wait_until(found, "nothing is remembered")
    return result


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
placement.start(log=os.environ["LOG"], timeout_s=600)
warm = [ray.get(hungry.remote(False)) for _ in range(3)]
failed = ray.get([hungry.remote(True)])[0]
bare = [ray.get(embeds.remote(5 * 10**8)) for _ in range(2)]
others = [ray.get(where.remote()), ray.get(plain.remote())]
folder = tempfile.mkdtemp(prefix="placement-tests-")
atexit.register(shutil.rmtree, folder, ignore_errors=True)
switched_off = where.options(runtime_env={"env_vars": {"PLACEMENT_KEEP_GPU_WORKERS": "0"}})
ended = [ray.get(one) for one in (once.remote(), switched_off.remote(), leaves_a_child.remote(folder))]
child = child_of(folder)
holding = [ray.get(embeds.remote(3 * 10**9)), ray.get(where.remote())]
in_parts = [*map(ray.get, embeds_in_parts.remote(3 * 10**9)), ray.get(where.remote())]
for pid in (holding[0], in_parts[0], *ended):
    wait_until(lambda pid=pid: gone(pid), "a worker that must not be kept does not end")
table = wait_until(unfit, "the failure is not heard of")
after = ray.get(hungry.options(device="gpu").remote(False)) if "gpu" in table else None
message = strict_error()
placement.flush(PATIENCE_S)
before = remembered()
after_a_kill = after_the_actors_end()
rows = placement.read_log(os.environ["LOG"]).to_pylist()
print(
    json.dumps(
        {
            "warm": warm,
            "failed": failed,
            "bare": bare,
            "others": others,
            "child": child,
            "ended": ended,
            "remembered": [before, after_a_kill],
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
