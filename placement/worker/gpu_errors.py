"""Which errors say that the GPU could not do it: out of device memory, or a GPU that is lost."""

from __future__ import annotations

NAMES = (
    "OutOfMemoryError",
    "AcceleratorError",
    "OutOfMemory",
    "MemoryError",
    "CUDARuntimeError",
    "XGBoostError",
)
TEXTS = ("out of memory", "no cuda-capable device", "cuda error", "device-side", "gpu is lost", "cudaerror")


def is_gpu_failure(error: BaseException) -> bool:
    """torch's, XGBoost's and CuPy's errors, by name and text: none of them is imported for it."""
    if isinstance(error, MemoryError) and type(error) is MemoryError:
        return False  # the host's memory
    text = str(error).lower()
    if type(error).__name__ not in NAMES and not isinstance(error, RuntimeError):
        return False
    return type(error).__name__ == "OutOfMemoryError" or any(part in text for part in TEXTS)
