"""`placement refit LOG -o FILE`: from the log to a selector file, through Ray Data and Ray Train.

    log -> pairs -> labelled by the thresholds -> Ray Data -> one TorchTrainer worker -> selector file

The learner "ratio" also takes production rows of work that ran on one device alone; the paper's net takes pairs.

The fit itself is `profiling.learning.mlp_training.fit` (the paper's net) or
`profiling.learning.speedup.fit_speedup_selector`; nothing of either knows Ray. `placement evaluate LOG --holdout ...`
compares the two on a log.
"""

from __future__ import annotations

import json
import logging
import os
import tempfile
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

from placement.errors import LogError, NotServedError, OptionError
from placement.log import read_log
from placement.log.events import read_events
from placement.log.whole_file import write_whole
from placement.prediction.gaussian_process import INPUTS
from placement.prediction.selector import Selector
from placement.prediction.selector_file import selector_of
from placement.prediction.speedup_selector import SpeedupSelector
from placement.spec.features import FEATURES
from placement.spec.joint_threshold import JointThreshold
from profiling.dataset.drifts import after_drifts, drifts_of
from profiling.dataset.one_sided import one_sided_frame
from profiling.dataset.pairs import labelled, pairs
from profiling.emulation.emulated_cluster import environment_of
from profiling.learning.descent import TrainingOptions
from profiling.learning.mlp_training import environment, examples, fit
from profiling.learning.registry import DEFAULT, SELECTORS

if TYPE_CHECKING:
    import pandas as pd

COLUMNS = {
    "paper": (*FEATURES, "label"),
    "ratio": (*dict.fromkeys((
        *INPUTS, *FEATURES, "framework", "cpu_device", "gpu_device", "label", "cpu_seconds", "gpu_seconds",
        "cpu_censored", "gpu_censored", "steps", "energy_ratio", "cpu_joules", "gpu_joules", "source_name", "family",
        "emulated", "inputs_on_device", "cpu_weight", "gpu_weight", "function",
    )),),
}  # fmt: skip
"""Learner -> columns of a frame that its fit uses."""
START_TIMEOUT_S = 60.0
LEAST_START_S = 10.0


@dataclass(frozen=True, slots=True)
class Refit:
    """A refitted selector.  seconds: of the whole refit.  path: of the file, None where none was written."""

    selector: Selector
    rows: int
    seconds: float
    path: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """Plain data for `--json`."""
        data = self.selector.to_dict()
        return {
            "version": self.selector.version,
            "file": self.path,
            "seconds": round(self.seconds, 3),
            **{name: data[name] for name in ("kind", "thresholds", "training", "metrics")},
        }


def refit(
    log: str | os.PathLike[str],
    output: str | os.PathLike[str] | None = None,
    *,
    rule: JointThreshold | None = None,
    options: TrainingOptions | None = None,
    storage_path: str | None = None,
    timeout_s: float = START_TIMEOUT_S,
    learner: str = DEFAULT,
) -> Refit:
    """Fits a selector to a log and writes the selector file, whole or not at all.

    log: a path or URI.  learner: of SELECTORS: the paper's net, or the speed-up selector
    (`placement.prediction.speedup_selector`). rule: thresholds by which the pairs are labelled now.  storage_path:
    where Ray Train keeps its run; a cluster of several machines needs a shared one. None: a temporary folder, and the
    worker is put on this machine. timeout_s: how long to wait for a CPU of the cluster. Connects to Ray where this
    process has not.

    Raises LogError where the log has nothing to learn from (one device, one class, a newer schema version, no
    features), NotServedError where the cluster has no CPU free in time.
    """
    began = time.monotonic()
    rule, options = rule or JointThreshold(), options or TrainingOptions()
    frame = training_frame(log, rule, learner)
    fitted = through_ray_train(frame, rule, options, storage_path, timeout_s, learner)
    selector = with_interference(described(fitted, frame, log), log)
    if output is not None:
        write_selector(selector, output)
    return Refit(selector, len(frame), time.monotonic() - began, None if output is None else os.fspath(output))


def training_frame(log: str | os.PathLike[str], rule: JointThreshold, learner: str = DEFAULT) -> pd.DataFrame:
    """The labelled pairs of a log that the learner can take: whose features are known, or for "ratio" the FLOPs.

    Rows of before a drift that the learner found are scaled by its factor. For "ratio" also production work that ran
    on one device alone, where there is enough of it: no row then has a label.
    Raises LogError where there is nothing to learn from, OptionError on an unknown learner.
    """
    if learner not in SELECTORS:
        raise OptionError(f"--learner {learner}: valid are {', '.join(SELECTORS)}.")
    table = after_drifts(read_log(log), drifts_of(read_events(log)))
    if learner == "ratio" and (one_sided := one_sided_frame(table)) is not None:
        return one_sided
    frame = labelled(pairs(table), rule, both_classes=True)
    if learner == "ratio":
        from profiling.dataset.frames import of_labelled
        from profiling.learning.timings import check_timings, timings_of

        flops = frame["flops"].to_numpy(float) > 0
        if not flops.any():
            raise LogError(f"nothing to learn from: of none of the {len(frame)} pairs the FLOPs are known. A task's "
                           "spec must tell them.")  # fmt: skip
        frame = of_labelled(frame[flops])
        check_timings(timings_of(frame))
        return frame
    _, known = examples(frame)
    frame = frame[known]
    if frame["label"].nunique() < 2:
        raise LogError(
            f"nothing to learn from: the {len(frame)} pairs with all nine features are all labelled "
            f"{frame['label'].iloc[0]}. Sweep smaller and larger work, or choose other thresholds."
        )
    return frame.reset_index(drop=True)


def through_ray_train(
    frame: pd.DataFrame, rule: JointThreshold, options: TrainingOptions, storage_path: str | None, timeout_s: float,
    learner: str = DEFAULT,
) -> Selector:  # fmt: skip
    """The fit in one worker of a TorchTrainer, fed by Ray Data; its result is checked in the same way as a selector
    file.
    """
    import ray
    from ray.train import DataConfig, FailureConfig, RunConfig, ScalingConfig
    from ray.train.torch import TorchConfig, TorchTrainer

    if not ray.is_initialized():
        ray.init(logging_level=logging.ERROR, log_to_driver=False)
    wait_for_cpu(timeout_s)
    dataset = ray.data.from_pandas(frame[list(COLUMNS[learner])])
    with _scratch(storage_path) as folder, _quiet(timeout_s):
        trainer = TorchTrainer(
            train_loop,
            train_loop_config={"rule": asdict(rule), "options": asdict(options), "learner": learner},
            scaling_config=ScalingConfig(
                num_workers=1, use_gpu=False, resources_per_worker={"CPU": 1}, label_selector=_where(storage_path)
            ),
            torch_config=TorchConfig(backend="gloo"),
            datasets={"train": dataset},
            dataset_config=DataConfig(datasets_to_split=[]),  # one worker: no actors to split it among several
            run_config=RunConfig(
                name=f"refit-{uuid.uuid4().hex[:12]}",  # the same name and path again would resume that run
                storage_path=folder,
                # Without these limits a worker that cannot start is tried for ever.
                failure_config=FailureConfig(max_failures=0, controller_failure_limit=0),
            ),
        )
        result = trainer.fit()
    if result.error is not None:
        raise result.error
    return selector_of(json.loads(result.return_value))


def train_loop(config: Mapping[str, Any]) -> str:
    """The function of the Train worker: its shard of the Ray Data set -> fit -> the selector as JSON."""
    import pandas as pd
    import ray.train
    import torch

    torch.set_num_threads(1)  # the net is so small that threads only wait for one another
    shard = ray.train.get_dataset_shard("train")
    frame = pd.concat(list(shard.iter_batches(batch_size=None, batch_format="pandas")), ignore_index=True)
    rule, options = JointThreshold(**config["rule"]), TrainingOptions(**config["options"])
    if config["learner"] == "ratio":
        from profiling.learning.speedup import fit_speedup_selector

        return json.dumps(fit_speedup_selector(frame, rule, options.seed).to_dict())
    fitted = fit(
        frame,
        rule,
        options,
        on_epoch=lambda epoch, loss: ray.train.report({"epoch": epoch, "validation_loss": loss}),
    )
    ray.train.report({"epoch": fitted.epochs, "validation_loss": fitted.loss})
    return json.dumps(fitted.selector.to_dict())


def with_interference(selector: Selector, log: str | os.PathLike[str]) -> Selector:
    """The selector with the interference model of the log's rows with neighbours; the paper's net as it is."""
    if not isinstance(selector, SpeedupSelector):
        return selector
    from profiling.learning.fit_interference import READ, fit_interference

    return replace(selector, interference=fit_interference(read_log(log, columns=READ)))


def described(selector: Any, frame: pd.DataFrame, log: str | os.PathLike[str]) -> Any:
    """The selector with where it comes from: of which log, configs and kind of measurement."""
    origin = {
        "log": os.path.basename(os.fspath(log).rstrip("/")),
        "configs": _counts(frame, "config"),
        "workloads": _counts(frame, "workload"),
        "time_provenance": _counts(frame, "time_provenance"),
        "energy_provenance": _counts(frame, "energy_provenance"),
        "emulated": bool(frame["emulated"].fillna(False).astype(bool).any()),
        "thresholds": asdict(selector.thresholds),
        "time_utc": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "trained_by": "ray.train.torch.TorchTrainer",
        "versions": environment(),
    }
    return replace(selector, training={**selector.training, **origin})


def write_selector(selector: Selector, path: str | os.PathLike[str]) -> None:
    """Writes the selector file, at a path or a URI, whole or not at all; folders are made. OSError where that fails."""
    write_whole(path, (json.dumps(selector.to_dict(), separators=(",", ":")) + "\n").encode())


def wait_for_cpu(timeout_s: float, cpus: float = 1.0) -> None:
    """Returns once the cluster has so many CPUs free on one node; NotServedError after timeout_s."""
    import ray

    from placement.ray_internals.cluster import free_resources_by_node

    deadline = time.monotonic() + timeout_s
    while True:
        nodes = free_resources_by_node() or {"all": ray.cluster_resources()}
        free = [resources.get("CPU", 0.0) for resources in nodes.values()]
        if max(free, default=0.0) >= cpus:
            return
        if time.monotonic() >= deadline:
            total = ray.cluster_resources().get("CPU", 0.0)
            raise NotServedError(
                f"the cluster has {total:g} CPUs and none was free within {timeout_s:g} s: the refit needs {cpus:g}. "
                "Wait until running tasks end, or give it longer with --timeout."
            )
        time.sleep(min(0.25, timeout_s))


def _where(storage_path: str | None) -> dict[str, str] | None:
    """Label selector of the Train worker: this machine, unless storage is shared or the cluster has one machine."""
    import ray

    if storage_path is not None or len({node["NodeManagerAddress"] for node in ray.nodes() if node["Alive"]}) < 2:
        return None
    return {"ray.io/node-id": ray.get_runtime_context().get_node_id()}


@contextmanager
def _scratch(storage_path: str | None) -> Iterator[str]:
    if storage_path is not None:
        yield storage_path
        return
    with tempfile.TemporaryDirectory(prefix="placement-refit-", ignore_cleanup_errors=True) as folder:
        yield folder


@contextmanager
def _quiet(timeout_s: float) -> Iterator[None]:
    """Ray Data without progress bars; Ray Train gives up on a worker that does not start in time."""
    import ray

    context = ray.data.DataContext.get_current()
    bars, context.enable_progress_bars = context.enable_progress_bars, False
    settings = {
        "RAY_TRAIN_WORKER_GROUP_START_TIMEOUT_S": str(max(timeout_s, LEAST_START_S)),
        "RAY_TRAIN_ENABLE_PREEMPTION_WATCHER": "0",  # an actor of its own, for a run of seconds
    }
    try:
        with environment_of(settings):
            yield
    finally:
        context.enable_progress_bars = bars


def _counts(frame: pd.DataFrame, column: str) -> dict[str, int]:
    """Value -> rows, most first; "unknown" for none."""
    values: Sequence[Any] = frame[column].astype(object).where(frame[column].notna(), "unknown").tolist()
    names = sorted(set(values), key=lambda name: (-values.count(name), str(name)))
    return {str(name): values.count(name) for name in names}
