"""RAPL from a made-up /sys, load from a made-up /proc."""

import os
from pathlib import Path

import pytest

from placement.hardware.meters import MeterLostError, cpu_meters, cpu_name, cpu_tdp_w
from placement.hardware.meters.cpu import EstimatedCpuMeter, logical_cpus

TICKS = os.sysconf("SC_CLK_TCK")


def domain(root, folder, name, **files):
    at = root / folder
    at.mkdir(parents=True)
    (at / "name").write_text(f"{name}\n")
    for file, value in {"energy_uj": 5_000_000, "max_energy_range_uj": 262_143_328_850, **files}.items():
        (at / file).write_text(f"{value}\n")
    return at


def stat(root, user=100, idle=300):
    root.mkdir(exist_ok=True)
    (root / "stat").write_text(f"cpu  {user} 0 0 {idle} 0 0 0 7 0 0\ncpu0 1 1 1 1 1 1 1 0 0 0\n")
    return root


@pytest.fixture
def powercap(tmp_path):
    """Two packages, and all that is none: subdomains, psys, an mmio double."""
    root = tmp_path / "powercap"
    for i in range(2):
        domain(root, f"intel-rapl:{i}", f"package-{i}", constraint_0_max_power_uw=125_000_000)
        domain(root, f"intel-rapl:{i}:0", "core")
        domain(root, f"intel-rapl:{i}:1", "dram")
    domain(root, "intel-rapl:2", "psys")
    domain(root, "intel-rapl-mmio:0", "package-0")
    return root


def energy_meters(meters):
    return [meter for meter in meters if meter.channel.quantity == "joules"]


def test_packages_alone_are_read(powercap, tmp_path):
    meters, unmeasured = cpu_meters(65.0, powercap, stat(tmp_path / "proc"))
    assert unmeasured == {}
    assert [meter.channel.name for meter in meters] == ["cpu:package-0", "cpu:package-1", "busy:cpu"]
    first = meters[0]
    assert first.read() == pytest.approx(5.0)
    assert first.channel.wraps_at == pytest.approx(262143.32885)
    assert first.channel.provenance == "measured"
    assert meters[-1].read() == pytest.approx(100 / TICKS)


def test_the_tdp_is_that_of_all_packages(powercap, tmp_path):
    assert cpu_tdp_w(powercap) == pytest.approx(250.0)
    (powercap / "intel-rapl:1" / "constraint_0_max_power_uw").write_text("0")
    assert cpu_tdp_w(powercap) is None
    assert cpu_tdp_w(tmp_path / "none") is None


def deny(monkeypatch, name):
    read = Path.read_text

    def denied(path, *arguments, **options):
        if path.name == name:
            raise PermissionError(13, "Permission denied", str(path))
        return read(path, *arguments, **options)

    monkeypatch.setattr(Path, "read_text", denied)


def test_a_permission_error_is_not_measured_with_a_hint(powercap, tmp_path, monkeypatch):
    deny(monkeypatch, "energy_uj")
    meters, unmeasured = cpu_meters(None, powercap, stat(tmp_path / "proc"))
    assert energy_meters(meters) == []
    assert "sudo chmod a+r" in unmeasured["cpu"]
    assert "the TDP is not known" in unmeasured["cpu"]


def test_with_a_tdp_the_energy_is_estimated_and_says_so(powercap, tmp_path, monkeypatch):
    deny(monkeypatch, "energy_uj")
    meters, unmeasured = cpu_meters(65.0, powercap, stat(tmp_path / "proc"))
    (meter,) = energy_meters(meters)
    assert unmeasured == {}
    assert (meter.channel.provenance, meter.channel.error) == ("estimated", 0.5)


@pytest.mark.parametrize(("user", "idle", "watts"), [(0, 800, 20.0), (800, 0, 100.0), (400, 400, 60.0)])
def test_the_estimate_lies_between_rest_and_tdp(tmp_path, user, idle, watts):
    proc = stat(tmp_path / "proc", user=0, idle=0)
    meter = EstimatedCpuMeter(100.0, 8, proc)
    before = meter.read()
    stat(proc, user=user * TICKS, idle=idle * TICKS)  # 800 CPU seconds of 8 CPUs: 100 s
    assert (meter.read() - before) / 100 == pytest.approx(watts)


def test_a_missing_or_broken_package_is_not_half_measured(powercap, tmp_path):
    proc = stat(tmp_path / "proc")
    (powercap / "intel-rapl:1" / "energy_uj").write_text("nonsense")
    meters, unmeasured = cpu_meters(None, powercap, proc)
    assert energy_meters(meters) == []
    assert "RAPL cannot be read" in unmeasured["cpu"]
    meters, unmeasured = cpu_meters(None, tmp_path / "none", proc)
    assert "no RAPL package" in unmeasured["cpu"]


def test_a_package_that_goes_is_lost(powercap, tmp_path):
    meters, _ = cpu_meters(None, powercap, stat(tmp_path / "proc"))
    (powercap / "intel-rapl:0" / "energy_uj").unlink()
    with pytest.raises(MeterLostError, match="intel-rapl:0"):
        meters[0].read()


def test_a_system_without_proc_has_no_meters_and_raises_nothing(tmp_path):
    meters, unmeasured = cpu_meters(65.0, tmp_path / "none", tmp_path / "none")
    assert meters == []
    assert "no estimate" in unmeasured["cpu"]
    assert cpu_name(tmp_path / "none") is None


def test_the_processors_name(tmp_path):
    (tmp_path / "cpuinfo").write_text("processor\t: 0\nmodel name\t: A Processor 9000\n\nprocessor\t: 1\n")
    assert cpu_name(tmp_path) == "A Processor 9000"
    assert logical_cpus() >= 1
