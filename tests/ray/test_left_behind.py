"""A placed task or actor leaves its worker's environment as it was, and the user's own settings hold in it."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import ray
from ray import cloudpickle

from placement import current_device, placed_remote

cloudpickle.register_pickle_by_value(sys.modules[__name__])  # workers cannot import the tests

CUDA, OMP = "CUDA_VISIBLE_DEVICES", "OMP_NUM_THREADS"
OVERRIDE = "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO"
OWN = {"env_vars": {CUDA: "3", OMP: "5", OVERRIDE: "0"}}
"""With Ray's OVERRIDE, which these nodes may have, Ray itself hides every GPU from a task without one."""
Found = tuple[str | None, str | None]


def found() -> Found:
    return os.environ.get(CUDA), os.environ.get(OMP)


def found_in_parts() -> Iterator[Found]:
    yield found()


class Finder:
    def __init__(self) -> None:
        self.at_first = found()

    def found(self) -> tuple[Found, Found]:
        return self.at_first, found()


def of_task(remote: Any) -> Any:
    return ray.get(remote(found).remote())


def of_generator(remote: Any) -> Any:
    return ray.get(next(remote(found_in_parts).remote()))


def of_actor(remote: Any) -> Any:
    actor = remote(Finder).remote()
    told = ray.get(actor.found.remote())
    ray.kill(actor)
    return told


@pytest.mark.parametrize("ask", [of_task, of_generator, of_actor])
def test_a_runtime_envs_own_devices_and_threads_hold_on_the_cpu(emulated: str, ask: Any) -> None:
    plain = ask(ray.remote(runtime_env=OWN))
    assert ask(placed_remote(devices="any", device="cpu", runtime_env=OWN)) == plain
    assert "3" in str(plain)


def test_the_class_of_a_placed_actor_changes_no_environment_but_the_actors(emulated: str) -> None:
    made = placed_remote(devices="any", device="cpu")(Finder).__ray_metadata__.modified_class

    @ray.remote
    def uses() -> Any:
        before = found(), current_device()
        made()
        return before == (found(), current_device())

    @ray.remote
    class Holder:
        def __init__(self) -> None:
            before = found(), current_device()
            made()
            self.same = before == (found(), current_device())

        def told(self) -> bool:
            return self.same

    assert ray.get(uses.remote())
    holder = Holder.remote()
    assert ray.get(holder.told.remote())
    ray.kill(holder)


def test_a_placed_actor_sees_no_gpu_on_the_cpu(emulated: str) -> None:
    (at_first, _), (later, _) = of_actor(placed_remote(devices="any", device="cpu"))
    assert (at_first, later) == ("", "")


def test_a_workers_environment_after_a_placed_task_is_what_it_was_before(emulated: str) -> None:
    @ray.remote
    def everything() -> tuple[int, dict[str, str]]:
        return os.getpid(), dict(os.environ)

    def where() -> int:
        return os.getpid()

    placed = placed_remote(devices="any", device="cpu")(where)
    for _ in range(20):  # until one worker has run them in this order
        pid, before = ray.get(everything.remote())
        between = ray.get(placed.remote())
        again, after = ray.get(everything.remote())
        if pid == between == again:
            break
    assert (pid, pid) == (between, again)
    assert after == before


NO_TORCH = "raise OSError('libcudnn.so.9: cannot open shared object file')\n"


def meets_a_torch_that_raises() -> tuple[str, dict[str, Any]]:
    """The error of the import, and the probe's parts up to torch's, in a worker with such a torch."""
    from itertools import islice

    from placement.hardware.probe import MachineShare, parts

    try:
        import torch
    except OSError as error:
        return str(error), {name: dict(part) for name, part in islice(parts(MachineShare.of_process()), 3)}
    return f"imported {torch.__name__}", {}


def test_a_torch_that_raises_at_import_stops_neither_the_task_nor_the_probe(emulated: str, tmp_path: Path) -> None:
    (tmp_path / "torch").mkdir()
    (tmp_path / "torch" / "__init__.py").write_text(NO_TORCH)
    path = os.pathsep.join([str(tmp_path), *sys.path[1:]])
    placed = placed_remote(devices="any", device="cpu", runtime_env={"env_vars": {"PYTHONPATH": path}})
    raised, probed = ray.get(placed(meets_a_torch_that_raises).remote(), timeout=600)
    assert "libcudnn.so.9" in raised
    assert "libcudnn.so.9" in probed["torch on the CPU"]["fault"]
    assert "fault" not in probed["cpu kernels"]
    assert ray.get(placed(current_device).remote(), timeout=600) == "cpu"  # in a worker that has met it
