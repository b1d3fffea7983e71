"""Every error this package raises for a misuse, in one tree:

    PlacementError
    |- SpecError          a TaskSpec, NodeSpec or spec function that makes no sense   (ValueError)
    |- OptionError        an unknown or contradictory option, policy or device        (ValueError)
    |- SelectorError      a selector file that is broken or foreign                   (ValueError)
    |- LogError           a log that cannot be read or has nothing to learn from      (ValueError)
    |- DeviceError        a worker that cannot use the GPU it was given               (RuntimeError)
    |- NotServedError     a request that no node of the cluster can serve             (RuntimeError)
    |- ControlPlaneError  the placement actor cannot be reached or started            (RuntimeError)
    `- MissingExtraError  a call that takes an extra which is not installed           (ImportError)

Each message says what was wrong, what is valid, and what to do next. What the user's own code raises is
never wrapped.
"""

from __future__ import annotations


class PlacementError(Exception):
    """Base of all errors of this package."""


class SpecError(PlacementError, ValueError):
    """A TaskSpec, a NodeSpec or a spec function that makes no sense."""


class OptionError(PlacementError, ValueError):
    """An unknown or contradictory option, policy or device."""


class SelectorError(PlacementError, ValueError):
    """A selector file that is broken or foreign; the one in service stays."""


class LogError(PlacementError, ValueError):
    """A log that cannot be read, or that holds nothing to learn from."""


class DeviceError(PlacementError, RuntimeError):
    """A worker that cannot use the GPU it was given."""


class NotServedError(PlacementError, RuntimeError):
    """A request that no node of the cluster can serve."""


class ControlPlaneError(PlacementError, RuntimeError):
    """The placement actor cannot be reached or started."""


class MissingExtraError(PlacementError, ImportError):
    """A call that takes an extra of this package which is not installed here."""

    @classmethod
    def of_profiling(cls, what: str, missing: str | None) -> MissingExtraError:
        """The error of a call, by its name, for which a library of the extra `profiling` is missing."""
        return cls(
            f"{what} takes the extra `profiling`, of which {missing} is not installed here; on every node install the "
            "wheel with it: pip install 'ray_placement-VERSION-py3-none-any.whl[profiling]'."
        )
