"""Windows and shares of a trace: pure, without a device or a clock."""

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from placement.hardware.meters import Channel, PowerTrace, Series, TaskWindow, share, window, wrapped_difference
from placement.hardware.meters.channel import Accumulator

PACKAGE = Channel("cpu:package-0", "joules", resolution_s=0.01, error=0.02)
GPU = Channel("gpu:G", "joules", resolution_s=0.1, error=0.05)
BUSY = Channel("busy:cpu", "busy_s")


def rising(channel, watts, seconds=100.0, step=0.05, begin=0.0):
    count = round(seconds / step) + 1
    return Series.of(channel, [(begin + i * step, i * step * watts) for i in range(count)])


def a_trace(cpu_watts=50.0, gpu_watts=200.0, busy=4.0, **more):
    known = {
        "packages": (rising(PACKAGE, cpu_watts),),
        "gpus": {"G": rising(GPU, gpu_watts)},
        "cpu_busy": rising(BUSY, busy),
        "cpus": 8,
    }
    return PowerTrace(**{**known, **more})


def test_a_window_has_joules_watts_and_their_error():
    energy = window(a_trace(), 10.0, 12.0, ["G"])
    assert (energy.cpu_joules, energy.gpu_joules) == pytest.approx((100.0, 400.0))
    assert (energy.cpu_watts, energy.gpu_watts) == pytest.approx((50.0, 200.0))
    assert energy.cpu_utilisation == pytest.approx(0.5)
    assert energy.valid
    assert energy.provenance == "measured"
    assert energy.error == pytest.approx((100 * 0.02 + 400 * 0.05) / 500, abs=1e-3)


def test_without_a_gpu_asked_for_its_energy_is_none():
    energy = window(a_trace(), 10.0, 12.0)
    assert energy.gpu_joules is None
    assert energy.gpu_watts is None
    assert energy.valid


@pytest.mark.parametrize(
    ("start", "end", "reason"),
    [
        (10.0, 10.005, "cpu:package-0: window shorter than 0.01 s"),
        (10.0, 10.0, "window shorter"),
        (12.0, 10.0, "window shorter"),
        (-1.0, 10.0, "the trace does not cover"),
        (99.0, 101.0, "the trace does not cover"),
    ],
)
def test_what_cannot_be_told_is_none_with_a_reason(start, end, reason):
    energy = window(a_trace(), start, end)
    assert energy.cpu_joules is None
    assert energy.cpu_watts is None
    assert energy.error is None
    assert not energy.valid
    assert reason in energy.reasons[0]


def test_a_window_shorter_than_the_gpus_counter_is_invalid_for_the_gpu_alone():
    energy = window(a_trace(), 10.0, 10.09, ["G"])
    assert energy.cpu_joules == pytest.approx(4.5)
    assert energy.gpu_joules is None
    assert not energy.valid


def test_a_counter_that_stands_still_is_no_reading():
    still = Series.of(PACKAGE, [(0.0, 5.0), (10.0, 5.0)])
    energy = window(a_trace(packages=(still,)), 0.0, 10.0)
    assert energy.cpu_joules is None
    assert "did not move" in energy.reasons[0]


def test_a_window_between_two_sparse_readings_is_not_told():
    sparse = Series.of(PACKAGE, [(0.0, 0.0), (10.0, 500.0), (20.0, 1000.0)])
    assert window(a_trace(packages=(sparse,)), 12.0, 13.0).cpu_joules is None
    wide = window(a_trace(packages=(sparse,)), 5.0, 15.0)
    assert wide.cpu_joules == pytest.approx(500.0)
    assert wide.error == pytest.approx(0.02 + 1.0)  # half of both ends' ten seconds, over ten seconds


def test_a_window_over_a_break_is_not_told():
    broken = Series.of(PACKAGE, [(0.0, 0.0), (1.0, 50.0), (1.0, None), (3.0, 50.0), (4.0, 100.0), (5.0, 150.0)])
    trace = a_trace(packages=(broken,))
    assert window(trace, 0.0, 1.0).cpu_joules == pytest.approx(50.0)
    assert window(trace, 3.0, 5.0).cpu_joules == pytest.approx(100.0)
    for start, end in ((0.0, 4.0), (0.5, 2.0), (2.0, 4.0), (1.5, 2.5)):
        assert window(trace, start, end).cpu_joules is None


def test_half_the_packages_are_no_measurement():
    late = rising(PACKAGE, 50.0, begin=50.0, seconds=10.0)
    energy = window(a_trace(packages=(rising(PACKAGE, 50.0), late)), 10.0, 20.0)
    assert energy.cpu_joules is None
    both = window(a_trace(packages=(rising(PACKAGE, 50.0), late)), 51.0, 52.0)
    assert both.cpu_joules == pytest.approx(100.0)


def test_missing_meters_say_why():
    trace = PowerTrace(unmeasured={"cpu": "RAPL may not be read", "M": "a MIG slice"})
    energy = window(trace, 0.0, 1.0, ["M", "X"])
    assert energy.reasons == ("cpu: RAPL may not be read", "gpu M: a MIG slice", "gpu X: no such GPU on this node")
    assert (energy.cpu_joules, energy.gpu_joules, energy.provenance, energy.error) == (None, None, None, None)


def test_one_of_two_gpus_unknown_makes_the_sum_unknown():
    energy = window(a_trace(unmeasured={"H": "it is gone"}), 1.0, 3.0, ["G", "H"])
    assert energy.gpu_joules is None
    assert "gpu H: it is gone" in energy.reasons


def test_the_worst_provenance_is_told():
    guess = Channel("cpu:estimate", "joules", provenance="estimated", error=0.5)
    energy = window(a_trace(packages=(rising(guess, 50.0),)), 1.0, 3.0, ["G"])
    assert energy.provenance == "estimated"


# Shares.


def test_two_tasks_share_by_their_cpu_time():
    first, second = share(a_trace(), [TaskWindow(10.0, 20.0, 30.0), TaskWindow(10.0, 20.0, 10.0)])
    assert (first.cpu_joules, second.cpu_joules) == pytest.approx((375.0, 125.0))


def test_time_alone_is_not_shared():
    first, second = share(a_trace(), [TaskWindow(10.0, 20.0, 10.0), TaskWindow(15.0, 25.0, 10.0)])
    assert (first.cpu_joules, second.cpu_joules) == pytest.approx((375.0, 375.0))


def test_tasks_that_used_no_cpu_time_share_alike():
    energies = share(a_trace(), [TaskWindow(10.0, 12.0), TaskWindow(10.0, 12.0)])
    assert [energy.cpu_joules for energy in energies] == pytest.approx([50.0, 50.0])


def test_others_have_their_share_when_counted():
    (alone,) = share(a_trace(busy=4.0), [TaskWindow(10.0, 20.0, 10.0)])
    (beside,) = share(a_trace(busy=4.0), [TaskWindow(10.0, 20.0, 10.0)], count_others=True)
    assert (alone.cpu_joules, beside.cpu_joules) == pytest.approx((500.0, 125.0))


def test_tasks_on_one_gpu_share_it_alike_and_others_have_their_own():
    trace = a_trace(gpus={"G": rising(GPU, 200.0), "H": rising(GPU, 100.0)})
    energies = share(
        trace,
        [
            TaskWindow(10.0, 20.0, 1.0, ("G",)),
            TaskWindow(10.0, 20.0, 1.0, ("G",)),
            TaskWindow(10.0, 20.0, 1.0, ("H",)),
            TaskWindow(10.0, 20.0, 1.0),
        ],
    )
    assert [energy.gpu_joules for energy in energies] == [
        pytest.approx(1000.0),
        pytest.approx(1000.0),
        pytest.approx(1000.0),
        None,
    ]


seconds = st.floats(1.0, 95.0)
tasks = st.lists(
    st.builds(
        lambda start, length, cpu, gpus: TaskWindow(start, min(start + length, 99.0), cpu, gpus),
        seconds,
        st.floats(0.2, 50.0),
        st.just(0.0) | st.floats(0.001, 500.0),
        st.sampled_from([(), ("G",)]),
    ),
    min_size=1,
    max_size=12,
)
powers = st.lists(st.floats(1.0, 400.0), min_size=100, max_size=100)


def varying(channel, watts):
    totals = [math.fsum(watts[:i]) for i in range(len(watts) + 1)]
    return Series.of(channel, list(enumerate(totals)))


def covered(windows):
    """The moments at which any of the windows runs, as (start, end) without overlap."""
    merged = []
    for start, end in sorted((w.start, w.end) for w in windows):
        if merged and start <= merged[-1][1]:
            merged[-1][1] = max(merged[-1][1], end)
        else:
            merged.append([start, end])
    return merged


def joules_between(watts, start, end):
    return math.fsum(w * max(0.0, min(end, i + 1) - max(start, i)) for i, w in enumerate(watts))


@settings(max_examples=30)
@given(tasks, powers, powers)
def test_the_sum_over_tasks_is_the_sockets_and_the_gpus_joules_not_a_multiple(windows, cpu, gpu):
    fine = Channel("cpu:package-0", "joules", resolution_s=0.0)
    trace = PowerTrace(
        packages=(varying(fine, cpu),), gpus={"G": varying(Channel("gpu:G", "joules", resolution_s=0.0), gpu)}
    )
    _shares_add_up(trace, windows, cpu, gpu)


def _shares_add_up(trace, windows, cpu, gpu):
    from placement.hardware.meters.power_trace import _shares

    def total(series, chosen, rate):
        fractions = _shares((series,), [(w, rate(w)) for w in chosen], None)
        return math.fsum(
            f * joules_between(cpu if series is trace.packages[0] else gpu, w.start, w.end)
            for f, w in zip(fractions, chosen, strict=True)
        )

    on_gpu = [w for w in windows if w.gpus]
    socket = math.fsum(joules_between(cpu, start, end) for start, end in covered(windows))
    board = math.fsum(joules_between(gpu, start, end) for start, end in covered(on_gpu))
    assert total(trace.packages[0], windows, lambda w: max(w.cpu_seconds / (w.end - w.start), 1e-3)) == pytest.approx(
        socket, rel=1e-6
    )
    assert total(trace.gpus["G"], on_gpu, lambda w: 1.0) == pytest.approx(board, rel=1e-6)


@settings(max_examples=40)
@given(tasks)
def test_what_share_tells_adds_up_to_what_the_socket_took(windows):
    energies = share(a_trace(), windows)
    told = math.fsum(energy.cpu_joules for energy in energies)
    assert told == pytest.approx(math.fsum(50.0 * (end - start) for start, end in covered(windows)), rel=1e-6)
    on_gpu = [w for w in windows if w.gpus]
    gpu = math.fsum(energy.gpu_joules for energy in energies if energy.gpu_joules is not None)
    assert gpu == pytest.approx(math.fsum(200.0 * (end - start) for start, end in covered(on_gpu)), rel=1e-6)
    others = share(a_trace(), windows, count_others=True)
    assert all(o.cpu_joules <= e.cpu_joules * (1 + 1e-6) for o, e in zip(others, energies, strict=True))


@given(st.lists(st.tuples(st.floats(0, 100), st.floats(0, 100)), max_size=5), st.lists(st.floats(0, 100), max_size=30))
def test_no_window_of_any_trace_is_ever_zero_or_raises(windows, moments):
    points = [(moment, None if i % 7 == 3 else float(i // 3)) for i, moment in enumerate(sorted(moments))]
    trace = a_trace(packages=(Series.of(PACKAGE, points),), cpu_busy=Series.of(BUSY, points))
    for energy in share(trace, [TaskWindow(*w, 1.0, ("G",)) for w in windows], count_others=True):
        assert energy.cpu_joules is None or energy.cpu_joules > 0
        assert energy.gpu_joules is None or energy.gpu_joules > 0
        assert energy.cpu_joules is not None or energy.reasons


# Counters and powers as series.


@given(st.lists(st.floats(0, 900), min_size=1, max_size=20), st.floats(0, 999.9))
def test_a_wrapping_counter_is_read_by_its_differences(rises, begin):
    points = Accumulator(Channel("cpu:p", "joules", wraps_at=1000.0))
    total = begin
    for i, rise in enumerate([0.0, *rises]):
        total += rise
        points.add(float(i), math.fmod(total, 1000.0))
    assert points.points()[-1][1] == pytest.approx(math.fsum(rises), abs=1e-6)


def test_a_counter_that_was_reset_is_a_break():
    assert wrapped_difference(5.0, 1.0, None) is None
    assert wrapped_difference(990.0, 10.0, 1000.0) == pytest.approx(20.0)
    points = Accumulator(Channel("gpu:G", "joules", resolution_s=0.0))
    for moment, reading in ((0.0, 100.0), (1.0, 150.0), (2.0, 10.0), (3.0, 60.0)):
        points.add(moment, reading)
    trace = PowerTrace(gpus={"G": Series.of(points.channel, points.points())})
    assert window(trace, 0.0, 1.0, ["G"]).gpu_joules == pytest.approx(50.0)
    assert window(trace, 2.0, 3.0, ["G"]).gpu_joules == pytest.approx(50.0)
    assert window(trace, 0.0, 3.0, ["G"]).gpu_joules is None


def test_power_is_integrated_but_not_over_a_gap():
    points = Accumulator(Channel("gpu:G", "joules", rate=True, resolution_s=0.0))
    for i in range(21):
        points.add(i * 0.05, 100.0 + i)
    points.add(5.0, 100.0)
    for i in range(1, 21):
        points.add(5.0 + i * 0.05, 100.0)
    trace = PowerTrace(gpus={"G": Series.of(points.channel, points.points())})
    assert window(trace, 0.0, 1.0, ["G"]).gpu_joules == pytest.approx(110.0)
    assert window(trace, 5.0, 6.0, ["G"]).gpu_joules == pytest.approx(100.0)
    assert window(trace, 0.5, 5.5, ["G"]).gpu_joules is None


def test_a_counter_seen_often_is_interpolated_between_its_changes():
    points = Accumulator(GPU)
    for i in range(200):
        moment = i * 0.01
        points.add(moment, 20.0 * math.floor(moment / 0.1 + 1e-9))  # moves every 100 ms, 200 W
    trace = PowerTrace(gpus={"G": Series.of(GPU, points.points())})
    energy = window(trace, 0.55, 1.05, ["G"])
    assert energy.gpu_joules == pytest.approx(100.0)
    assert energy.error == pytest.approx(0.05 + 0.1 / 0.5)


def test_a_long_tasks_window_is_told_from_a_bounded_trace():
    points = Accumulator(PACKAGE)
    for i in range(60_000):  # 50 minutes at 20 Hz
        points.add(i * 0.05, i * 0.05 * 50.0)
    kept = points.points()
    assert len(kept) < 9000
    assert [moment for moment, _ in kept] == sorted(moment for moment, _ in kept)
    trace = PowerTrace(packages=(Series.of(PACKAGE, kept),))
    energy = window(trace, 10.5, 2990.0)
    assert energy.cpu_joules == pytest.approx(50.0 * 2979.5, rel=1e-3)
    assert energy.error < 0.021
