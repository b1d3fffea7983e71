"""The cost of importing placement in a script that has imported ray."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile

from profiling.bench.figure import Figure


def import_extra_ms(rounds: int = 9) -> Figure:
    """Milliseconds that `import placement` adds to a script that imported ray."""
    values, heavy = _import_ms("import placement", rounds)
    return Figure.of("import_extra_ms", values, "<= 30", f"heavy modules brought in: {heavy}")


def import_placed_remote_ms(rounds: int = 9) -> Figure:
    """Milliseconds of `from placement import placed_remote`, which imports every module that a decision needs."""
    values, heavy = _import_ms("from placement import placed_remote", rounds)
    return Figure.of("import_placed_remote_ms", values, "", f"heavy modules brought in: {heavy}")


def _import_ms(statement: str, rounds: int) -> tuple[list[float], str]:
    """Milliseconds of a statement after `import ray`, for each round; which heavy modules it brought in."""
    script = (
        f"import sys, time, ray; before = set(sys.modules); start = time.perf_counter(); {statement}; "
        "print((time.perf_counter() - start) * 1e3, *sorted({'torch', 'pandas', 'pyarrow', 'numpy'}"
        " & (set(sys.modules) - before)))"
    )
    # With the byte code kept, as any installation does.
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    values, heavy = [], set()
    with tempfile.TemporaryDirectory() as kept:
        for _ in range(rounds + 1):
            done = subprocess.run(
                [sys.executable, "-c", script], capture_output=True, text=True, check=True,
                env=environment | {"PYTHONPYCACHEPREFIX": kept},
            )  # fmt: skip
            milliseconds, *modules = done.stdout.split()
            values.append(float(milliseconds))
            heavy.update(modules)
    return values[1:], " ".join(sorted(heavy)) or "none"
