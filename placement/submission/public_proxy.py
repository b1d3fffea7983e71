"""RemoteProxy: takes the place of Ray's own object where tasks and actors go by the public API."""

from __future__ import annotations

from typing import Any


class RemoteProxy:
    """It has what Ray's object has, and is one to isinstance(). Calls that are not placed go to that object.

    Only what a subclass defines is ours; `_ray_object` is what ray.remote made.
    """

    _ray_object: Any

    @property  # type: ignore[misc]
    def __class__(self) -> Any:
        return type(self._ray_object)

    def __getattr__(self, name: str) -> Any:
        if name == "_ray_object":  # asked while it is unpickled
            raise AttributeError(name)
        return getattr(self._ray_object, name)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Raises as Ray's object does: it is called by `.remote()`."""
        return self._ray_object(*args, **kwargs)

    def __mro_entries__(self, bases: tuple[Any, ...]) -> tuple[Any, ...]:
        """A class that inherits from it inherits from Ray's object, which Ray refuses."""
        return (self._ray_object,)

    def __reduce_ex__(self, protocol: Any) -> Any:
        return _unpickled, (type(self),), self._state()

    def _state(self) -> dict[str, Any]:
        """The attributes that are pickled."""
        return dict(self.__dict__)

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)


def _unpickled(cls: type[RemoteProxy]) -> RemoteProxy:
    return cls.__new__(cls)
