"""A cluster and its Ray Client server; runs client.py against it and prints what that said."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from pathlib import Path

from local_ray import start

START_S = 300.0
CLIENT = Path(__file__).with_name("client.py")

cluster = start().address_info["gcs_address"]
with socket.socket() as free:  # after the cluster, whose servers take ports, too
    free.bind(("127.0.0.1", 0))
    port = free.getsockname()[1]
# One server in one process: the default puts one process more for each client behind a proxy, which waits 30 s for it,
# too little on a busy machine.
words = ["--address", cluster, "--host", "127.0.0.1", "--port", str(port), "--mode", "legacy"]
server = subprocess.Popen([sys.executable, "-m", "ray.util.client.server", *words], stdout=subprocess.DEVNULL)
try:
    deadline = time.monotonic() + START_S
    while server.poll() is None and time.monotonic() < deadline:
        with socket.socket() as s:
            if s.connect_ex(("127.0.0.1", port)) == 0:
                break
        time.sleep(0.1)
    done = subprocess.run([sys.executable, str(CLIENT), str(port)], capture_output=True, text=True)
    print(done.stdout, done.stderr[-2000:])
finally:
    server.terminate()
    server.wait()
