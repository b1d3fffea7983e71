"""choose(): a Decision in the words of Ray Data, Train, Tune and Serve. One small example of each runs."""

from __future__ import annotations

import json
import sys
from typing import Any

import pytest
import ray
from ray import cloudpickle

import placement
from placement import Decision, TaskSpec, placed_remote
from placement.errors import OptionError, SpecError
from placement.scheduling.candidates import Choice

pytestmark = pytest.mark.usefixtures("emulated")
cloudpickle.register_pickle_by_value(sys.modules[__name__])

SMALL = TaskSpec(flops=1e6, input_bytes=1e3, batch_size=1, parameters=1_000)


class OnB:
    """A user's own policy: always B's GPU."""

    def choose(self, task: TaskSpec, candidates: Any) -> Choice:
        return Choice("gpu", ("B",), "on B")


class Where:
    """Holds what it was given and tells where it is."""

    def config(self) -> str:
        return str(ray.get_runtime_context().get_node_labels()["config"])


def choose(*args: Any, **options: Any) -> Decision:
    """By the threshold: what earlier tests left running would have `balanced` choose another device."""
    return placement.choose(*args, **{"policy": "selector", **options})


def preference(options: dict[str, Any]) -> list[set[str]]:
    """The configs that Ray is to try, in order; those of a set are as good."""
    selectors = [options["label_selector"], *(one["label_selector"] for one in options.get("fallback_strategy", ()))]
    return [set(selector["config"].removeprefix("in(").removesuffix(")").split(",")) for selector in selectors]


def test_it_decides_for_a_spec_a_function_and_for_nothing_known() -> None:
    on_cpu = choose(SMALL)
    assert isinstance(on_cpu, Decision)
    options = on_cpu.ray_options()
    assert (options["num_cpus"], "num_gpus" in options) == (1.0, False)
    assert preference(options) == [set(tier) for tier in on_cpu.tiers]
    assert set(on_cpu.configs) == {"A", "B", "C", "D"} == set().union(*on_cpu.tiers)
    assert choose(lambda: SMALL).device == "cpu"
    assert choose(lambda scale: SMALL, 3).device == "cpu"
    assert choose(None).reason == "cold_start"


def test_options_limit_it() -> None:
    on_gpu = choose(SMALL, device="gpu", num_cpus=0.5, label_selector={"config": "in(A,B)"})
    assert on_gpu.device == "gpu"
    assert set(on_gpu.configs) == {"A", "B"}
    options = on_gpu.ray_options()
    assert (options["num_cpus"], options["num_gpus"]) == (0.5, 1)
    assert preference(options) == [set(tier) for tier in on_gpu.tiers]
    assert choose(SMALL, policy="gpu_only", gpu_options={"num_gpus": 0.5}).ray_options()["num_gpus"] == 0.5
    json.dumps(on_gpu.ray_options())


def test_misuse_is_named() -> None:
    with pytest.raises(OptionError, match="Invalid option keyword num_gpu "):
        placement.choose(SMALL, num_gpu=1)
    with pytest.raises(SpecError, match="must return a TaskSpec"):
        placement.choose(lambda: 3)


def test_an_actor_whose_config_has_gone_goes_to_a_spare_one(quiet: None) -> None:
    asked = placement.choose(SMALL, policy=OnB(), num_cpus=0.1).ray_options()
    assert asked["label_selector"] == {"config": "in(B)"}
    (spare,) = asked["fallback_strategy"]
    assert spare["label_selector"]["config"] in {"in(A)", "in(C)", "in(D)"}
    gone = ray.remote(Where).options(**asked | {"label_selector": {"config": "in(gone)"}}).remote()
    placed = placed_remote(Where).options(spec=SMALL, policy=OnB(), num_cpus=0.1).remote()
    try:
        assert f"in({ray.get(gone.config.remote(), timeout=300)})" == spare["label_selector"]["config"]
        assert ray.get(placed.config.remote(), timeout=300) == "B"
    finally:
        ray.kill(gone)
        ray.kill(placed)


def test_scaling_config() -> None:
    scaling = placement.choose(SMALL, device="gpu", label_selector={"config": "A"}).scaling_config(num_workers=2)
    assert (scaling.num_workers, scaling.use_gpu) == (2, True)
    assert scaling.resources_per_worker == {"CPU": 1.0, "GPU": 1.0}
    assert scaling.label_selector == {"config": "A"}
    on_cpu = placement.choose(SMALL, device="cpu").scaling_config()
    assert (on_cpu.use_gpu, on_cpu.resources_per_worker) == (False, {"CPU": 1.0})


def test_ray_data() -> None:
    def where(batch: Any) -> Any:
        context = ray.get_runtime_context()
        n = len(batch["id"])
        return {"config": [context.get_node_labels()["config"]] * n, "gpus": [len(ray.get_gpu_ids())] * n}

    chosen = placement.choose(SMALL, device="gpu", num_cpus=0.5, label_selector={"config": "B"})
    rows = ray.data.range(4, override_num_blocks=2).map_batches(where, batch_size=2, **chosen.ray_options()).take_all()
    assert {(row["config"], row["gpus"]) for row in rows} == {("B", 1)}


def test_ray_train(tmp_path: Any) -> None:
    from ray.train import RunConfig
    from ray.train.v2.api.data_parallel_trainer import DataParallelTrainer

    def loop() -> Any:
        context = ray.get_runtime_context()
        return context.get_node_labels()["config"], len(ray.get_gpu_ids())

    chosen = placement.choose(SMALL, device="gpu", num_cpus=0.5, label_selector={"config": "D"})
    run = RunConfig(name="chosen", storage_path=str(tmp_path))
    result = DataParallelTrainer(loop, scaling_config=chosen.scaling_config(), run_config=run).fit()
    assert result.return_value == ("D", 1)


def test_ray_tune(tmp_path: Any) -> None:
    from ray import tune

    def trial(config: dict[str, Any]) -> Any:
        return {"gpus": len(ray.get_gpu_ids()), "x": config["x"]}

    chosen = placement.choose(SMALL, device="gpu", num_cpus=0.5)
    tuner = tune.Tuner(
        tune.with_resources(trial, chosen.tune_resources()),
        param_space={"x": tune.grid_search([1])},
        run_config=tune.RunConfig(storage_path=str(tmp_path), verbose=0),
    )
    assert [r.metrics["gpus"] for r in tuner.fit()] == [1]


def test_ray_serve() -> None:
    pytest.importorskip("starlette", reason="Ray Serve is not installed: pip install 'ray[serve]'")
    from ray import serve

    chosen = placement.choose(SMALL, device="gpu", num_cpus=0.1, label_selector={"config": "C"})

    @serve.deployment(ray_actor_options=chosen.ray_options())
    class Where:
        def __call__(self) -> Any:
            return ray.get_runtime_context().get_node_labels()["config"], len(ray.get_gpu_ids())

    try:
        handle = serve.run(Where.bind(), route_prefix=None)
        assert handle.remote().result(timeout_s=300) == ("C", 1)
    finally:
        serve.shutdown()
