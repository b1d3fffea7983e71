"""A real `ray up` over hosts that are network namespaces of one machine; see test_ray_up.py, which starts this.

Run as `unshare --net --mount --pid ... python hosts.py FOLDER`: all that it starts, and all mounts and
links, end with these namespaces. FOLDER has cluster.yaml; report.json and log.txt are
written there.
"""

from __future__ import annotations

import json
import os
import re
import secrets
import subprocess
import sys
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
HOSTS = {1: ("head-a", "A"), 2: ("work-c", "C"), 3: ("work-d", "D")}
SCRIPT = HERE / "placed_script.py"
UP_S, EXEC_S, DOWN_S, GONE_S = 400, 300, 200, 120
SWEEP = "placement sweep --preset xgboost_infer_r150_t100_d6 --window-s 0.05 -o /run/shared/swept"
CONTROL = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|\r")


def address(index: int) -> str:
    """Of a host."""
    return f"10.9.0.{index}"


def sh(command: str) -> None:
    """Runs a command that must succeed."""
    subprocess.run(command, shell=True, check=True)


def prepare(folder: Path) -> Path:
    """Private mounts, the bridge between the hosts, keys and the token; the folder of the keys."""
    keys = Path("/run/keys")
    sh("mount -t tmpfs tmpfs /run && mkdir -p /run/netns /run/sshd /run/keys /run/shared")
    sh(f"mount --bind {folder} /run/shared")  # stays in sight of every host, whatever lies over /tmp there
    for path in (Path.home(), Path("/tmp")):
        layer = f"/run/layer/{path.name}"
        sh(f"mkdir -p {layer}/upper {layer}/work")
        sh(f"mount -t overlay overlay -o lowerdir={path},upperdir={layer}/upper,workdir={layer}/work {path}")
    sh(f"rm -rf ~/.ssh ~/.ray && mkdir -m 700 ~/.ssh && ssh-keygen -q -t ed25519 -N '' -f {keys}/id")
    sh(f"ssh-keygen -q -t ed25519 -N '' -f {keys}/host")
    (keys / "token").write_text(secrets.token_hex(32))
    sh("ip link set lo up && ip link add br0 type bridge && ip addr add 10.9.0.254/24 dev br0 && ip link set br0 up")
    return keys


def start_host(index: int, keys: Path) -> None:
    """A host with its address and sshd, which says of itself that it plays a config of the paper's."""
    name, config = HOSTS[index]
    bashrc = keys / f"bashrc{index}"
    bashrc.write_text(
        f"export PATH={Path(sys.executable).parent}:$PATH PYTHONPATH={HERE.parents[1]} PYTHONDONTWRITEBYTECODE=1\n"
        "export RAY_USAGE_STATS_ENABLED=0\n"
        f"export PLACEMENT_CONFIG={config} PLACEMENT_EMULATED=1 PLACEMENT_CPUS=1 OMP_NUM_THREADS=1 TERM=dumb\n"
        # Only so that the test waits less: the autoscaler looks each second, not each 5, and a worker whose head is
        # gone gives up after 5 seconds, not 60.
        "export AUTOSCALER_UPDATE_INTERVAL_S=1 RAY_gcs_rpc_server_reconnect_timeout_s=5\n"
    )
    sh(f"ip netns add n{index} && ip link add v{index} type veth peer name e0 netns n{index}")
    sh(f"ip link set v{index} master br0 up && ip -n n{index} addr add {address(index)}/24 dev e0")
    # The route leads nowhere; without one Ray takes 127.0.0.1 for the host's address.
    sh(f"ip -n n{index} link set e0 up && ip -n n{index} link set lo up")
    sh(f"ip -n n{index} route add default via 10.9.0.254")
    with open(f"/run/sshd{index}.log", "w") as log:
        subprocess.Popen(
            ["ip", "netns", "exec", f"n{index}", "unshare", "--mount", "--pid", "--uts", "--fork", "--mount-proc",
             "--kill-child", "--propagation", "private", "bash", str(HERE / "host.sh"), name, str(keys), str(bashrc)],
            stdout=log, stderr=log,
        )  # fmt: skip


def ray_processes(wait_s: float = 0.0) -> list[str]:
    """Ray's raylets and GCS in any of the hosts; waits so long for there to be none."""
    deadline = time.monotonic() + wait_s
    while (found := _ray_processes()) and time.monotonic() < deadline:
        time.sleep(0.5)
    return found


def _ray_processes() -> list[str]:
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = path.read_bytes().decode(errors="replace").split("\0")
        except OSError:
            continue
        if words[0].endswith(("/raylet", "/gcs_server")):
            found.append(Path(words[0]).name)
    return found


class Steps:
    """Runs the steps, each with its time and its output in the log."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.seconds: dict[str, float] = {}
        self.log = (folder / "log.txt").open("w")
        self.environment = {
            **os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", "RAY_USAGE_STATS_ENABLED": "0",
            "RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN_PATH": "/run/keys/token", "RAY_UP_enable_autoscaler_v2": "0",
            "PYTHONDONTWRITEBYTECODE": "1", "PYTHONUNBUFFERED": "1",
        }  # fmt: skip

    def run(self, name: str, *command: str, timeout_s: float, fails: bool = False) -> str:
        """The command's output. RuntimeError where it fails, unless it is to."""
        began = time.monotonic()
        self.log.write(f"$ {' '.join(command)}\n")
        self.log.flush()
        done = subprocess.run(
            command, env=self.environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            timeout=timeout_s, stdin=subprocess.DEVNULL,
        )  # fmt: skip
        self.seconds[name] = round(time.monotonic() - began, 1)
        self.log.write(
            f"{CONTROL.sub('', done.stdout).rstrip()}\n[{name}: {self.seconds[name]} s, status {done.returncode}]\n\n"
        )
        self.log.flush()
        if bool(done.returncode) != fails:
            raise RuntimeError(f"{name} ended with {done.returncode}: {done.stdout[-2000:]}")
        return done.stdout


def main(shared: Path) -> None:
    """Up, a placed script, a sweep, a stranger without the token, down."""
    keys = prepare(shared)
    folder = Path("/run/shared")  # what lies over /tmp now hides where it came from
    for index in HOSTS:
        start_host(index, keys)
    steps = Steps(folder)
    cluster = str(folder / "cluster.yaml")
    ray = ("ray", "exec", "--no-config-cache", cluster)
    steps.run("up", "ray", "up", "-y", "--no-config-cache", cluster, timeout_s=UP_S)
    placed = steps.run("placed script", *ray, f"python {SCRIPT} {len(HOSTS)}", timeout_s=EXEC_S)
    steps.run("sweep", *ray, SWEEP, timeout_s=EXEC_S)
    steps.environment["RAY_AUTH_TOKEN_PATH"] = "/run/keys/id.pub"
    steps.run("stranger", "ray", "health-check", "--address", f"{address(1)}:6379", timeout_s=30, fails=True)
    steps.environment["RAY_AUTH_TOKEN_PATH"] = "/run/keys/token"
    running = sorted(ray_processes())
    steps.run("down", "ray", "down", "-y", cluster, timeout_s=DOWN_S)
    report = {
        "seconds": steps.seconds,
        "placed": [json.loads(line) for line in placed.splitlines() if line.startswith("{")],
        "ray_processes_while_up": running,
        "ray_processes_after_down": ray_processes(GONE_S),
    }
    (folder / "report.json").write_text(json.dumps(report, indent=1))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
