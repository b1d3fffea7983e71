"""NVML is faked at its one boundary, the `pynvml` module."""

import asyncio
import sys
from types import SimpleNamespace

import pytest

from placement.hardware import foreign_gpu_memory
from placement.hardware.foreign_gpu_memory import descends_from, most_free_gb
from placement.hardware.meters import (
    Gpu,
    MeterLostError,
    Sampler,
    find_gpus,
    free_gb,
    gpu_meters,
    node_meters,
    visible_gpus,
    window,
)
from placement.hardware.meters.gpu import MIG_REASON


class FakeNvmlError(Exception):
    pass


class FakeNvml:
    """The functions of NVML that are used. A GPU is a dict: what it lacks is not supported, "lost" answers nothing."""

    NVMLError = FakeNvmlError

    def __init__(self, *gpus, driver=True):
        self.gpus = list(gpus)
        self.driver = driver

    def nvmlInit(self):
        if not self.driver:
            raise FakeNvmlError("NVML Shared Library Not Found")

    def nvmlDeviceGetCount(self):
        return len(self.gpus)

    def nvmlDeviceGetHandleByIndex(self, index):
        return self._alive(self.gpus[index])

    def nvmlDeviceGetHandleByUUID(self, uuid):
        return self._alive(next(gpu for gpu in self.gpus if gpu["uuid"] == uuid))

    def _alive(self, gpu):
        if gpu.get("lost"):
            raise FakeNvmlError("GPU is lost")
        return gpu

    def _tell(self, gpu, key):
        if key not in gpu:
            raise FakeNvmlError("Not Supported")
        return gpu[key]

    def nvmlDeviceGetUUID(self, gpu):
        return gpu["uuid"]

    def nvmlDeviceGetName(self, gpu):
        return self._tell(gpu, "name")

    def nvmlDeviceGetMemoryInfo(self, gpu):
        return SimpleNamespace(total=self._tell(gpu, "memory"))

    def nvmlDeviceGetPowerManagementDefaultLimit(self, gpu):
        return self._tell(gpu, "limit_mw")

    def nvmlDeviceGetPowerManagementLimit(self, gpu):
        return self._tell(gpu, "set_limit_mw")

    def nvmlDeviceGetMigMode(self, gpu):
        return self._tell(gpu, "mig")

    def nvmlDeviceGetTotalEnergyConsumption(self, gpu):
        return self._tell(gpu, "energy_mj")

    def nvmlDeviceGetPowerUsage(self, gpu):
        return self._tell(gpu, "power_mw")

    def nvmlDeviceGetComputeRunningProcesses(self, gpu):
        return [SimpleNamespace(pid=pid, usedGpuMemory=used) for pid, used in self._tell(gpu, "processes")]

    def nvmlDeviceGetUtilizationRates(self, gpu):
        return SimpleNamespace(gpu=self._tell(gpu, "load_percent"))


@pytest.fixture
def nvml(monkeypatch):
    def install(*gpus, **options):
        fake = FakeNvml(*gpus, **options)
        monkeypatch.setitem(sys.modules, "pynvml", fake)
        monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
        return fake

    return install


def volta(letter="a", **more):
    return {"uuid": f"GPU-{letter}", "energy_mj": 7000, "power_mw": 90_000, "load_percent": 25, **more}


def test_a_gpu_is_told_with_what_it_knows(nvml):
    nvml(
        volta(name=b"V100", memory=16 * 10**9, limit_mw=250_000, mig=(0, 1)), {"uuid": b"GPU-b", "set_limit_mw": 75_000}
    )
    assert find_gpus() == (Gpu("GPU-a", 0, "V100", 16.0, 250.0), Gpu("GPU-b", 1, None, None, 75.0))


def test_without_a_driver_or_the_module_there_are_no_gpus_and_no_error(nvml, monkeypatch):
    nvml(volta(), driver=False)
    assert find_gpus() == ()
    assert gpu_meters() == ([], {})
    monkeypatch.setitem(sys.modules, "pynvml", None)
    assert find_gpus() == ()


def test_the_energy_counter_is_read_where_there_is_one(nvml):
    nvml(volta())
    meters, unmeasured = gpu_meters()
    assert unmeasured == {}
    energy, load = meters
    assert (energy.channel.name, energy.channel.rate, energy.read()) == ("gpu:GPU-a", False, 7.0)
    assert (load.channel.name, load.read()) == ("busy:gpu:GPU-a", 0.25)


def test_else_power_is_integrated(nvml):
    gpu = volta()
    del gpu["energy_mj"]
    nvml(gpu)
    (energy, _), _ = gpu_meters()
    assert (energy.channel.rate, energy.read()) == (True, 90.0)


def test_a_gpu_that_tells_neither_is_not_measured(nvml):
    nvml({"uuid": "GPU-a", "name": "vGPU"})
    assert gpu_meters() == ([], {"GPU-a": "vGPU tells neither its energy nor its power"})


def test_mig_is_not_measured_and_says_so(nvml):
    nvml(volta(mig=(1, 1)), volta("b"))
    meters, unmeasured = gpu_meters()
    assert unmeasured == {"GPU-a": MIG_REASON}
    assert meters[0].channel.name == "gpu:GPU-b"
    sampler = Sampler(*gpu_meters(), cpus=1)
    energy = window(sampler.trace(), 0.0, 1.0, ["GPU-a"])
    assert energy.gpu_joules is None
    assert f"gpu GPU-a: {MIG_REASON}" in energy.reasons


def test_a_gpu_lost_before_the_start_is_left_out(nvml):
    nvml(volta(lost=True), volta("b"))
    assert [(gpu.uuid, gpu.index) for gpu in find_gpus()] == [("GPU-b", 1)]


def test_a_gpu_that_disappears_is_lost_and_may_come_back(nvml):
    a, b = volta(), volta("b")
    nvml(a, b)
    moment = [0.0]
    sampler = Sampler(*gpu_meters(), cpus=1, clock=lambda: moment[0])
    for tick in range(80):
        moment[0] = tick * 0.1
        a["energy_mj"] = 10_000 * tick
        b["energy_mj"] = 20_000 * tick
        a["lost"] = 20 <= tick < 40
        sampler.sample()
        if tick == 30:
            energy = window(sampler.trace(), 2.0, 3.0, ["GPU-a"])
            assert energy.reasons[-1].startswith("gpu:GPU-a: ")
            assert "GPU is lost" in sampler.trace().unmeasured["GPU-a"]
    trace = sampler.trace()
    assert window(trace, 1.0, 7.0, ["GPU-b"]).gpu_joules == pytest.approx(1200.0)
    assert window(trace, 0.5, 1.5, ["GPU-a"]).gpu_joules == pytest.approx(100.0)
    assert window(trace, 1.0, 7.0, ["GPU-a"]).gpu_joules is None
    assert window(trace, 5.5, 6.5, ["GPU-a"]).gpu_joules == pytest.approx(100.0)
    assert "GPU-a" not in trace.unmeasured


def test_a_driver_that_goes_is_lost(nvml):
    fake = nvml(volta())
    (energy, _), _ = gpu_meters()
    fake.driver = False
    with pytest.raises(MeterLostError, match="driver is gone"):
        energy.read()


FOUND = (Gpu("GPU-8932f937", 0), Gpu("GPU-89aa", 1), Gpu("GPU-c0ffee", 2))


@pytest.mark.parametrize(
    ("value", "uuids"),
    [
        (None, ("GPU-8932f937", "GPU-89aa", "GPU-c0ffee")),
        ("", ()),
        ("0", ("GPU-8932f937",)),
        ("2, 0", ("GPU-c0ffee", "GPU-8932f937")),
        ("GPU-c0ffee", ("GPU-c0ffee",)),
        ("GPU-893,1", ("GPU-8932f937", "GPU-89aa")),
        ("1,1", ("GPU-89aa",)),
    ],
)
def test_visible_devices_are_indexes_and_uuids(value, uuids):
    assert visible_gpus(value, FOUND) == (uuids, ())


@pytest.mark.parametrize(
    ("value", "uuids", "reason"),
    [
        ("7", (), "'7' names no one GPU"),
        ("0,-1,2", ("GPU-8932f937",), "'-1' names no one GPU"),
        ("GPU-89", (), "'GPU-89' names no one GPU"),
        ("nonsense", (), "'nonsense' names no one GPU"),
        ("MIG-GPU-8932f937/1/0", (), MIG_REASON),
        ("MIG-41b3", (), MIG_REASON),
    ],
)
def test_what_names_no_gpu_is_a_reason(value, uuids, reason):
    found, (told,) = visible_gpus(value, FOUND)
    assert found == uuids
    assert reason in told


def test_a_nodes_meters_are_those_of_its_cpu_and_its_gpus(nvml):
    nvml(volta(), volta("b", mig=(1, 1)))
    meters, unmeasured = node_meters(65.0)
    names = [meter.channel.name for meter in meters]
    assert "gpu:GPU-a" in names
    assert "busy:cpu" in names
    assert unmeasured["GPU-b"] == MIG_REASON


def test_memory_that_other_programs_hold_is_not_free(nvml):
    nvml(
        volta("a", memory=80e9, processes=[(7, 30_000_000_000), (8, 5_000_000_000)]),
        volta("b", memory=80e9, processes=[(9, 60_000_000_000)]),
    )
    gpus = find_gpus()
    assert [free_gb(gpu, lambda pid: pid == 8) for gpu in gpus] == [50.0, 20.0]  # 8 is Ray's own
    assert most_free_gb(gpus, lambda pid: pid == 8) == 50.0


def test_memory_of_a_process_that_cannot_be_looked_up_is_not_another_programs(nvml):
    nvml(volta("a", memory=80e9, processes=[(7, 30_000_000_000), (8, 5_000_000_000)]))
    assert free_gb(find_gpus()[0], lambda pid: None if pid == 7 else False) == 75.0


@pytest.mark.parametrize(
    ("visible", "indexes"),
    [("1", [1]), ("1,0", [1, 0]), ("GPU-b", [1]), ("", []), ("NoDevFiles", []), ("-1", []), ("0,7,1", [0])],
)
def test_a_process_finds_the_gpus_that_it_may_see(nvml, monkeypatch, visible, indexes):
    nvml(volta("a"), volta("b"))
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    assert [gpu.index for gpu in find_gpus()] == indexes
    assert [gpu.index for gpu in find_gpus(None)] == [0, 1]
    assert [gpu.index for gpu in find_gpus("0")] == [0]


class OldNvml(FakeNvml):
    """A binding of another package: UUIDs in bytes, and some functions are not there."""

    def nvmlDeviceGetHandleByUUID(self, uuid):
        if not isinstance(uuid, bytes):
            raise TypeError("bytes or integer address expected instead of str instance")
        return super().nvmlDeviceGetHandleByUUID(uuid.decode())

    def __getattribute__(self, name):
        if name in ("nvmlDeviceGetTotalEnergyConsumption", "nvmlDeviceGetMigMode", "nvmlDeviceGetUtilizationRates"):
            raise AttributeError(f"module 'pynvml' has no attribute {name!r}")
        return super().__getattribute__(name)


def test_an_nvml_binding_without_a_function_leaves_the_others(monkeypatch):
    fake = OldNvml(volta(memory=16e9, processes=[(7, 6_000_000_000)]))
    monkeypatch.setitem(sys.modules, "pynvml", fake)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    (gpu,) = find_gpus()
    assert (gpu.memory_gb, gpu.mig) == (16.0, False)
    assert free_gb(gpu, lambda pid: False) == 10.0
    meters, unmeasured = gpu_meters()
    assert [meter.function for meter in meters] == ["nvmlDeviceGetPowerUsage"]
    assert unmeasured == {}


def test_a_module_of_the_same_name_that_is_no_binding_is_no_driver(monkeypatch):
    monkeypatch.setitem(sys.modules, "pynvml", SimpleNamespace())
    assert find_gpus() == ()


@pytest.mark.parametrize("more", [{}, {"processes": [(7, None)]}, {"processes": [(7, 2**64 - 1)]}])
def test_memory_that_nvml_does_not_tell_is_unknown(nvml, more):
    nvml(volta("a", memory=80e9, processes=[]), volta("b", memory=80e9, **more))
    assert most_free_gb(find_gpus(), lambda pid: False) is None
    assert most_free_gb((), lambda pid: False) is None


def test_a_process_is_known_by_its_ancestors(tmp_path):
    for pid, parent in ((30, 20), (20, 10), (40, 1)):
        (tmp_path / str(pid)).mkdir()
        (tmp_path / str(pid) / "status").write_text(f"Name:\tx\nPPid:\t{parent}\n")
    assert [descends_from(pid, 10, tmp_path) for pid in (30, 20, 10, 40, 99)] == [True, True, True, False, None]


def test_only_changes_worth_telling_are_told(nvml, monkeypatch):
    card = volta("a", memory=100e9, processes=[])
    nvml(card)
    told = []
    other, on_the_host = 7, 8  # the second is no process here, as NVML tells it inside a container
    monkeypatch.setattr(foreign_gpu_memory, "descends_from", lambda pid, raylet: {other: False}.get(pid))
    frees = iter([[], [(on_the_host, 80_000_000_000)], *([(other, n * 1_000_000_000)] for n in (3, 40, 42)), []])

    async def next_look(_):
        try:
            card["processes"] = next(frees)
        except StopIteration:
            raise asyncio.CancelledError from None

    # Of that module alone: where a cluster runs, Ray's own threads sleep too.
    monkeypatch.setattr(foreign_gpu_memory, "asyncio", SimpleNamespace(sleep=next_look, to_thread=asyncio.to_thread))
    with pytest.raises(asyncio.CancelledError):
        asyncio.run(foreign_gpu_memory.report_changes(find_gpus(), told.append))
    assert told == [60.0, 100.0]
