"""The cluster files against Ray's own schema, as `ray up` checks them, and what each of them must say."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml
from click.testing import Result
from ray.autoscaler._private.util import fillout_defaults, prepare_config, validate_config
from typer.testing import CliRunner

from placement.spec.autoscaler_types import checked
from profiling.cli.app import main

PROJECT = Path(__file__).resolve().parents[2]
FILES = sorted(path.name for path in PROJECT.glob("cluster*.yaml"))
CLOUDS = [name for name in FILES if name != "cluster-on-premises.yaml"]


def cluster(name: str) -> dict[str, Any]:
    return yaml.safe_load((PROJECT / name).read_text())


def node_args(*words: str, **environment: str) -> Result:
    unset = dict.fromkeys(("PLACEMENT_CONFIG", "PLACEMENT_CPUS", "PLACEMENT_GPUS", "PLACEMENT_EMULATED"))
    return CliRunner(env={**unset, **environment}).invoke(main, ["node-args", *words])


def test_there_is_a_file_for_each_place() -> None:
    assert FILES == ["cluster-gcp.yaml", "cluster-on-premises.yaml", "cluster.yaml"]


@pytest.mark.parametrize("name", FILES)
def test_ray_takes_the_cluster_file(name: str) -> None:
    prepared = prepare_config(cluster(name))
    validate_config(prepared)  # raises on what Ray does not know
    assert prepared["head_node_type"] in prepared["available_node_types"]


@pytest.mark.parametrize("name", CLOUDS)
def test_the_check_refuses_what_ray_does_not_know(name: str) -> None:
    with pytest.raises(Exception, match="nonsense"):
        validate_config(fillout_defaults({**cluster(name), "nonsense": 1}))


@pytest.mark.parametrize("name", CLOUDS)
def test_every_kind_carries_its_config_label(name: str) -> None:
    types = cluster(name)["available_node_types"]
    assert {kind: one["labels"]["config"] for kind, one in types.items()} == {kind: kind for kind in types}
    workers = {kind: one for kind, one in types.items() if kind != "head"}
    assert all(0 <= one["min_workers"] <= one["max_workers"] > 0 for one in workers.values())
    assert checked(cluster(name)).keys() >= workers.keys()
    assert any(one["resources"].get("GPU") for one in workers.values())


def test_the_papers_kinds_are_there() -> None:
    assert {"A", "B", "C", "D"} <= cluster("cluster.yaml")["available_node_types"].keys()


@pytest.mark.parametrize("name", FILES)
def test_token_authentication_is_on(name: str) -> None:
    config = cluster(name)
    commands = config["head_start_ray_commands"] + config["worker_start_ray_commands"]
    starts = [c for c in commands if re.search(r"\b(ray|placement) start\b", c)]
    assert len(starts) == 3
    assert all("RAY_AUTH_MODE=token" in command for command in starts)
    assert "~/.ray/auth_token" in config["file_mounts"]


@pytest.mark.parametrize("name", FILES)
def test_the_package_and_the_actor_with_its_shared_log_are_there(name: str) -> None:
    config = cluster(name)
    assert any("ray-placement" in command for command in config["setup_commands"])
    (start,) = [c for c in config["head_start_ray_commands"] if "placement start" in c]
    assert re.search(r"--log (s3://|gs://|/mnt/)\S+", start)
    assert ("--node-types" in start) == (name in CLOUDS)
    hidden = "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO=1"  # a task on the CPU sees no GPU
    assert all(
        any(hidden in c for c in config[key]) for key in ("head_start_ray_commands", "worker_start_ray_commands")
    )


@pytest.mark.parametrize("name", FILES)
def test_comments_say_what_to_change(name: str) -> None:
    assert (PROJECT / name).read_text().count("# CHANGE") >= 5


def test_own_machines_say_themselves_what_they_are() -> None:
    config = cluster("cluster-on-premises.yaml")
    assert "available_node_types" not in config
    for key in ("head_start_ray_commands", "worker_start_ray_commands"):
        (start,) = [c for c in config[key] if "ray start" in c]
        assert start.startswith("args=$(placement node-args) &&")
        assert start.endswith("$args")


def test_a_machine_finds_its_own_words() -> None:
    done = node_args()
    assert done.exit_code == 0
    assert re.fullmatch(r"--labels=config=[a-z0-9-]+ --num-cpus=[1-9]\d* --num-gpus=\d+\n", done.output)


def test_a_machine_may_be_named_by_its_environment() -> None:
    done = node_args(PLACEMENT_CONFIG="lab-7", PLACEMENT_CPUS="3", PLACEMENT_GPUS="2")
    assert done.output == "--labels=config=lab-7 --num-cpus=3 --num-gpus=2\n"
    assert node_args("--config", "lab-8", "--cpus", "1", "--gpus", "0", PLACEMENT_CONFIG="lab-7").output.startswith(
        "--labels=config=lab-8 "
    )


def test_a_machine_names_the_cpus_that_ray_counts_and_the_gpus_that_ray_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    gpus = [SimpleNamespace(name="display"), SimpleNamespace(name="compute")]
    fake = SimpleNamespace(
        nvmlInit=lambda: None, nvmlDeviceGetCount=lambda: 2, nvmlDeviceGetHandleByIndex=lambda i: gpus[i],
        nvmlDeviceGetUUID=lambda gpu: f"GPU-{gpu.name}", nvmlDeviceGetName=lambda gpu: gpu.name,
    )  # fmt: skip
    monkeypatch.setitem(sys.modules, "pynvml", fake)
    monkeypatch.setattr("ray._private.utils.get_num_cpus", lambda **_: 6)  # a container's quota
    done = node_args(CUDA_VISIBLE_DEVICES="1")
    assert re.fullmatch(r"--labels=config=[a-z0-9-]+-6cpu-compute --num-cpus=6 --num-gpus=1\n", done.output)
    assert node_args(CUDA_VISIBLE_DEVICES="").output.endswith(" --num-gpus=0\n")
    refused = node_args("--gpus", "2", CUDA_VISIBLE_DEVICES="1")
    assert refused.exit_code == 2
    assert "more than the 1 that CUDA_VISIBLE_DEVICES='1'" in refused.stderr


def test_a_machine_may_play_a_config() -> None:
    done = node_args("--config", "D", "--emulated", "--cpus", "1")
    assert done.output == "--labels=config=D,placement.emulated=true --num-cpus=1 --num-gpus=1\n"


@pytest.mark.parametrize("words", [("--emulated",), ("--config", "a;b"), ("--config", "E", "--emulated")])
def test_what_makes_no_sense_ends_with_2_and_prints_no_words(words: tuple[str, ...]) -> None:
    done = node_args(*words)
    assert done.exit_code == 2
    assert "--labels" not in done.stdout
