"""MIG slices of GPUs, which Ray grants as GPUs where CUDA_VISIBLE_DEVICES names them, by a label of their node."""

from __future__ import annotations

import re
from dataclasses import replace

from placement.errors import SpecError
from placement.spec.node import NodeSpec

MIG = "placement.mig"
"""Ray node label: the profile of the node's slices, as NVIDIA names it: "1g.10gb"."""
_PROFILE = re.compile(r"[1-7]g\.(\d+)gb(\+\w+(\.all)?)?", re.IGNORECASE)


def of_slices(spec: NodeSpec, profile: str | None) -> NodeSpec:
    """The NodeSpec of a node whose GPUs are MIG slices of a profile; as it is where that is None.

    A probe tells the number of the slices alone; the profile gives the memory of each. Raises SpecError on what is no
    profile.
    """
    if profile is None or not spec.gpus:
        return spec
    found = _PROFILE.fullmatch(profile)
    if found is None:
        raise SpecError(f"node label {MIG}={profile!r} is no MIG profile; they read like 1g.10gb or 3g.40gb.")
    return replace(spec, gpu_name=f"MIG {profile}", gpu_memory_gb=float(found[1]))
