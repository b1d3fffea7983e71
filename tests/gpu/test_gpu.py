"""The steps on a real GPU, as tests: pytest -m gpu. `make gpu` runs the same and shows more."""

from __future__ import annotations

from pathlib import Path

import pytest
from run import NEEDS_GPU, ROOT, STEPS, Result, Step, environment_of, has_gpu, run_step

pytestmark = [pytest.mark.gpu, pytest.mark.skipif(not has_gpu(), reason=NEEDS_GPU)]


@pytest.fixture(scope="session")
def out() -> Path:
    folder = ROOT / "out" / "gpu"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@pytest.mark.parametrize("step", STEPS, ids=lambda step: step.name)
def test_step(step: Step, out: Path) -> None:
    found = Result.load(out, step.name)
    if found is None or found.trouble:
        found = run_step(step, out, environment_of(None), rehearsed=False)
    assert not found.trouble, f"{found.trouble}\n{found.figures}"
