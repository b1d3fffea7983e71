"""CapturedFunction: a user's function, pickled once, so that every way to run it is the same object.

Ray pickles a remote function at its first submission to a cluster; a global or a closure that changes later changes no
task. A placed function is exported once for each way to run, and all of these hold the same pickle.
"""

from __future__ import annotations

import hashlib
import inspect
import os
import pickle
import threading
from collections.abc import Callable
from typing import Any

from ray import cloudpickle

from placement.prediction.code_versions import HASH_LENGTH, MAIN
from placement.ray_internals.connection import connection

Dumps = Callable[[Any], bytes]


class CapturedFunction:
    """A function and the pickle of its first submission to the cluster that this process is connected to.

    prepare: what Ray does to a function before it is pickled.
    """

    def __init__(self, function: Callable[..., Any], prepare: Callable[[Any], Any] | None = None) -> None:
        self.function = function
        self._prepare = prepare
        self._pickled = b""
        self._hash = ""
        self._captured_for: Any = None
        self._captured_in = 0  # the thread that is pickling it
        self._lock = threading.RLock()
        self._script = _script_of(function)  # now: a worker's current directory is another

    def history_key(self, name: str, code_hash: str, task_name: Any = None) -> str:
        """The key under which history keeps the function's runs: its name and code, and the name of its tasks.

        A function of a script is named with the script's path, hashed: every script's module is `__main__`.
        """
        if self._script and name.startswith(MAIN):
            name = f"__main__[{self._script}].{name.removeprefix(MAIN)}"
        key = f"{name}@{code_hash}" if code_hash else name
        return f"{key}:{task_name}" if task_name else key

    def pickled(self, dumps: Dumps = cloudpickle.dumps) -> bytes:
        """The pickle, made at the first call for this cluster. Raises what `dumps` raises."""
        now = connection.current_cluster_and_job
        if self._captured_for != now:
            with self._lock:
                if self._captured_for != now:
                    if self._prepare is not None:
                        self.function, self._prepare = self._prepare(self.function), None
                    self._captured_in = threading.get_ident()
                    try:
                        self._pickled = dumps(self.function)
                    finally:
                        self._captured_in = 0
                    self._hash = _hash(self._pickled, self.function)
                    self._captured_for = now
        return self._pickled

    def code_hash(self, dumps: Dumps = cloudpickle.dumps) -> str:
        """A name of what the function is: the hash of its pickle."""
        self.pickled(dumps)
        return self._hash

    def code_hash_now(self) -> str:
        """The code_hash, without capturing the function; "" where it cannot be pickled."""
        if connection.connected and self._captured_for == connection.current_cluster_and_job:
            return self._hash
        try:
            return _hash(cloudpickle.dumps(self.function), self.function)
        except Exception:  # which is said where it is submitted
            return ""

    def as_pickled(self) -> Any:
        """An object that is pickled as the pickle of the function, and unpickled as the function.

        Within that pickle it is the function: one that calls itself by its placed name is met again there.
        """
        return self.function if self._captured_in == threading.get_ident() else _AsPickled(self.pickled())

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name not in ("_lock", "_captured_in")}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state, _captured_in=0, _lock=threading.RLock())


class _AsPickled:
    def __init__(self, pickled: bytes) -> None:
        self._pickled = pickled

    def __reduce__(self) -> Any:
        return pickle.loads, (self._pickled,)


def _hash(pickled: bytes, function: Any) -> str:
    """Of the pickle, and of the code: the pickle of a function that others can import is its name alone."""
    digest = hashlib.sha256(pickled)
    pending = [getattr(inspect.unwrap(function), "__code__", None)]
    while pending:
        code = pending.pop()
        if code is not None:
            plain = [one for one in code.co_consts if isinstance(one, str | bytes | int | float | None)]
            digest.update(code.co_code + repr((code.co_names, plain)).encode())
            pending += [one for one in code.co_consts if inspect.iscode(one)]
    return digest.hexdigest()[:HASH_LENGTH]


def _script_of(function: Any) -> str:
    """A hash of the path of the file that the function is written in; "" where there is no file."""
    code = getattr(inspect.unwrap(function), "__code__", None)
    path = getattr(code, "co_filename", "<")
    return "" if path.startswith("<") else hashlib.sha256(os.path.abspath(path).encode()).hexdigest()[:8]
