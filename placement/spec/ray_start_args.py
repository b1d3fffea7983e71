"""What a machine says of itself when it joins: the arguments of `ray start` that name its config and its resources."""

from __future__ import annotations

import re

from placement.errors import OptionError
from placement.spec.node import CONFIG, EMULATED, paper_configs
from placement.spec.task import quantity_fault

LABEL_VALUE = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?")
"""What Ray takes as a label's value (its documentation on labels): at most 63 characters, no dash at either end."""


def ray_start_args(config: str, cpus: int, gpus: int, *, emulated: bool = False) -> tuple[str, ...]:
    """The words to add to `ray start` on a machine of this config; safe to put into a shell line as they are.

    cpus, gpus: that Ray may grant there.  emulated: the machine plays the paper's config of that name.
    Raises OptionError on a config that is no label, on quantities that are none, and on an emulated config that the
    paper does not have.
    """
    faults = [
        fault
        for name, value in (("cpus", cpus), ("gpus", gpus))
        if (fault := quantity_fault(name, value, 0, whole=True))
    ]
    if not LABEL_VALUE.fullmatch(config):
        faults.append(f"config={config!r} must be 1 to 63 letters, digits, dots, dashes and underscores")
    elif emulated and config not in paper_configs():
        faults.append(f"config={config!r} cannot be emulated; valid are {sorted(paper_configs())}")
    if faults:
        raise OptionError("node-args: " + "; ".join(faults) + ".")
    labels = [f"{CONFIG}={config}", *([f"{EMULATED}=true"] if emulated else [])]
    return f"--labels={','.join(labels)}", f"--num-cpus={cpus}", f"--num-gpus={gpus}"
