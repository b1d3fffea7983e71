"""A worker's outbox without Ray: the calls to the actor are replaced, all else is the real thing."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from placement.errors import ControlPlaneError
from placement.log.lost_records import ACKNOWLEDGED, FINISHED, NUMBER, UNDER_WAY, LostRecords, report_dead_writers
from placement.messages.envelope import Envelope, TaskRun
from placement.messages.node_context import NodeContext
from placement.scheduling.decision import Decision
from placement.spec.task import TaskSpec
from placement.spec.task_record import how_many
from placement.worker import outbox
from placement.worker.actor_link import ActorLink
from placement.worker.outbox import Outbox

PACKED = Envelope(TaskSpec(flops=1e6), Decision("cpu", "A", ("A",), 1.0, 0.0, "why", "selector", "s1", 7, 0.1)).pack()
GENERATION = 5


def run(number: int, *, placed: bool = True) -> TaskRun:
    packed, task_id = (PACKED, number.to_bytes(4, "big")) if placed else (None, None)
    return TaskRun("module.f", packed, float(number), 0.001, 0.001, 0.0, "cpu", False, None, None, task_id)


class Actor(ActorLink):
    """The way to an actor that is not there: what it is called with, and whether it answers."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self._folder = folder
        self.there = self.knows_node = self.logs = True
        self.fails = 0
        self.generation = GENERATION
        self.batches: list[tuple[Any, ...]] = []
        self.timeouts: list[float] = []
        self.meanwhile: Callable[[], None] = lambda: None

    def exists(self) -> bool:
        return self.there

    def folder(self) -> Path:
        return self._folder

    def node_id(self) -> str:
        return "n1"

    def emulated(self) -> bool:
        return True

    def call(self, method: str, *args: Any, timeout_s: float) -> Any:
        if not self.knows_node:
            raise ControlPlaneError("no actor")
        if method == "context":
            return NodeContext("n1", generation=self.generation, logs=self.logs)
        assert method == "report"
        self.batches.append(args)
        self.timeouts.append(timeout_s)
        self.meanwhile()
        if self.fails:
            self.fails -= 1
            raise ControlPlaneError("no answer")
        return self.generation

    @property
    def numbers(self) -> list[int]:
        return [number for _, number, *_ in self.batches]

    @property
    def rows(self) -> list[int]:
        return [how_many(rows) for _, _, rows, *_ in self.batches]

    @property
    def lost(self) -> list[int]:
        return [lost for *_, lost in self.batches]


@pytest.fixture
def actor(tmp_path: Path) -> Actor:
    return Actor(tmp_path / "node")


def filled(actor: Actor, number: int, *, placed: bool = True, **limits: int) -> Outbox:
    """An outbox whose thread was not started, with so many runs."""
    box = Outbox(actor, **limits)
    for i in range(number):
        box.add(run(i, placed=placed))
    return box


def counted(box: Outbox) -> tuple[int, ...]:
    """(finished, acknowledged, batch under way, its runs), as whoever finds this process killed reads them."""
    numbers = box._counts._numbers
    return numbers[FINISHED], numbers[ACKNOWLEDGED], numbers[NUMBER], numbers[UNDER_WAY]


def test_batches_are_numbered_of_limited_size_and_dropped_once_acknowledged(actor: Actor) -> None:
    box = filled(actor, 10, batch_rows=4)
    box.send(3.0)
    assert (actor.numbers, actor.rows, actor.lost) == ([1, 2, 3], [4, 4, 2], [0, 0, 0])
    assert {writer for writer, *_ in actor.batches} == {box.writer}
    ids = [one.column("batch_id")[0] for _, _, rows, *_ in actor.batches for one in rows]
    assert ids == [f"{box.writer}:{number}" for number in (1, 2, 3)]
    assert actor.timeouts == [3.0] * 3
    assert not box.runs
    assert counted(box)[:3] == (10, 10, 0)
    box.add(run(10))
    box.send(3.0)
    assert actor.numbers[-1] == 4


def test_a_batch_that_was_not_acknowledged_is_kept_and_sent_again_unchanged(actor: Actor) -> None:
    box = filled(actor, 3)
    actor.fails = 2
    for _ in range(2):
        with pytest.raises(ControlPlaneError):
            box.send(1.0)
        box.add(run(99))  # what comes meanwhile goes with the next
    assert counted(box) == (5, 0, 1, 3)
    assert len(box.runs) == 5
    box.send(1.0)
    assert actor.numbers == [1, 1, 1, 2]
    assert actor.batches[0] == actor.batches[1] == actor.batches[2]
    assert actor.rows == [3, 3, 3, 2]
    assert counted(box)[:3] == (5, 5, 0)


def test_what_comes_while_a_batch_is_sent_waits_for_the_next_call(actor: Actor) -> None:
    box = filled(actor, 2)
    actor.meanwhile = lambda: box.add(run(7)) if len(actor.batches) == 1 else None
    box.send(1.0)
    assert actor.rows == [2]
    assert [r.began for r in box.runs] == [7.0]
    box.send(1.0)
    assert actor.rows == [2, 1]


def test_what_no_longer_fits_is_counted_and_the_count_told_once(actor: Actor) -> None:
    box = filled(actor, 8, largest=5)
    assert len(box.runs) == 5  # the oldest: what was promised first
    actor.fails = 1
    with pytest.raises(ControlPlaneError):
        box.send(1.0)
    assert counted(box) == (8, 0, 1, 8)
    box.send(1.0)
    assert (actor.rows, actor.lost) == ([5, 5], [3, 3])  # the same batch, which the actor takes once
    assert counted(box)[:3] == (8, 8, 0)
    box.add(run(8))
    box.send(1.0)
    assert (actor.rows[-1], actor.lost[-1]) == (1, 0)


def test_a_killed_writer_leaves_what_was_lost_and_unsent_to_be_found(actor: Actor, tmp_path: Path) -> None:
    box = filled(actor, 7, largest=5)
    actor.fails = 1
    with pytest.raises(ControlPlaneError):
        box.send(1.0)
    (tmp_path / "node" / "killed.unsent").write_bytes(bytes(box._counts._numbers))  # its lock is this process's own
    found: list[LostRecords] = []
    report_dead_writers(tmp_path, box.writer, found.append)
    assert found == [LostRecords("killed", 7, 1, 7)]


def test_ordinary_runs_go_nowhere_without_an_actor_and_placed_ones_wait_for_one(actor: Actor) -> None:
    actor.there = False
    box = filled(actor, 3, placed=False)
    box.send(1.0)
    assert not box.runs
    assert not actor.batches
    assert counted(box)[:3] == (3, 3, 0)
    box.add(run(4, placed=False))
    box.add(run(5))
    box.send(1.0)  # a placed run has a control plane: it is called, and so started where it is not
    assert actor.rows == [2]


def test_ordinary_runs_whose_actor_went_away_for_good_take_no_others_along(actor: Actor) -> None:
    box = filled(actor, 3, placed=False)
    actor.fails = 1
    with pytest.raises(ControlPlaneError):
        box.send(1.0)
    actor.there = False
    box.send(1.0)
    assert not box.runs
    actor.there = True
    box.add(run(7))
    box.send(1.0)
    assert actor.rows == [3, 1]
    assert not box.runs
    assert counted(box)[:3] == (4, 4, 0)


def test_a_batch_that_tells_nothing_is_not_sent(actor: Actor) -> None:
    actor.logs = False
    box = filled(actor, 3, placed=False)
    box.send(1.0)
    assert not actor.batches
    assert not box.runs
    assert counted(box)[:3] == (3, 3, 0)


def test_an_old_context_is_asked_anew_for_the_next_batch(actor: Actor) -> None:
    box = filled(actor, 1)
    box.send(1.0)
    assert actor.fresh_context().generation == GENERATION
    actor.generation += 1
    box.add(run(1))
    box.send(1.0)  # the answer says that something has changed
    assert actor.fresh_context().generation == GENERATION + 1


def test_a_worker_that_retires_sends_what_it_has_and_never_fails(actor: Actor, monkeypatch: pytest.MonkeyPatch) -> None:
    box = Outbox(actor)
    monkeypatch.setattr(outbox, "_outbox", box)
    outbox.report(run(0))
    assert not actor.batches  # the outbox's thread does that
    outbox.report(run(1), last=True)
    assert actor.rows == [2]
    assert actor.timeouts == [outbox.LAST_PATIENCE_S]
    actor.fails = 1
    outbox.report(run(2), last=True)  # the cluster is gone: the task's result is not
    assert len(box.runs) == 1


def test_no_thread_is_left_inside_ray_when_a_worker_retires(actor: Actor) -> None:
    box = Outbox(actor).start()
    assert box._thread.is_alive()
    box.add(run(0))
    box.send_last()
    assert not box._thread.is_alive()
    assert sum(actor.rows) == 1


def test_a_node_without_an_actor_is_known_by_its_labels(actor: Actor) -> None:
    actor.knows_node = False
    assert actor.context().emulated
    assert actor.context().node_id == "n1"
