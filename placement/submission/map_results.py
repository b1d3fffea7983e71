"""map: one task for each item of an iterable, a bounded number in flight.

    for result in f.map(items): ...                       in the items' order
    for result in f.map(items, ordered=False): ...        as they come
    f.map(items, return_exceptions=True)                  a task's error is a result like another

Where the policy looks at queues and the items' specs tell what a GPU gains, the items read so far are sent in the order
of `placement.scheduling.policies.map_order`; the results come as said all the same.

Nothing is lost on an error: it is raised at its own result, and the next `next()` goes on with those after it. When
the caller stops, by break, close() or a `with` block, what is in flight is cancelled, if it does not end within a
moment by itself.
"""

from __future__ import annotations

import contextlib
import threading
from collections import deque
from collections.abc import Iterator
from typing import Any

import ray

from placement.errors import OptionError
from placement.ray_internals.connection import connection

IN_FLIGHT_PER_CPU = 4
GRACE_S = 0.5
"""Seconds in which tasks in flight may end by themselves before they are cancelled. See `_cancel_soon`."""

NO_MORE = object()


class Failure:
    """An error in the place of a result."""

    def __init__(self, error: BaseException) -> None:
        self.error = error


class Results(Iterator[Any]):
    """The results of a map. It reads items only as tasks are sent, and holds at most `in_flight` tasks and results."""

    def __init__(self, remote: Any, items: Iterator[Any], ordered: bool, in_flight: int, exceptions: bool) -> None:
        self._remote = remote
        self._items: Iterator[Any] | None = items
        self._ordered = ordered
        self._in_flight = in_flight
        self._exceptions = exceptions
        self._pending: deque[Any] = deque()
        self._ready: deque[Any] = deque()
        self._end: BaseException | None = None

    def __next__(self) -> Any:
        self._send()
        if not self._ready and self._holds():
            self._collect()
        if not self._ready:
            return self._finish()
        result = self._ready.popleft()
        if not isinstance(result, Failure):
            return result
        if self._exceptions:
            return result.error
        raise result.error

    def _holds(self) -> bool:
        """There are results to wait for."""
        return bool(self._pending)

    def _send(self) -> None:
        """Sends tasks until as many as may be are in flight."""
        while self._items is not None and len(self._pending) + len(self._ready) < self._in_flight:
            item = self._next_item()
            if item is NO_MORE:
                return
            try:
                ref = self._remote(item)
            except Exception as error:  # of this item alone: its spec, its arguments
                ref = Failure(error)
            if self._streams(ref):
                return
            self._pending.append(ref)

    def _next_item(self) -> Any:
        """NO_MORE at the end, and where the caller's own iterable fails: that comes after the results before it."""
        assert self._items is not None
        try:
            return next(self._items)
        except StopIteration:
            self._items = None
        except BaseException as error:
            self._items, self._end = None, error
        return NO_MORE

    def _streams(self, sent: Any) -> bool:
        """The function is a generator: it is cancelled, and no more items are read."""
        if not isinstance(sent, ray.ObjectRefGenerator):
            return False
        ray.cancel(sent)
        self._items, self._end = None, OptionError(STREAMS)
        return True

    def _collect(self) -> None:
        """Waits for the next result, and takes all that are there with it."""
        first = self._pending[0]
        if self._ordered or isinstance(first, Failure):
            if not isinstance(first, Failure):
                ray.wait(_refs(first), num_returns=len(_refs(first)), fetch_local=False)
            done = self._done()
            taken = []
            while self._pending and all(ref in done for ref in _refs(self._pending[0])):
                taken.append(self._pending.popleft())
        else:
            refs = [ref for one in self._pending for ref in _refs(one)]
            ray.wait(refs, num_returns=1, fetch_local=False)
            done = self._done()
            taken = [one for one in self._pending if all(ref in done for ref in _refs(one))]
            self._pending = deque(one for one in self._pending if not all(ref in done for ref in _refs(one)))
        self._ready.extend(_values(taken))

    def _done(self) -> set[Any]:
        refs = [ref for one in self._pending for ref in _refs(one)]
        if not refs:
            return set()
        ready, _ = ray.wait(refs, num_returns=len(refs), timeout=0, fetch_local=False)
        return set(ready)

    def _finish(self) -> Any:
        if self._end is not None:
            error, self._end = self._end, None
            raise error
        raise StopIteration

    def close(self) -> None:
        """Cancels what is in flight and reads no more items. Done by itself when the results are no longer held."""
        items, self._items, self._end = self._items, None, None
        pending, self._pending = self._pending, deque()
        self._ready.clear()
        _cancel_soon([ref for one in pending for ref in _refs(one)])
        close = getattr(items, "close", None)
        if close is not None:
            close()

    def __enter__(self) -> Results:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __del__(self) -> None:
        with contextlib.suppress(Exception):
            if self._holds() and ray.is_initialized():
                self.close()


def _cancel_soon(refs: list[Any]) -> None:
    """Cancels tasks that have not ended after a moment, and those that probably run after one more.

    Where a task ends in the very moment in which it is cancelled, Ray ends the caller's process ("Tried to complete
    task that was not pending"; github.com/ray-project/ray/pull/54785 tells of the race). So what is short is let end.
    """
    core = getattr(connection, "core_worker", None)

    def cancel(refs: list[Any], let: int) -> None:
        if not ray.is_initialized() or getattr(connection, "core_worker", None) is not core:
            return  # another cluster, which does not know them
        with contextlib.suppress(Exception):  # the cluster is gone
            _, left = ray.wait(refs, num_returns=len(refs), timeout=0, fetch_local=False)
            for ref in left[let:]:
                with contextlib.suppress(Exception):  # it ended meanwhile, or its worker died: the others are cancelled
                    ray.cancel(ref)
            later(left[:let], 0)

    def later(refs: list[Any], let: int) -> None:
        if refs:
            timer = threading.Timer(GRACE_S, cancel, (refs, let))
            timer.daemon = True
            timer.start()

    later(refs, -(-len(refs) // IN_FLIGHT_PER_CPU))  # the oldest of so many in flight run, or few wait


STREAMS = (
    "map: the function streams its results (a generator). Give it .options(num_returns=n), or call .remote for each "
    "item and read its ObjectRefGenerator."
)


def _refs(one: Any) -> list[Any]:
    """The ObjectRefs of one submission: one, several (num_returns), or none (num_returns=0, or it failed)."""
    if one is None or isinstance(one, Failure):
        return []
    return one if isinstance(one, list) else [one]


def _values(taken: list[Any]) -> list[Any]:
    """The values of submissions that are done; fetched together where none failed."""
    refs = [ref for one in taken for ref in _refs(one)]
    try:
        values = iter(ray.get(refs))
    except Exception:
        return [_value(one) for one in taken]
    return [one if isinstance(one, Failure) else _shaped(one, values) for one in taken]


def _shaped(one: Any, values: Iterator[Any]) -> Any:
    if one is None:
        return None
    return [next(values) for _ in one] if isinstance(one, list) else next(values)


def _value(one: Any) -> Any:
    if one is None or isinstance(one, Failure):
        return one
    try:
        return ray.get(one)
    except Exception as error:
        return Failure(error)
