"""`placement bench-pipeline --real` on this GPU: real JPEG files decoded on CPUs and classified, the stage pinned,
divided and placed.

python pictures.py FOLDER        the pictures are generated in FOLDER/pictures
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from gpu_step import rehearsed, report

from profiling.pipelines import real

IMAGES = 24 if rehearsed else 2_000
ARMS = ("pinned", "placed", "half", "cpu_only")


def main() -> None:
    """Every arm once; the ratio of the seconds pinned to those placed."""
    told = lambda text: print(text, flush=True)  # noqa: E731
    found = real.benchmark(IMAGES, ARMS, data=Path(sys.argv[1]) / "pictures", advance=told)
    ran: dict[str, Any] = {arm: figures for arm, figures in found["arms"].items() if "error" not in figures}
    seconds = {arm: figures["makespan_seconds"] for arm, figures in ran.items()}
    both = "pinned" in seconds and "placed" in seconds
    report(
        {
            "images": IMAGES, "times": found["times"], "arms": found["arms"],
            "pinned_over_placed": seconds["pinned"] / seconds["placed"] if both else None,
        },
        every_arm_ran=len(ran) == len(ARMS),
        no_row_is_lost_or_twice=all(not one["rows_lost"] and not one["rows_twice"] for one in ran.values()),
    )  # fmt: skip


if __name__ == "__main__":
    main()
