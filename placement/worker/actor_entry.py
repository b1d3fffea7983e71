"""The device of an actor, settled in its own process before its constructor runs."""

from __future__ import annotations

from typing import Any

import ray

from placement.ray_internals.connection import is_own_actor
from placement.worker import device
from placement.worker.traceback_filter import hide_own_frames


def enter_actor(instance: Any) -> None:
    """Makes current_device() right for the actor's whole life, and hides the GPUs that it was not given.

    The GPUs that Ray granted decide, so this also holds where the user's own options asked for a GPU. An instance that
    is not the actor of this process (a task or another actor may make one of the class) changes nothing.
    """
    if not is_own_actor(instance):
        return
    hide_own_frames()
    gpus = ray.get_gpu_ids()
    device.enter(holds=bool(gpus))
    if gpus and not device.on_emulated_node():
        device.see_gpu()
    else:
        device.use_cpu()
