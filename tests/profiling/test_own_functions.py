"""Sweeps of a user's own placed functions: placement.profile, and `placement sweep --function`."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

import placement
from placement.errors import MissingExtraError, OptionError, PlacementError
from placement.log import read_log
from placement.submission.measurable_function import measurable_function
from profiling.cli.app import main

PROGRAMS = Path(__file__).parent / "programs"
EMULATED_CELLS = 2 * 2  # of one config: two devices, with one CPU and with four


@pytest.fixture
def own(monkeypatch: pytest.MonkeyPatch):
    """The module with the user's functions."""
    monkeypatch.syspath_prepend(str(PROGRAMS))
    import own_functions

    return own_functions


@pytest.fixture(scope="module")
def by_value():
    """The user's functions as of a script, whose workers get their code with them."""

    @placement.placed_remote(spec=lambda n, _: placement.TaskSpec(flops=1e9 * n, input_bytes=8.0, batch_size=n))
    def add(n, ref):
        if n == 13:
            raise ValueError("an unlucky input")
        assert ref == 41
        assert placement.current_device() == "cpu"  # on an emulated node
        return n + ref

    return add


def test_a_function_is_measured_on_every_config_and_goes_on_where_it_stopped(emulated, by_value, tmp_path, capfd):
    import ray

    log, ref = tmp_path / "log", ray.put(41)
    done = placement.profile(by_value, [(2, ref)], log=log, configs=["A", "B"], star=True)
    assert "What it returns is thrown away" in capfd.readouterr().err
    assert (done["done"], done["failed"], done["rows"]) == (1, 0, 1 + 2 * EMULATED_CELLS)
    again = placement.profile(by_value, [(2, ref), (13, ref)], log=log, configs=["A", "B"], star=True)
    assert (again["found"], again["done"], again["failed"]) == (1 + 2 * EMULATED_CELLS, 0, 1)
    rows = read_log(log).to_pylist()
    (failed,) = (row for row in rows if row["error"])
    assert "an unlucky input" in failed["error"]
    assert failed["compute_s"] is None
    good = [row for row in rows if not row["error"]]
    assert {row["config"] for row in good} == {"local", "A", "B"}
    for row in rows:
        assert row["source"] == "sweep"
        assert row["function"].endswith("add")
        assert row["workload"] == "add"
        assert row["function_key"] == measurable_function(by_value).key
    assert {row["flops"] for row in good} == {2e9}
    assert {row["time_provenance"] for row in good if row["config"] == "local"} == {"measured"}


def test_a_run_over_its_budget_is_censored_and_a_spent_budget_leaves_the_rest(emulated, tmp_path):
    @placement.placed_remote(devices="any")
    def slow(seconds):
        import time

        time.sleep(seconds)

    done = placement.profile(slow, [30.0], log=tmp_path / "log", cell_budget_s=0.2)
    assert done["done"] == 1
    (row,) = (row for row in read_log(tmp_path / "log").to_pylist() if row["config"] == "local")
    assert (row["censored"], row["compute_s"]) == (True, pytest.approx(0.2))
    left = placement.profile(slow, [0.0, 0.1], log=tmp_path / "log", budget_s=1e-9)
    assert (left["done"], left["left"]) == (0, 2)


def test_what_must_not_or_cannot_be_measured_is_refused(emulated, own, tmp_path):
    def told(function, inputs=(1,), **options):
        with pytest.raises(OptionError) as caught:
            placement.profile(function, inputs, log=tmp_path / "log", **options)
        return str(caught.value)

    assert "side_effects=True" in told(own.charge)
    assert "no placed function" in told(own.sizes)
    assert "device='cpu' pins it" in told(own.work.options(device="cpu"))
    assert "ordinary Ray task" in told(placement.placed_remote(lambda: 1))
    assert "several GPUs" in told(own.work.options(gpu_options={"num_gpus": 2}))
    assert "inputs is empty" in told(own.work, [])
    assert "cpus=(0,)" in told(own.work, cpus=(0,))
    assert "it has A, B, C, D, local" in told(own.work, configs=["E"])
    with pytest.raises(TypeError):
        placement.profile(own.work, [(1, 2)], log=tmp_path / "log", star=True)
    assert not (tmp_path / "log").exists()


def test_the_command_finds_function_and_inputs_by_their_names(emulated, own, tmp_path, monkeypatch):
    monkeypatch.setattr(own, "sizes", list)
    named = ["--function", "own_functions:work", "--inputs", "own_functions:sizes", "-o", str(tmp_path / "log")]
    found = CliRunner().invoke(main, ["sweep", *named])
    assert "inputs is empty" in found.stderr
    for arguments, says in (
        (["--function", "own_functions:work"], "takes --inputs"),
        (["--function", "own_functions", "--inputs", "own_functions:sizes"], "must be module:name"),
        (["--function", "own_functions:gone", "--inputs", "own_functions:sizes"], "no attribute 'gone'"),
        (["--function", "no_such:work", "--inputs", "own_functions:sizes"], "No module named 'no_such'"),
        ([*named, "--preset", "xgboost_iris"], "leave --preset out"),
        (["--cpus", "1,none"], "positive numbers"),
    ):
        found = CliRunner().invoke(main, ["sweep", *arguments])
        assert (found.exit_code, says in found.stderr) == (2, True), found.output


def test_without_the_extra_the_error_names_it(monkeypatch):
    def missing(name):
        assert name.startswith("profiling.")
        raise ModuleNotFoundError("No module named 'threadpoolctl'", name="threadpoolctl")

    monkeypatch.setattr("placement.commands.import_module", missing)
    with pytest.raises(
        MissingExtraError, match=r"threadpoolctl is not installed.*ray_placement-.*\[profiling\]"
    ) as caught:
        placement.profile(None, [], log="log")
    assert isinstance(caught.value, PlacementError)
    assert isinstance(caught.value, ImportError)


def test_a_call_sees_its_device_and_a_generator_is_run_to_its_end(monkeypatch):
    from placement.spec.task import TaskSpec
    from placement.worker import device
    from profiling.sweep.function_preset import Call, FunctionPreset

    monkeypatch.setattr(device, "users_variables", frozenset)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3")
    seen = []

    def function(number):
        for _ in range(number):
            seen.append((placement.current_device(), device.visible(), device.holds_gpu()))
            yield seen

    preset = FunctionPreset("p", "module.function", "key", TaskSpec(), ())
    assert preset.run(Call(function, (2,)), "cpu") == (0.0,)
    assert preset.run(Call(function, (1,)), "cuda:0") == (None,)
    assert seen == [("cpu", "", False)] * 2 + [("cuda:0", "3", True)]
    assert (preset.workload, device.visible()) == ("function", "3")
