"""The runner of the GPU's steps, on programs of a line; the rehearsal of the steps themselves is run by make soak."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import run

ANSWER = f'print({run.MARK!r} + \'{{"figures": {{"n": 3}}, "checks": ["a", "b"], "failed": %s}}\')'
PROGRAMS = {
    "sound": "print('noise'); " + ANSWER % "[]",
    "unsound": ANSWER % '[\\"b\\"]',
    "broken": "raise SystemExit(7)",
    "hanging": "import time; time.sleep(600)",
    "hanging_after_its_answer": ANSWER % "[]" + "; import sys, time; sys.stdout.flush(); time.sleep(600)",
}


@pytest.fixture
def programs(tmp_path: Path) -> Path:
    folder = tmp_path / "steps"
    folder.mkdir()
    for name, text in PROGRAMS.items():
        (folder / f"{name}.py").write_text(text)
    return folder


def result(name: str, programs: Path, limit_s: float = 60.0) -> run.Result:
    step = run.Step(name, limit_s)
    return run.run_step(step, programs.parent, run.environment_of(None), rehearsed=False, programs=programs)


def test_each_way_a_step_can_end(programs: Path) -> None:
    assert result("sound", programs).trouble == ""
    assert result("sound", programs).figures == {"n": 3}
    assert result("unsound", programs).trouble == "not so: b"
    assert result("broken", programs).trouble.startswith("ended with 7 and no result")
    assert result("hanging", programs, 1.0).trouble.startswith("not done within 1 s")
    assert result("hanging_after_its_answer", programs, 2.0).trouble == ""


def test_results_are_saved_at_once_and_only_sound_ones_are_kept(programs: Path) -> None:
    out = programs.parent
    for name in ("unsound", "sound"):
        result(name, programs)
        assert json.loads((out / f"{name}.json").read_text())["rehearsed"] is False
    steps = [run.Step(name, 1.0) for name in ("unsound", "sound", "broken")]
    assert [step.name for step in run.left_to_do(steps, out)] == ["broken", "unsound"]
    (out / "sound.json").write_text("{")
    assert [step.name for step in run.left_to_do(steps, out)] == ["sound", "broken", "unsound"]


def test_no_step_begins_that_could_end_after_the_budget(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run.run(run.STEPS, tmp_path, rehearse=True, budget_s=1.0) == []
    assert "left for the next call" in capsys.readouterr().out


def test_a_rehearsal_writes_nothing_beside_measured_logs(capsys: pytest.CaptureFixture[str]) -> None:
    folder = run.ROOT / "profiling" / "data" / "measured" / "made-up"
    assert run.main(["--rehearse", "--out", str(folder)]) == 2
    assert "a rehearsal measures nothing" in capsys.readouterr().out
    assert not folder.exists()


def test_every_step_has_its_program_and_all_of_them_fit_fifteen_minutes() -> None:
    programs = {path.stem for path in (run.HERE / "steps").glob("*.py")} - {"gpu_step"}
    assert programs == {step.name for step in run.STEPS}
    first = [step for step in run.STEPS if step.name not in ("two_drivers", "shares", "pictures")]
    assert sum(step.limit_s for step in first) <= 900


@pytest.mark.soak
@pytest.mark.slow
@pytest.mark.timeout(2000)  # a step's own limit ends it
@pytest.mark.parametrize("step", run.STEPS, ids=lambda step: step.name)
def test_rehearsed_to_the_last_line(step: run.Step, tmp_path_factory: pytest.TempPathFactory) -> None:
    out = tmp_path_factory.getbasetemp() / "gpu-rehearsal"  # `errors` reads what `presets` measured
    assert run.main(["--rehearse", "--out", str(out), "--step", step.name]) == 0, (out / f"{step.name}.txt").read_text()
