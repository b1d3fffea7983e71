"""Keeps handles in a file and an actor under a name, runs second_driver.py on the same cluster, prints what it said."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import ray
from local_ray import start
from ray import cloudpickle

from placement import placed_remote

address = start(namespace="shared").address_info["address"]


def double(x: int) -> int:
    return 2 * x


@placed_remote(devices="any")
class Kept:
    n = 0

    def use(self, f: Any, x: int) -> int:
        self.n += 1
        return int(ray.get(f.remote(x)))

    def count(self) -> int:
        return self.n


handles = {"plain": placed_remote(double), "any": placed_remote(devices="any")(double)}
assert ray.get([h.remote(5) for h in handles.values()]) == [10, 10]
kept = Kept.options(name="kept", lifetime="detached").remote()
ray.get(kept.count.remote())
with tempfile.TemporaryDirectory() as folder:
    path = Path(folder) / "handles"
    path.write_bytes(cloudpickle.dumps(handles))
    command = [sys.executable, str(Path(__file__).with_name("second_driver.py")), address, str(path)]
    done = subprocess.run(command, capture_output=True, text=True)
print(done.stdout or done.stderr)
