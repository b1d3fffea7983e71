"""The range of Ray that the wrapper is tested with."""

from __future__ import annotations

import ray

from placement.errors import RayVersionError

TESTED_RAY = ("2.60",)


def check_ray_version(version: str = ray.__version__) -> None:
    """Raises RayVersionError outside the tested range; the wrapper stands on Ray's internals."""
    if not version.startswith(TESTED_RAY):
        raise RayVersionError(
            f"Ray {version} is outside the range tested ({', '.join(f'{v}.*' for v in TESTED_RAY)}). "
            "Install one of it, or set PLACEMENT_DISABLE=1: placed_remote is then plain ray.remote."
        )
