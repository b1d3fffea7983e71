"""What the actor counts, without a cluster; tests/ray/test_metrics_seen.py sees it in Ray's endpoint."""

from __future__ import annotations

import json
import re
from collections import Counter
from importlib import resources
from typing import Any, ClassVar

import pytest

from placement.control_plane import metrics
from placement.prediction.runtime_history import History, Place, Sample
from placement.scheduling.queue_model import Backlog, Load
from placement.spec.task_record import Rows

KEY = ("f", (1,))
NO_TRIALS = {"trial_s": 0.0, "left_s": 0.0}


class Fake:
    """A metric that keeps what it is told."""

    told: ClassVar[Counter[tuple[str, tuple[tuple[str, str], ...]]]] = Counter()

    def __init__(self, name: str, description: str = "", tag_keys: tuple[str, ...] = ()) -> None:
        self.name, self.keys = name, tag_keys

    def inc(self, value: float = 1.0, tags: dict[str, str] | None = None) -> None:
        assert value > 0
        assert set(tags or {}) == set(self.keys)
        Fake.told[self.name, tuple(sorted((tags or {}).items()))] += value  # type: ignore[assignment]

    def set(self, value: float, tags: dict[str, str] | None = None) -> None:
        assert set(tags or {}) == set(self.keys)
        Fake.told[self.name, tuple(sorted((tags or {}).items()))] = value  # type: ignore[assignment]


@pytest.fixture
def found(monkeypatch: pytest.MonkeyPatch) -> metrics.Metrics:
    monkeypatch.setattr(metrics, "Counter", Fake)
    monkeypatch.setattr(metrics, "Gauge", Fake)
    Fake.told.clear()
    return metrics.Metrics()


def told(name: str, **tags: str) -> float | None:
    return Fake.told.get(("placement_" + name, tuple(sorted(tags.items()))))


def some(number: int = 1, **columns: Any) -> Rows:
    same = {"run_id": "r", "source": "production", "function": "m.f", "workload": "f", "device": "cpu", **columns}
    return Rows(number, same, {"time_utc": [1.0] * number})


def sample(seconds: float) -> Sample:
    return seconds, None, 0.0, None


def test_decisions_are_counted_by_the_first_words_of_their_reason(found: metrics.Metrics) -> None:
    found.rows([some(policy="balanced", reason=reason) for reason in ("gpu_not_worth_it", "gpu_not_worth_it, waits")])
    found.rows([some(policy="balanced", device="gpu", reason="gpu_worth_it", cpu_joules=3.0, gpu_joules=4.0)])
    found.rows([some(), some(policy="selector", reason="gpu_worth_it", fallback="out of memory")])
    assert told("decisions", device="cpu", policy="balanced", reason="gpu_not_worth_it") == 2
    assert told("decisions", device="gpu", policy="balanced", reason="gpu_worth_it") == 1
    assert told("joules", device="gpu") == 7.0
    assert told("fallbacks") == 1
    assert len(found.last) == 4  # an ordinary task was not decided
    assert found.last[-1]["function"] == "m.f"


def test_the_seconds_of_each_device_are_those_that_are_known(found: metrics.Metrics) -> None:
    each = {"compute_s": [1.0, None, 3.0], "time_utc": [3.0, 1.0, 2.0], "cpu_joules": [5.0, None, None]}
    took = found.rows([Rows(3, {"device": "cpu", "policy": "selector", "transfer_s": 0.5}, each)])
    assert took == {"cpu": (5.0, 2)}
    assert told("joules", device="cpu") == 5.0
    assert [row["compute_s"] for row in found.last] == [None, 3.0, 1.0]  # as they began


def test_what_history_knows_of_both_devices_gives_regret_and_gpu_seconds_saved(found: metrics.Metrics) -> None:
    history = History()
    for device, seconds in (("cpu", 10.0), ("gpu", 1.0)):
        for _ in range(3):
            history.observe(KEY, Place("A", device, 1.0), seconds)  # type: ignore[arg-type]
    cpu, gpu = (Place("A", device, 1.0) for device in ("cpu", "gpu"))  # type: ignore[arg-type]
    found.observations([(KEY, gpu, [sample(1.0)]), (("other", (1,)), cpu, [sample(1.0)])], history)
    assert told("regret_seconds") is None
    found.observations([(KEY, cpu, [sample(12.0)])], history)
    assert told("regret_seconds") == pytest.approx(11.0)
    assert told("gpu_seconds_saved") == pytest.approx(1.0)


def test_the_state_is_told_and_what_has_gone_is_zero(found: metrics.Metrics) -> None:
    now = [0.0]
    backlog = Backlog(lambda: now[0])
    counts = {"rows_received": 5, "rows_written": 4, "rows_lost": 1}
    found.state(counts, "s1", 7, backlog, NO_TRIALS)
    assert told("queue_tasks", config="A", device="gpu") is None
    backlog.merge({("A", "gpu"): Load(1, 3, 9.0)}, 0.0)
    found.state(counts, "s2", 8, backlog, NO_TRIALS)
    assert (told("records_lost"), told("snapshot")) == (1, 8)
    assert (told("selector", version="s1"), told("selector", version="s2")) == (0.0, 1.0)
    assert (told("queue_tasks", config="A", device="gpu"), told("wait_seconds", config="A", device="gpu")) == (3, 9)
    backlog.merge({}, 0.0)
    found.state(counts, "s2", 8, backlog, NO_TRIALS)
    assert told("queue_tasks", config="A", device="gpu") == 0


def test_the_dashboard_asks_for_metrics_that_there_are(found: metrics.Metrics) -> None:
    text = resources.files("placement").joinpath("data/grafana.json").read_text()
    asked = set(re.findall(r"ray_placement_([a-z_]+)", text))
    found.state({"rows_received": 0, "rows_written": 0, "rows_lost": 0}, "s", 1, Backlog(), NO_TRIALS)
    names = {value.name for value in vars(found).values() if isinstance(value, Fake)}
    names |= {gauge.name for gauge in found._records.values()}
    assert {"placement_" + name.removesuffix("_total") for name in asked} == names - {"placement_snapshot"}
    panels = json.loads(text)["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels) >= 8
