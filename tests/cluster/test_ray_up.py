"""cluster-on-premises.yaml run for real: `ray up`, `ray exec`, `ray down` over three hosts that are namespaces.

`ray down` and the start commands run `ray stop`, which kills every Ray process it sees: so each host has a PID
namespace of its own, and all of them lie in one that this test makes and that ends with it, however it ends.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from namespaces import NAMESPACES, clean_environment, what_stands_in_the_way

import placement

HERE = Path(__file__).resolve().parent
ON_PREMISES = HERE.parents[1] / "cluster-on-premises.yaml"
TIMEOUT_S = 800


def cluster_for_the_hosts(folder: Path) -> Path:
    """The file as it is shipped, with the hosts' addresses, keys and shared folder; the package is there already."""
    config: dict[str, Any] = yaml.safe_load(ON_PREMISES.read_text())
    config["provider"] |= {"head_ip": "10.9.0.1", "worker_ips": ["10.9.0.2", "10.9.0.3"]}
    config["auth"] = {"ssh_user": "root", "ssh_private_key": "/run/keys/id"}
    config["file_mounts"] = {"~/.ray/auth_token": "/run/keys/token"}
    config["setup_commands"] = []
    config["head_start_ray_commands"] = [
        command.replace("/mnt/shared/placement", "/run/shared") for command in config["head_start_ray_commands"]
    ]
    path = folder / "cluster.yaml"
    path.write_text(yaml.safe_dump(config))
    return path


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the run left: report.json, log.txt, the production log and the sweep's."""
    reason = what_stands_in_the_way(sshd="openssh-server", rsync="rsync")
    if reason:
        pytest.skip(f"a real `ray up` {reason}")
    folder = tmp_path_factory.mktemp("up")
    cluster_for_the_hosts(folder)
    command = [*NAMESPACES, sys.executable, str(HERE / "hosts.py"), str(folder)]
    done = subprocess.run(command, env=clean_environment(), capture_output=True, text=True, timeout=TIMEOUT_S)
    log = (folder / "log.txt").read_text() if (folder / "log.txt").exists() else ""
    assert done.returncode == 0, f"{log[-6000:]}\n{done.stderr[-3000:]}"
    return folder


@pytest.fixture(scope="module")
def report(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "report.json").read_text())


def test_every_host_joins_with_the_config_it_names_itself(report: dict[str, Any]) -> None:
    (placed,) = report["placed"]
    assert placed["alive"] == 3
    assert placed["nodes"] == {"A": 1, "C": 1, "D": 1}
    assert placed["hosts"] == [["head-a", "A", False], ["work-c", "C", False], ["work-d", "D", False]]


def test_the_cluster_file_started_the_placement_actor_with_the_shared_log(report: dict[str, Any], folder: Path) -> None:
    (placed,) = report["placed"]
    assert placed["log"] == "/run/shared/log"
    rows = placement.read_log(folder / "log").to_pylist()
    assert len(rows) == 8 == placed["counts"]["rows_written"]
    assert {row["config"] for row in rows} <= {"A", "C", "D"}


def test_tasks_are_placed(report: dict[str, Any]) -> None:
    (placed,) = report["placed"]
    assert placed["large"]
    assert placed["small"]
    assert all(has_gpu for _, _, has_gpu, _ in placed["large"])
    assert not any(has_gpu for _, _, has_gpu, _ in placed["small"])


def test_the_sweep_left_a_log(folder: Path) -> None:
    rows = placement.read_log(folder / "swept").to_pylist()
    assert {row["config"] for row in rows} >= {"A", "C", "D"}
    assert {row["source"] for row in rows} == {"sweep"}


def test_down_leaves_no_ray_process(report: dict[str, Any]) -> None:
    assert report["ray_processes_while_up"] == ["gcs_server", "raylet", "raylet", "raylet"]
    assert report["ray_processes_after_down"] == []
