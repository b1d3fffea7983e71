"""choose(): the decision alone, in the words of Ray Data, Train, Tune and Serve, which submit by themselves.

ds.map_batches(fn, **placement.choose(spec).ray_options())
TorchTrainer(loop, scaling_config=placement.choose(spec).scaling_config(num_workers=2))
tune.with_resources(trainable, placement.choose(spec).tune_resources())
@serve.deployment(ray_actor_options=placement.choose(spec).ray_options())
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any

from placement.prediction.selector import Selector
from placement.ray_internals.connection import auto_init_ray
from placement.ray_internals.options import check_task_options, task_options
from placement.ray_internals.way import places
from placement.scheduling.decision import Decision
from placement.spec.task import Device, TaskSpec
from placement.submission.options import PlacementOptions, check_device_options, own_options, reject_unknown, split
from placement.submission.placer import Placer
from placement.submission.ray_constraints import caller_context, limits_of
from placement.submission.snapshot_client import caller
from placement.submission.spec_reader import takes_anything


@dataclass(frozen=True, slots=True)
class Chosen(Decision):
    """A Decision with the options under which Ray carries it out.

    labels: the label selector of all configs decided for, for libraries that try no second one.
    """

    options: Mapping[str, Any] = field(default_factory=dict, hash=False)
    labels: Mapping[str, str] = field(default_factory=dict, hash=False)

    def ray_options(self) -> dict[str, Any]:
        """Options for map_batches (`**`), a Serve deployment (`ray_actor_options=`), a task or an actor (`.options`).

        On the CPU num_gpus is left out: Ray holds a CPU for the whole life of an actor that is given num_gpus=0.
        """
        return {"num_cpus": self.cpus, **self.options}

    def scaling_config(self, num_workers: int = 1, **more: Any) -> Any:
        """A ray.train ScalingConfig whose workers run on what was decided; `more` is handed to it.

        Train tries no config after another: its workers run on any of those decided for, and wait for them.
        """
        from ray.train import ScalingConfig

        labels: Any = dict(self.labels)
        resources = {"CPU": self.cpus, **self.options.get("resources", {})}
        if self.gpus:
            resources["GPU"] = self.gpus
        return ScalingConfig(
            num_workers=num_workers, use_gpu=bool(self.gpus), resources_per_worker=resources,
            **({"label_selector": labels} if labels else {}), **more,
        )  # fmt: skip

    def tune_resources(self) -> dict[str, float]:
        """Resources for tune.with_resources. Tune places trials by resources alone: it knows no node labels."""
        return {"cpu": self.cpus, "gpu": self.gpus, **self.options.get("resources", {})}


def choose(
    spec: TaskSpec | Callable[..., TaskSpec | None] | None,
    /,
    *args: Any,
    selector: Selector | None = None,
    **options: Any,
) -> Chosen:  # fmt: skip
    """The decision for work that another library submits.

    spec: a TaskSpec, or a function of `args` that gives one (None: nothing known).  selector: instead of the one in
    service.  options: what limits the choice, as placed_remote takes it: device=, policy=, strict=, cpu_options=,
    gpu_options=, and Ray's own num_cpus, num_gpus, resources, label_selector, accelerator_type, ... .
    Raises SpecError or OptionError.
    """
    ours, rays = split(options)
    reject_unknown(rays, task_options(), "placement.choose")
    check_task_options(rays)
    check_device_options(ours, check_task_options)
    given = PlacementOptions(spec=TaskSpec() if spec is None else spec).with_(ours)
    auto_init_ray()
    if not places():
        return _pinned_or_rays_own(given, rays)
    snapshot, context = caller().current(), caller_context()
    if selector is not None:
        snapshot = replace(snapshot, selector=selector, thresholds=getattr(selector, "thresholds", snapshot.thresholds))
    placer = Placer("placement.choose", given, rays, takes_anything)
    task = placer.task(args, {})
    decision = placer.decide(task, snapshot, context)
    in_order, any_of_them = (
        placer.ray_options_for(one, snapshot, context, task) for one in (decision, replace(decision, tiers=()))
    )
    return Chosen(
        **{f.name: getattr(decision, f.name) for f in fields(Decision)},
        options=in_order, labels=any_of_them.get("label_selector") or {},
    )  # fmt: skip


def _pinned_or_rays_own(options: PlacementOptions, ray_options: dict[str, Any]) -> Chosen:
    """On a Ray on which nothing can be placed: the device that is pinned, or that Ray's own options say."""
    device: Device = "gpu" if options.device == "gpu" or ray_options.get("num_gpus") else "cpu"
    limits, own = limits_of(options, ray_options), own_options(options, ray_options, device)
    own.pop("num_gpus", None)
    gpus = limits.gpus if device == "gpu" else 0.0
    return Chosen(
        device, None, (), limits.cpus[device], gpus, "not_placed", "none", "none", 0,
        options={**own, "num_gpus": gpus} if gpus else own, labels=own.get("label_selector") or {},
    )  # fmt: skip
