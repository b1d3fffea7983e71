"""NVML of a node with faked GPUs: a `pynvml` in a folder of its own, for scripts that start their own cluster.

A process holds as many bytes of the first GPU's memory as the file HELD/<its id> says; without one it has not used it.
"""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile
from pathlib import Path

MODULE = """
import os
from pathlib import Path
from types import SimpleNamespace

class NVMLError(Exception): pass
def nvmlInit(): pass
def nvmlDeviceGetCount(): return 1
def nvmlDeviceGetHandleByIndex(index): return index
def nvmlDeviceGetUUID(handle): return "GPU-fake"
def nvmlDeviceGetHandleByUUID(uuid): return 0
def nvmlDeviceGetComputeRunningProcesses(handle):
    files = Path(os.environ["HELD"]).iterdir()
    return [SimpleNamespace(pid=int(file.name), usedGpuMemory=int(file.read_text())) for file in files]
"""


def install() -> Path:
    """Makes the module the one that this process's children import; the folder HELD."""
    folder = Path(tempfile.mkdtemp(prefix="placement-tests-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    (folder / "pynvml.py").write_text(MODULE)
    held = folder / "held"
    held.mkdir()
    os.environ["HELD"] = str(held)
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [str(folder), os.environ.get("PYTHONPATH")]))
    return held
