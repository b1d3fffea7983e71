"""A simulated day under a price of a joule that changes."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import typer
from typer.testing import CliRunner

from placement.errors import OptionError
from placement.scheduling.energy_price import parse_schedule
from placement.spec.task import TaskSpec
from profiling.cli.simulate import simulate_command
from profiling.simulation.arrivals import ArrivalTrace, TaskType
from profiling.simulation.cluster import cluster_of
from profiling.simulation.tariff import boundaries, simulate_tariff

HOUR = 3600.0
HALF_HOURS = parse_schedule("time,seconds_per_joule\n00:00,0\n00:30,1\n01:00,0\n")


def stream() -> ArrivalTrace:
    """A task that ends sooner on a GPU, which takes some twenty times the joules."""
    spec = TaskSpec(flops=3e8, input_bytes=1e5, batch_size=1, parameters=10**6, steps=1000)
    arrival = np.arange(0.0, 5400.0, 10.0)
    kinds = (TaskType("thrifty", spec.steps, spec, True),)
    return ArrivalTrace("stream", kinds, arrival, np.zeros(len(arrival), np.int32), {"cpu": 1.0, "gpu": 1.0})


def test_joules_leave_the_dear_half_hour_and_all_of_them_are_counted() -> None:
    day = simulate_tariff(stream(), cluster_of(1, "D=1"), HALF_HOURS, ["min_time", "balanced", "min_energy"])
    assert day.hours == pytest.approx(1.5, rel=0.01)
    assert day.mean_price == pytest.approx(1 / 3, rel=0.01)
    flat, scheduled = day.runs["balanced"]
    assert scheduled.joules[0] > 1.5 * flat.joules[0]  # joules cost nothing: a free GPU is taken
    assert scheduled.joules[1] == pytest.approx(flat.joules[1], rel=0.05)  # dear in both: the CPUs
    for name in ("min_time", "min_energy"):  # no price has a say
        assert day.runs[name][0] == day.runs[name][1]
    hungry, thrifty = day.runs["min_time"][0], day.runs["min_energy"][0]
    assert sum(hungry.joules) > 1.5 * sum(thrifty.joules)
    assert hungry.bill == pytest.approx(hungry.joules[1])


def test_prices_change_every_day_or_once() -> None:
    assert boundaries(HALF_HOURS, 0.0, 25 * HOUR) == [0.0, 0.5 * HOUR, HOUR, 24 * HOUR, 24.5 * HOUR, 25 * HOUR]
    dated = parse_schedule("time,seconds_per_joule\n1970-01-02T00:00,1\n1970-01-02T01:00,2\n")
    assert boundaries(dated, 24 * HOUR, 48 * HOUR) == [24 * HOUR, 25 * HOUR, 48 * HOUR]


def test_the_command_prints_and_writes_a_day(tmp_path: Path) -> None:
    app = typer.Typer()
    app.command()(simulate_command)
    tariff, out = tmp_path / "tariff.csv", tmp_path / "out.json"
    tariff.write_text("time,seconds_per_joule,cap_watts\n00:00,0.001,900\n00:10,0.02,\n")
    arguments = ["--trace", "paper", "--tasks", "60", "--price-schedule", str(tariff), "--json", str(out)]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0, result.output
    assert "at 0.001, cap 900 W" in result.output
    assert "mean wait, s" in result.output
    report = json.loads(out.read_text())
    assert len(report["runs"]["balanced"][1]["joules"]) == 2
    assert report["schedule"]["caps"] == [900.0, None]
    for wrong in (["--policies", "selector"], ["--noise", "0.4"], ["--selector", "shipped"], ["--gpu-shares"]):
        assert isinstance(CliRunner().invoke(app, [*arguments, *wrong]).exception, OptionError)


def test_a_day_needs_arrivals_that_last() -> None:
    at_once = replace(stream(), arrival_s=np.zeros(540))
    with pytest.raises(OptionError, match="--load"):
        simulate_tariff(at_once, cluster_of(1, "D=1"), HALF_HOURS, ["balanced"])
