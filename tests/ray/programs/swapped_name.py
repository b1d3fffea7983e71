"""placed_remote in the place of ray.remote, before Ray's own modules use it: Queue, ActorPool, DAG and Ray Data."""

from __future__ import annotations

import functools
import os
from typing import Any

import ray
from local_ray import start
from output import say

from placement import placed_remote

start(num_gpus=1)


def use() -> None:
    @ray.remote
    def f(x: int, y: int = 1) -> Any:
        return x + y, os.environ["OMP_NUM_THREADS"]

    @ray.remote(num_cpus=0)
    class A:
        def get(self, x: int = 1) -> int:
            return x

    threads = {"env_vars": {"OMP_NUM_THREADS": "3"}}
    calls = [f.remote(1), f.options(num_cpus=2).remote(1, y=2), f.options(runtime_env=threads).remote(2)]
    queue = Queue(actor_options={"num_cpus": 0})
    queue.put(5)
    pool = ActorPool([A.remote(), A.options(max_concurrency=2).remote()])
    say(ray.get(calls), queue.get(), list(pool.map(lambda a, x: a.get.remote(x), [1, 2])))
    with ray.dag.InputNode() as given:
        dag = A.bind().get.bind(given)
    say(ray.get(dag.execute(7)))
    for misuse in (lambda: ray.remote(3), lambda: ray.remote(f, num_cpus=1), lambda: ray.remote(num_cpus=1)(3)):
        try:
            misuse()
        except (AssertionError, TypeError, AttributeError) as error:
            say(type(error).__name__)


ray.remote = functools.partial(placed_remote, devices="any")
import ray.dag  # noqa: E402 - it makes an actor class as it is imported
from ray.util import ActorPool  # noqa: E402
from ray.util.queue import Queue  # noqa: E402

use()
import ray.data  # noqa: E402

doubled = ray.data.range(3, override_num_blocks=1).map(lambda row: {"x": row["id"] * 2})
say(sorted(row["x"] for row in doubled.take_all()))
ray.remote = placed_remote
use()
