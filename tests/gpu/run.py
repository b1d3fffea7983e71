"""Everything that needs a real NVIDIA GPU, the most valuable first, so that fifteen minutes of one suffice:

    python tests/gpu/run.py                        (or: make gpu)
    python tests/gpu/run.py --rehearse             the same steps without a GPU
    python tests/gpu/run.py --budget-s 500         begins no step that could end later; the next call does the rest

Each step is a program of `steps/` in a process of its own under its own time limit. Its result is in OUT/<step>.json as
soon as it ends, with its output beside it in OUT/<step>.txt; a step whose result is there and sound is not run again.
A rehearsal runs every line of every step on the CPU: torch's CUDA device is replaced (`rehearsal/`), results say
`"rehearsed": true`, the GPU in the log is called "REHEARSED, no GPU", and nothing is written beside measured logs.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
MARK = "gpu-step: "
STOP_S = 10.0
NEEDS_GPU = (
    "this machine has no NVIDIA GPU that its driver tells of (`nvidia-smi` lists none). Run this on a machine with "
    "one, or try its steps by --rehearse."
)


@dataclass(frozen=True, slots=True)
class Step:
    """A program of `steps/`, its time limit, and its arguments: {out} is the folder, {seconds} what it may use."""

    name: str
    limit_s: float
    arguments: tuple[str, ...] = ()


STEPS = (
    Step("visibility", 60),
    Step("warm_workers", 80),
    Step("out_of_memory", 60),
    Step("memory_returned", 50),
    Step("energy", 40),
    Step("start_up", 60),
    Step("probe", 40),
    Step("presets", 300, ("{out}", "{seconds}")),
    Step("neighbours", 120, ("{out}",)),
    Step("stage", 50),
    Step("errors", 40, ("{out}",)),
    Step("two_drivers", 75),
    Step("shares", 60),
    Step("pictures", 220, ("{out}",)),
)
"""In the order in which they are run."""
PATIENCE = 5.0
"""A rehearsal's limits over a real run's: its machine has a few busy cores, and what is rehearsed is no speed."""
MARGIN_S = 40.0
"""Seconds of a step's limit that its own budget leaves for Ray's start and end."""


@dataclass(slots=True)
class Result:
    """What became of a step. trouble: why there are no figures, or the checks that failed; empty where all held."""

    step: str
    rehearsed: bool
    seconds: float
    trouble: str = ""
    figures: dict[str, Any] = field(default_factory=dict)
    checks: list[str] = field(default_factory=list)
    machine: dict[str, Any] = field(default_factory=dict)

    def save(self, out: Path) -> None:
        """Writes OUT/<step>.json, whole or not at all."""
        path = out / f"{self.step}.json"
        path.with_suffix(".part").write_text(json.dumps(asdict(self), indent=1) + "\n")
        path.with_suffix(".part").replace(path)

    @classmethod
    def load(cls, out: Path, step: str) -> Result | None:
        """The result kept in OUT; None where there is none that can be read."""
        try:
            return cls(**json.loads((out / f"{step}.json").read_text()))
        except (OSError, ValueError, TypeError):
            return None


def run_step(
    step: Step, out: Path, environment: Mapping[str, str], *, rehearsed: bool, programs: Path = HERE / "steps"
) -> Result:
    """Runs a step under its limit, and saves its result."""
    limit_s = step.limit_s * (PATIENCE if rehearsed else 1.0)
    seconds = max(1.0, limit_s - MARGIN_S)
    arguments = [one.format(out=out.absolute(), seconds=seconds) for one in step.arguments]
    begun, output = time.monotonic(), out / f"{step.name}.txt"
    with output.open("w") as file:
        process = subprocess.Popen(
            [sys.executable, str(programs / f"{step.name}.py"), *arguments], stdout=file, stderr=subprocess.STDOUT,
            env=dict(environment), cwd=ROOT, start_new_session=True,
        )  # fmt: skip
        late = not ended_within(process, limit_s)
    result = Result(step.name, rehearsed, round(time.monotonic() - begun, 1), machine=machine())
    answer = answer_of(output.read_text(errors="replace"))
    if answer is not None:
        result.figures, result.checks = answer["figures"], answer["checks"]
        result.trouble = ", ".join(f"not so: {name}" for name in answer["failed"])
    elif late:
        result.trouble = f"not done within {limit_s:g} s; see {output}"
    else:
        result.trouble = f"ended with {process.returncode} and no result; see {output}"
    result.save(out)
    return result


def ended_within(process: subprocess.Popen[bytes], limit_s: float) -> bool:
    """Waits for a process; where it takes longer it is asked to end, then it and what it started are killed."""
    try:
        process.wait(limit_s)
        return True
    except subprocess.TimeoutExpired:
        process.terminate()
    try:
        process.wait(STOP_S)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)  # a session of its own: nothing else is in the group
        process.wait()
    return False


def answer_of(text: str) -> dict[str, Any] | None:
    """The result that a step printed; None where it printed none."""
    lines = [line.removeprefix(MARK) for line in text.splitlines() if line.startswith(MARK)]
    return json.loads(lines[-1]) if lines else None


def machine() -> dict[str, Any]:
    """The versions that a result was made with."""
    from importlib.metadata import PackageNotFoundError, version

    found = {"python": platform.python_version()}
    for name in ("torch", "ray", "xgboost"):
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "none"
    return found


def environment_of(held: Path | None) -> dict[str, str]:
    """The variables of the steps. held: the folder of the rehearsed card's memory; None on a real GPU."""
    paths = [str(HERE / "steps"), str(ROOT), os.environ.get("PYTHONPATH", "")]
    made = os.environ | {
        "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "1", "RAY_USAGE_STATS_ENABLED": "0",
        "RAY_idle_worker_killing_time_threshold_ms": "600000",
    }  # fmt: skip
    made.pop("RAY_ADDRESS", None)
    if held is not None:
        paths.insert(0, str(HERE / "rehearsal"))
        # A probe keeps its figures in the temporary folder: those of a card that is not there must not be found again.
        made |= {"PLACEMENT_GPU_HELD": str(held / "held"), "TMPDIR": str(held), "RAY_TMPDIR": tempfile.gettempdir()}
        (held / "held").mkdir(parents=True, exist_ok=True)
    return made | {"PYTHONPATH": os.pathsep.join(filter(None, paths))}


def left_to_do(steps: Sequence[Step], out: Path) -> list[Step]:
    """The steps without a sound result: first those without any, then those that failed."""
    results = {step.name: Result.load(out, step.name) for step in steps}
    failed = [step for step in steps if (found := results[step.name]) is not None and found.trouble]
    return [step for step in steps if results[step.name] is None] + failed


def run(steps: Sequence[Step], out: Path, *, rehearse: bool, budget_s: float) -> list[Result]:
    """Runs what is left to do within the budget; the results of all steps that have one."""
    out.mkdir(parents=True, exist_ok=True)
    deadline = time.monotonic() + budget_s
    with tempfile.TemporaryDirectory(prefix="gpu") as folder:
        environment = environment_of(Path(folder) if rehearse else None)
        for step in left_to_do(steps, out):
            if time.monotonic() + step.limit_s > deadline:
                print(f"{step.name:16} left for the next call: it may take {step.limit_s:g} s", flush=True)
                continue
            result = run_step(step, out, environment, rehearsed=rehearse)
            print(f"{step.name:16} {result.seconds:6.1f} s  {result.trouble or 'ok'}", flush=True)
    return [found for step in steps if (found := Result.load(out, step.name))]


def parsed(arguments: Sequence[str] | None) -> argparse.Namespace:
    """The arguments of the command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, help="folder of the results; by default out/gpu, or out/gpu-rehearsal")
    parser.add_argument("--rehearse", action="store_true", help="without a GPU")
    parser.add_argument("--budget-s", type=float, default=3600.0)
    parser.add_argument("--step", action="append", choices=[step.name for step in STEPS], help="only this one")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the steps; 1 where one failed or is left, 2 where there is no GPU."""
    asked = parsed(arguments)
    out = asked.out or ROOT / "out" / ("gpu-rehearsal" if asked.rehearse else "gpu")
    if asked.rehearse and (ROOT / "profiling" / "data") in out.absolute().parents:
        print(f"--out {out}: a rehearsal measures nothing, so it writes nothing there. Give another folder.")
        return 2
    if not asked.rehearse and not has_gpu():
        print(NEEDS_GPU)
        return 2
    steps = [step for step in STEPS if not asked.step or step.name in asked.step]
    results = run(steps, out, rehearse=asked.rehearse, budget_s=asked.budget_s)
    sound = [one for one in results if not one.trouble]
    print(f"{len(sound)} of {len(steps)} steps are sound; results in {out}" + " (rehearsed)" * asked.rehearse)
    if not asked.rehearse and (out / "log").is_dir():
        print(f"To keep the measurements: copy {out / 'log'} to profiling/data/measured/<name of the GPU>, and commit.")
    return int(len(sound) < len(steps))


def has_gpu() -> bool:
    """The driver lists an NVIDIA GPU."""
    sys.path.insert(0, str(ROOT))
    from placement.hardware.meters import find_gpus

    return bool(find_gpus(None))


if __name__ == "__main__":
    raise SystemExit(main())
