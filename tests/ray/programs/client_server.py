"""A cluster and its Ray Client server; runs client.py against it and prints what that said."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from pathlib import Path

from local_ray import start

ATTEMPTS = 5


def listens(port: int) -> bool:
    with socket.socket() as s:
        return s.connect_ex(("127.0.0.1", port)) == 0


with socket.socket() as free:
    free.bind(("127.0.0.1", 0))
    port = free.getsockname()[1]
cluster = start().address_info["gcs_address"]
words = ["--address", cluster, "--host", "127.0.0.1", "--port", str(port), "--mode", "proxy"]
server = subprocess.Popen(
    [sys.executable, "-m", "ray.util.client.server", *words], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
)
deadline = time.monotonic() + 60
while not listens(port) and time.monotonic() < deadline:
    time.sleep(0.1)
for _ in range(ATTEMPTS):
    command = [sys.executable, str(Path(__file__).with_name("client.py")), str(port)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=200)
    # Ray gives its own server 30 s to start, which a busy machine may exceed.
    if "Starting Ray client server failed" not in done.stderr:
        break
server.terminate()
print(done.stdout, done.stderr[-2000:])
