"""Run by first_driver.py: uses the handles of a file and the actor `kept`. Arguments: the cluster, the file."""

from __future__ import annotations

import sys
from pathlib import Path

import ray
from output import say
from ray import cloudpickle

ray.init(address=sys.argv[1], namespace="shared", log_to_driver=False, logging_level="ERROR")
f = cloudpickle.loads(Path(sys.argv[2]).read_bytes())
a = ray.get_actor("kept")
say(ray.get([f["plain"].remote(1), f["any"].remote(2), a.use.remote(f["any"], 3), a.count.remote()]))
