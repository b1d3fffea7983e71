"""What the tests of whole clusters need of the machine: namespaces in which Ray may be started and stopped at will."""

from __future__ import annotations

import os
import shutil
import subprocess

NAMESPACES = (
    "setpriv", "--pdeathsig", "KILL", "unshare", "--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc",
    "--propagation", "private",
)  # fmt: skip
"""Before a command: all that it starts, mounts and links ends with it, and it ends with the test, however that ends."""
PATH = f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"
TRIAL = "mount -t tmpfs tmpfs /run && mkdir /run/u /run/w && ip link set lo up && ip link add br0 type bridge \
&& mount -t overlay overlay -o lowerdir=/tmp,upperdir=/run/u,workdir=/run/w /tmp"


def what_stands_in_the_way(**packages: str) -> str | None:
    """Why namespaces cannot be had here; None where they can. packages: command -> the Debian package that has it."""
    if os.getuid() != 0:
        return "needs root for its network namespaces"
    packages = {"unshare": "util-linux", "setpriv": "util-linux", "ip": "iproute2", **packages}
    missing = sorted({package for name, package in packages.items() if not shutil.which(name, path=PATH)})
    if missing:
        return f"needs the packages {', '.join(missing)}"
    trial = subprocess.run([*NAMESPACES, "sh", "-ec", TRIAL], capture_output=True, text=True, env={"PATH": PATH})
    return f"namespaces are not permitted here: {trial.stderr.strip()[-200:]}" if trial.returncode else None


def clean_environment() -> dict[str, str]:
    """This process's, less what it says of Ray and of us."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("RAY_", "PLACEMENT_"))}
    return kept | {"PATH": PATH}
