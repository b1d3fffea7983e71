"""PlacedCalls: the calls of a placed function, the same by the fast way and by Ray's public API."""

from __future__ import annotations

import functools
from collections.abc import Callable
from functools import cached_property
from typing import TYPE_CHECKING, Any

from placement.ray_internals.connection import client_mode_should_convert, connection
from placement.ray_internals.options import extract_signature, validate_args
from placement.submission.first_calls import FirstCalls, must_not_wait

if TYPE_CHECKING:
    from placement.submission.options import PlacementOptions
    from placement.submission.placed_call import Handle


class PlacedCalls:
    """The part of a placed function that submits its calls.

    The class that inherits it is the `Target` of a Handle, and sets the attributes named here.
    """

    _function: Any
    _placement_options: PlacementOptions
    _own_options: dict[str, Any]
    _decorator: Any
    _first_calls: FirstCalls | None

    @cached_property
    def handle(self) -> Handle:
        """The Handle that submits the calls of a placeable function."""
        from placement.submission.placed_call import Handle

        return Handle(self, self._placement_options, self._own_options)  # type: ignore[arg-type]  # a Target by its subclass

    @cached_property
    def check_arguments(self) -> Callable[[Any, Any], None]:
        """Raises the TypeError of a call that does not fit the user's own signature, as Ray does.

        It holds the signature alone: what is remembered of tasks sent must not keep the user's function alive.
        """
        return functools.partial(validate_args, extract_signature(self._function))

    def _remote_placed(self, /, *args: Any, **kwargs: Any) -> Any:
        if "handle" not in self.__dict__ and self._goes_first():
            if self._first_calls is None:
                self._first_calls = FirstCalls(self, self._placement_options, self._own_options)
            return self._first_calls.submit(args, kwargs)
        return self.handle.remote(*args, **kwargs)

    def _goes_first(self) -> bool:
        """The call must not wait for the snapshot, and nothing about it needs a Handle."""
        plain = self._decorator is None and not client_mode_should_convert() and connection.connected
        return plain and not connection.load_code_from_local and must_not_wait(lambda: self.handle.fetch_snapshot())
