"""The arguments of `ray start` by which a machine names its config and its resources when it joins a cluster."""

from __future__ import annotations

import re

from placement.errors import OptionError
from placement.spec.node import CONFIG, EMULATED, emulated_configs, emulated_names
from placement.spec.task import quantity_fault

LABEL_VALUE = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?")
"""The form of a label's value in Ray (its documentation on labels): at most 63 characters, no dash at either end."""


def ray_start_args(
    config: str, cpus: int, gpus: int, *, emulated: bool = False, visible_devices: str | None = None
) -> tuple[str, ...]:
    """The words to add to `ray start` on a machine of this config; safe to put into a shell line as they are.

    cpus, gpus: that Ray may grant there.  emulated: the machine plays the config of that name.
    visible_devices: the machine's CUDA_VISIBLE_DEVICES, above whose length Ray takes no --num-gpus; None: not set.
    Raises OptionError on a config that is no label, on quantities that are none or that Ray refuses, and on an
    emulated config that is not one of `emulated_configs()`.
    """
    faults = [
        fault
        for name, value in (("cpus", cpus), ("gpus", gpus))
        if (fault := quantity_fault(name, value, 0, whole=True))
    ]
    most = gpus if visible_devices is None else len(device_entries(visible_devices))
    if not faults and gpus > most:
        faults.append(
            f"gpus={gpus} is more than the {most} that CUDA_VISIBLE_DEVICES={visible_devices!r} lets Ray grant; "
            "unset it, or ask for fewer"
        )
    if not LABEL_VALUE.fullmatch(config):
        faults.append(f"config={config!r} must be 1 to 63 letters, digits, dots, dashes and underscores")
    elif emulated and config not in emulated_configs():
        faults.append(f"config={config!r} cannot be emulated; valid are {emulated_names()}")
    if faults:
        raise OptionError("node-args: " + "; ".join(faults) + ".")
    labels = [f"{CONFIG}={config}", *([f"{EMULATED}=true"] if emulated else [])]
    return f"--labels={','.join(labels)}", f"--num-cpus={cpus}", f"--num-gpus={gpus}"


def device_entries(visible_devices: str) -> list[str]:
    """The entries of a CUDA_VISIBLE_DEVICES as Ray counts them."""
    return [] if visible_devices in ("", "NoDevFiles") else visible_devices.split(",")
