"""The sampler and its replay: a recorded trace stands for the hardware."""

import json
import time
from dataclasses import dataclass

import pytest

from placement.errors import LogError, OptionError
from placement.hardware.meters import (
    Channel,
    MeterLostError,
    ReplayMeter,
    Sampler,
    TaskWindow,
    read_recording,
    record,
    replay,
    share,
    window,
    write_recording,
)
from placement.hardware.meters.replay import Recording

GPU = Channel("gpu:G", "joules", resolution_s=0.1, error=0.05)
PACKAGE = Channel("cpu:package-0", "joules", wraps_at=200.0, resolution_s=0.01)
BUSY = Channel("busy:cpu", "busy_s")


@dataclass
class ClockMeter:
    """So many watts, by the real clock."""

    watts: float
    channel: Channel = PACKAGE

    def read(self):
        return time.time() * self.watts


@pytest.fixture
def recording():
    """20 s at 20 Hz: at rest for 5 s (20 W, 30 W), then at work (100 W, 250 W); the package's counter wraps."""
    times = [100.0 + i * 0.05 for i in range(401)]
    package, gpu, busy = 190.0, 1e6, 50.0
    rows = []
    for now in times:
        rows.append((package % 200.0, gpu, busy))
        work = now >= 105.0 - 1e-9
        package += 0.05 * (100.0 if work else 20.0)
        gpu += 0.05 * (250.0 if work else 30.0)
        busy += 0.05 * (4.0 if work else 0.1)
    columns = list(zip(*rows, strict=True))
    meters = [
        ReplayMeter(channel, times, column) for channel, column in zip((PACKAGE, GPU, BUSY), columns, strict=True)
    ]
    return Recording(tuple(meters), "made up", cpus=8)


def test_a_replayed_trace_answers_for_windows(recording):
    trace = replay(recording).trace()
    rest, work = window(trace, 101.0, 104.0, ["G"]), window(trace, 110.0, 115.0, ["G"])
    assert (rest.cpu_joules, rest.gpu_joules) == pytest.approx((60.0, 90.0))
    assert (work.cpu_watts, work.gpu_watts) == pytest.approx((100.0, 250.0))
    assert work.cpu_utilisation == pytest.approx(0.5)


def test_replayed_tasks_share_the_socket(recording):
    trace = replay(recording).trace()
    tasks = [TaskWindow(106.0, 116.0, 30.0, ("G",)), TaskWindow(106.0, 116.0, 10.0), TaskWindow(110.0, 112.0, 0.5)]
    energies = share(trace, tasks)
    assert sum(energy.cpu_joules for energy in energies) == pytest.approx(1000.0)
    assert [energy.gpu_joules for energy in energies] == [pytest.approx(2500.0), None, None]


def test_a_recording_survives_its_file(recording, tmp_path):
    path = tmp_path / "trace.json"
    write_recording(recording, path)
    again = read_recording(path)
    assert again.about == "made up"
    assert [meter.channel for meter in again.meters] == [PACKAGE, GPU, BUSY]
    assert window(replay(again).trace(), 101.0, 104.0) == window(replay(recording).trace(), 101.0, 104.0)


@pytest.mark.parametrize(
    "content",
    [
        "no json",
        "[]",
        "{}",
        '{"version": 1, "channels": [{"name": "x"}]}',
        '{"version": 1, "channels": [{"name": "x", "quantity": "joules", "times": [2, 1], "values": [1, 2]}]}',
        '{"version": 1, "channels": [{"name": "x", "quantity": "joules", "times": [1], "values": []}]}',
    ],
)
def test_what_is_no_recording_is_refused(tmp_path, content):
    (tmp_path / "trace.json").write_text(content)
    with pytest.raises(LogError, match="no recording of meters"):
        read_recording(tmp_path / "trace.json")
    (tmp_path / "trace.json").write_text(json.dumps({"version": 2}))
    with pytest.raises(LogError, match="recording version 2"):
        read_recording(tmp_path / "trace.json")


def test_a_device_that_did_not_answer_is_recorded_so(tmp_path):
    values = [0.0, 1.0, None, None, 4.0, 5.0]
    meter = ReplayMeter(GPU, [float(i) for i in range(6)], values)
    trace = replay(Recording((meter,))).trace()
    assert window(trace, 0.0, 1.0, ["G"]).gpu_joules == pytest.approx(1.0)
    assert window(trace, 1.0, 5.0, ["G"]).gpu_joules is None
    meter.at = 2.5
    with pytest.raises(MeterLostError):
        meter.read()


def wait_until(holds, timeout_s=300.0):
    deadline = time.monotonic() + timeout_s
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_the_thread_samples_at_twenty_hertz_and_the_window_just_ended_is_told():
    with Sampler([ClockMeter(50.0, Channel("cpu:package-0", "joules", resolution_s=0.01))], cpus=1) as sampler:
        begin = time.time()

        def told() -> bool:
            """A busy machine may hold the thread between a reading and its time: the longer, the less that matters."""
            end = time.time()
            watts = window(sampler.trace(until=end), begin, end).cpu_watts
            return len(sampler.trace().packages[0].times) > 5 and watts == pytest.approx(50.0, rel=0.05)

        wait_until(told)


def test_a_failing_meter_does_not_end_the_trace_of_the_others(caplog):
    class Broken:
        channel = GPU

        def read(self):
            raise ZeroDivisionError

    good = ClockMeter(50.0, Channel("cpu:package-0", "joules"))
    with Sampler([good], cpus=1) as sampler:
        sampler._meters.append((Broken(), sampler._meters[0][1]))
        wait_until(lambda: "failed in an unknown way" in caplog.text)
        reached = sampler.trace().packages[0].times[-1]
        wait_until(lambda: sampler.trace().packages[0].times[-1] > reached)


def test_slower_than_twenty_hertz_is_refused():
    for interval in (0.0, 0.1, -1.0):
        with pytest.raises(OptionError, match="20 Hz"):
            Sampler([], interval_s=interval)


def test_recording_takes_what_the_meters_tell():
    taken = record([ClockMeter(10.0, Channel("cpu:package-0", "joules"))], 0.3, about="a clock", cpus=2)
    (meter,) = taken.meters
    assert len(meter.times) == len(meter.values) > 1
    trace = replay(taken).trace()
    assert window(trace, meter.times[0], meter.times[-1]).cpu_watts == pytest.approx(10.0, rel=1e-2)


def test_a_sampler_without_meters_measures_nothing_and_says_why():
    energy = window(Sampler([], {"cpu": "no RAPL"}).trace(until=1.0), 0.0, 1.0)
    assert energy.reasons == ("cpu: no RAPL",)
    assert not energy.valid
