"""The options of placed_remote: ours in one frozen record, Ray's handed through untouched."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, fields, replace
from typing import TYPE_CHECKING, Any

from placement.errors import OptionError
from placement.spec.task import DEVICES, Device, TaskSpec

if TYPE_CHECKING:
    from placement.scheduling.candidates import Policy


@dataclass(frozen=True, slots=True)
class PlacementOptions:
    """The options of a placed function beside Ray's own.

    spec: a TaskSpec, or a function of the task's own arguments that gives one (or None: nothing known this time).
    devices: "any" declares that the function can run on either device; without it, a spec and a pinned device it is
    never placed.
    device: pins "cpu" or "gpu".  policy: a name or an object with choose(); None: the cluster's.
    strict: no exploration, no second run on CPU after a GPU failure.
    side_effects: the body must not run twice, so a failed GPU run is not repeated on CPU.
    cpu_options, gpu_options: Ray options that hold on that device only (num_cpus, memory, ...).
    gpus: "auto" lets a GPU task be granted a share of a GPU beside others, 1/2 to 1/8, where its memory and its use of
    the GPU are known and leave room; left out, it is granted num_gpus, or one.
    """

    spec: Any = None
    devices: str | None = None
    device: str | None = None
    policy: str | Policy | None = None
    strict: bool = False
    side_effects: bool = False
    cpu_options: Mapping[str, Any] = field(default_factory=dict)
    gpu_options: Mapping[str, Any] = field(default_factory=dict)
    gpus: str | None = None

    def __post_init__(self) -> None:
        faults = []
        if self.spec is not None and not callable(self.spec) and not isinstance(self.spec, TaskSpec):
            faults.append(f"spec={self.spec!r} must be a TaskSpec or a function of the task's arguments that gives one")
        if self.devices is not None and not _is_one_of(self.devices, ("any",)):
            faults.append(f'devices={self.devices!r} must be "any" (it runs on either) or left out')
        if self.device is not None and not _is_one_of(self.device, DEVICES):
            faults.append(f"device={self.device!r} must be one of {DEVICES}")
        given = {f.name: getattr(self, f.name) for f in fields(self)}
        faults += [
            f"{name}={given[name]!r} must be True or False"
            for name in ("strict", "side_effects")
            if not isinstance(given[name], bool)
        ]
        faults += [
            f"{name} must be a dict of Ray options, not {type(given[name]).__name__}"
            for name in ("cpu_options", "gpu_options")
            if not isinstance(given[name], Mapping)
        ]
        if isinstance(self.cpu_options, Mapping) and self.cpu_options.get("num_gpus"):
            faults.append("cpu_options asks for num_gpus, but a task on the CPU gets none; put it into gpu_options")
        faults += [*self._policy_faults(), *self._gpus_faults()]
        if faults:
            raise OptionError("placed_remote: " + "; ".join(faults) + ".")
        # A StrEnum, a string of NumPy's: as a plain string from here on.
        for name in ("devices", "device", "policy", "gpus"):
            value = getattr(self, name)
            if isinstance(value, str) and type(value) is not str:
                object.__setattr__(self, name, str.__str__(value))
        for name in ("cpu_options", "gpu_options"):  # a config's own kind of mapping need not pickle
            object.__setattr__(self, name, dict(getattr(self, name)))

    def _policy_faults(self) -> list[str]:
        if self.policy is not None:
            try:
                from placement.scheduling.policies.registry import policy_of

                policy_of(self.policy)
            except OptionError as error:
                return [str(error)]
        return []

    def _gpus_faults(self) -> list[str]:
        if self.gpus is None:
            return []
        if not _is_one_of(self.gpus, ("auto",)):
            return [f'gpus={self.gpus!r} must be "auto" (a share is chosen) or left out; num_gpus= sets a number']
        if isinstance(self.gpu_options, Mapping) and self.gpu_options.get("num_gpus"):
            return ['gpus="auto" chooses the share that num_gpus in gpu_options sets; leave one of them out']
        return []

    @property
    def placeable(self) -> bool:
        """It says that it can run on either device."""
        return self.spec is not None or self.devices == "any" or self.device is not None

    @property
    def by_device(self) -> dict[str, Mapping[str, Any]]:
        """The Ray options that hold on one device only, by the option that gives them."""
        return {"cpu_options": self.cpu_options, "gpu_options": self.gpu_options}

    def with_(self, given: Mapping[str, Any]) -> PlacementOptions:
        """A copy with what was given; what was not stays."""
        return replace(self, **given) if given else self


PLACEMENT_OPTIONS: tuple[str, ...] = tuple(f.name for f in fields(PlacementOptions))


def split(given: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """(ours, Ray's) of the keywords given to placed_remote or .options(). Both are copies."""
    ours = {name: value for name, value in given.items() if name in PLACEMENT_OPTIONS}
    return ours, {name: value for name, value in given.items() if name not in PLACEMENT_OPTIONS}


def spec_function(spec: Any) -> Callable[..., Any] | None:
    """The spec as a function of the task's arguments; None where there is none."""
    if spec is None or callable(spec):
        return spec  # type: ignore[no-any-return]
    return lambda *args, **kwargs: spec  # noqa: ARG005


def reject_unknown(ray_options: Iterable[str], known: Iterable[str] | None, of: str) -> None:
    """Raises OptionError on an option that neither Ray nor we have: Ray's own words, then ours.

    known: Ray's options; None: not known here, so that ray.remote itself will say.
    """
    if known is None:
        return
    for name in ray_options:
        if name not in known:
            raise OptionError(
                f"Invalid option keyword {name} for {of}. Valid ones are {list(known)}. "
                f"Those of placement are {sorted(PLACEMENT_OPTIONS)}."
            )


def check_device_options(given: Mapping[str, Any], check: Callable[..., None], **how: bool) -> None:
    """Raises OptionError on what Ray would refuse at the submission in a cpu_options= or gpu_options= of `given`.

    check: Ray's own check of a dict of options, which is called with `how`.
    """
    for name in ("cpu_options", "gpu_options"):
        options = dict(given.get(name, {}))
        ours = sorted(set(options).intersection(PLACEMENT_OPTIONS))
        if ours:
            raise OptionError(f"{name}: {ours} are placed_remote's own; give them beside {name}, not in it.")
        try:
            check(options, **how)
        except (TypeError, ValueError) as error:
            raise OptionError(f"{name}={options!r}: {error}") from error


def _is_one_of(value: Any, valid: Iterable[str]) -> bool:
    """A string among the valid ones; whatever else compares with them (an array, an object of a user's) is none."""
    return isinstance(value, str) and any(str.__eq__(value, one) for one in valid)


def own_options(options: PlacementOptions, ray_options: Mapping[str, Any], device: Device) -> dict[str, Any]:
    """Ray's options as they hold on a device."""
    return {**ray_options, **(options.gpu_options if device == "gpu" else options.cpu_options)}
