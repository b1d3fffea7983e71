"""A mixed stream of real tasks: the five workloads and the preprocessing, each a placed function of its own.

A task takes a preset's name and its batch (an ObjectRef) and gives its Outcome, which is checked. A task that fails
is counted and the stream goes on.
"""

from __future__ import annotations

import math
import random
from collections import Counter, deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from itertools import cycle
from pathlib import Path
from typing import Any

import ray

import workloads
from placement import current_device, placed_remote
from placement.scheduling.explanation import Explanation
from placement.spec.task import TaskSpec
from workloads import Batch, Outcome

IN_FLIGHT = 4  # one for each emulated node; more would only start more worker processes, at 1 GB each
SMALLEST = 3  # presets that a mix is filled up with
ALIKE = 1e-3  # relative: results of one deterministic task may differ by so much between runs
DETERMINISTIC = frozenset({"xgboost_iris", "jpeg_resize", "normalise", "tokenise", "video_decode", "parse_table"})
"""Kinds of task whose results are deterministic; networks are not, since each process draws random weights."""

MIX: dict[str, int] = {
    # BERT on IMDB: full width (110 M parameters) and a quarter of it
    "bert_infer_b1_l16_w1.0": 4,
    "bert_infer_b1_l64_w1.0": 4,
    "bert_train_b1_l16_w1.0": 1,
    "bert_infer_b1_l16_w0.25": 9,
    "bert_infer_b8_l64_w0.25": 4,
    # XGBoost on Iris, and on tables sampled from it
    "xgboost_train_r150_t20_d3": 8,
    "xgboost_train_r150_t100_d6": 6,
    "xgboost_infer_r150_t100_d6": 6,
    "xgboost_infer_r100000_t20_d3": 2,
    # ResNet-18 and MobileNetV3-Small on ImageNet-100
    "resnet18_infer_b1_s32_w1.0": 7,
    "resnet18_infer_b1_s224_w1.0": 6,
    "resnet18_infer_b8_s112_w1.0": 4,
    "resnet18_train_b4_s32_w0.25": 3,
    "resnet18_train_b8_s64_w1.0": 2,
    "mobilenetv3_infer_b1_s32_w1.0": 8,
    "mobilenetv3_infer_b1_s224_w1.0": 6,
    "mobilenetv3_infer_b64_s64_w1.0": 4,
    "mobilenetv3_train_b8_s64_w1.0": 4,
    # TimeSformer on Kinetics-400: all 12 layers, full width and a quarter of it
    "timesformer_infer_b1_f1_s32_w1.0": 3,
    "timesformer_infer_b1_f1_s112_w1.0": 5,
    "timesformer_infer_b1_f1_s32_w0.25": 8,
    "timesformer_infer_b1_f8_s64_w0.25": 6,
    # preprocessing; the last three have no GPU implementation
    "jpeg_resize_b1_s64": 11,
    "jpeg_resize_b8_s224": 11,
    "normalise_b1_f8_s224": 11,
    "normalise_b8_f8_s224": 11,
    "tokenise_b16_l128": 11,
    "tokenise_b64_l512": 11,
    "video_decode_b1_f1_s224": 11,
    "video_decode_b1_f8_s224": 11,
    "parse_table_b1000": 11,
    "parse_table_b10000": 11,
}
"""Preset -> how many tasks of it: 22 of each workload and preprocessing task, from work no GPU is worth to work no CPU
should get, and cheap enough to be run for real on two cores."""


@cache
def _spec(name: str, steps: int) -> TaskSpec:
    """Kept, so that tasks of one preset are the same object: their decision is then taken once a snapshot."""
    return workloads.preset(name).spec(steps)


def spec_of(name: str, batch: Any, steps: int = 1) -> TaskSpec:  # noqa: ARG001 - a spec takes the task's arguments
    """The spec of a task of this stream; the batch, an ObjectRef, is not looked at."""
    return _spec(name, steps)


def _run(name: str, batch: Batch, steps: int) -> Outcome:
    return workloads.preset(name).run(batch, current_device(), steps)


@placed_remote(spec=spec_of)
def bert_imdb(name: str, batch: Batch, steps: int = 1) -> Outcome:
    """A step of BERT."""
    return _run(name, batch, steps)


@placed_remote(spec=spec_of)
def xgboost_iris(name: str, batch: Batch, steps: int = 1) -> Outcome:
    """A fit or a prediction of trees."""
    return _run(name, batch, steps)


@placed_remote(spec=spec_of)
def resnet18_imagenet100(name: str, batch: Batch, steps: int = 1) -> Outcome:
    """A step of ResNet-18."""
    return _run(name, batch, steps)


@placed_remote(spec=spec_of)
def mobilenetv3_imagenet100(name: str, batch: Batch, steps: int = 1) -> Outcome:
    """A step of MobileNetV3-Small."""
    return _run(name, batch, steps)


@placed_remote(spec=spec_of)
def timesformer_k400(name: str, batch: Batch, steps: int = 1) -> Outcome:
    """A step of TimeSformer."""
    return _run(name, batch, steps)


@placed_remote(spec=spec_of)
def jpeg_resize(name: str, batch: Batch, steps: int = 1) -> Outcome:
    """JPEG files to small pictures; runs on either device."""
    return _run(name, batch, steps)


@placed_remote(spec=spec_of)
def normalise(name: str, batch: Batch, steps: int = 1) -> Outcome:
    """Frames to normalised FP32; runs on either device."""
    return _run(name, batch, steps)


@placed_remote
def tokenise(name: str, batch: Batch, steps: int = 1) -> Outcome:
    """Reviews to token ids; there is no GPU implementation, so it is never placed."""
    return _run(name, batch, steps)


@placed_remote
def video_decode(name: str, batch: Batch, steps: int = 1) -> Outcome:
    """Clips to frames, on a CPU only."""
    return _run(name, batch, steps)


@placed_remote
def parse_table(name: str, batch: Batch, steps: int = 1) -> Outcome:
    """CSV text to numbers, on a CPU only."""
    return _run(name, batch, steps)


PLACEABLE = {
    "bert_imdb": bert_imdb,
    "xgboost_iris": xgboost_iris,
    "resnet18_imagenet100": resnet18_imagenet100,
    "mobilenetv3_imagenet100": mobilenetv3_imagenet100,
    "timesformer_k400": timesformer_k400,
    "jpeg_resize": jpeg_resize,
    "normalise": normalise,
}
CPU_ONLY = {"tokenise": tokenise, "video_decode": video_decode, "parse_table": parse_table}
FUNCTIONS: dict[str, Any] = {**PLACEABLE, **CPU_ONLY}
"""Workload or preprocessing task -> its placed function."""


@dataclass
class StreamCounts:
    """Results of a stream. done: tasks by workload.  failures: (preset, the fault) of the others."""

    done: Counter[str] = field(default_factory=Counter)
    failures: list[tuple[str, str]] = field(default_factory=list)
    _values: dict[str, float] = field(default_factory=dict, repr=False)

    def take(self, name: str, outcome: Any) -> None:
        """Counts a result, as done where nothing is wrong with it."""
        preset = workloads.preset(name)
        fault = fault_of(name, outcome)
        if fault is None and preset.workload in DETERMINISTIC:
            first = self._values.setdefault(name, outcome.value)
            if not math.isclose(first, outcome.value, rel_tol=ALIKE):
                fault = f"gave {outcome.value!r}, an equal task before it {first!r}"
        if fault is None:
            self.done[preset.workload] += 1
        else:
            self.failures.append((name, fault))


def fault_of(name: str, outcome: Any) -> str | None:
    """The fault of a task's result; None where it is a finite Outcome of as many samples as its preset has."""
    if not isinstance(outcome, Outcome):
        return f"gave {type(outcome).__name__}, not an Outcome"
    if not math.isfinite(outcome.value):
        return f"gave {outcome.value!r}, which is not finite"
    preset = workloads.preset(name)
    wanted = preset.rows if preset.framework == "xgboost" else preset.batch  # type: ignore[attr-defined]
    return None if outcome.samples == wanted else f"worked on {outcome.samples} samples, not {wanted}"


def mixed(mix: Mapping[str, int] | None = None, seed: int = 0) -> list[str]:
    """The presets' names, each as often as the mix says, in a random order that the seed gives."""
    names = [name for name, count in (mix or MIX).items() for _ in range(count)]
    random.Random(seed).shuffle(names)
    return names


def batches_of(names: Iterable[str], data_root: str | Path) -> dict[str, Any]:
    """One batch of each preset, read from its files and put into the object store: name -> ObjectRef."""
    return {name: ray.put(workloads.preset(name).prepare(data_root)) for name in dict.fromkeys(names)}


def send(
    names: Sequence[str], batches: Mapping[str, Any], advance: Callable[[str], None] = lambda _: None
) -> StreamCounts:
    """Sends a task of each preset named, a few at a time, and checks every result; advance: called after each."""
    streamed, waiting, running = StreamCounts(), deque(names), {}
    while waiting or running:
        while waiting and len(running) < IN_FLIGHT:
            name = waiting.popleft()
            try:
                running[FUNCTIONS[workloads.preset(name).workload].remote(name, batches[name])] = name
            except Exception as error:
                streamed.failures.append((name, f"was not sent: {type(error).__name__}: {error}"))
                advance(name)
        if not running:
            continue
        for ref in ray.wait(list(running), num_returns=1)[0]:
            name = running.pop(ref)
            try:
                streamed.take(name, ray.get(ref))
            except Exception as error:
                raised = getattr(error, "cause", None) or error  # the task's own exception, without Ray's traceback
                streamed.failures.append((name, f"failed: {type(raised).__name__}: {str(raised)[:300]}"))
            advance(name)
    return streamed


def explained(names: Iterable[str], batches: Mapping[str, Any]) -> dict[str, Explanation]:
    """The decision and its reason for each preset of a placeable function, by the selector in service."""
    found = {}
    for name in dict.fromkeys(names):
        function = PLACEABLE.get(workloads.preset(name).workload)
        if function is not None:
            found[name] = function.explain(name, batches[name])
    return found


def balanced(names: Sequence[str], why: Mapping[str, Explanation], least: float) -> list[str]:
    """The names, with as many more tasks as give each device `least` of the placeable ones, by these decisions.

    Those added are of the presets that the selector sends to the lacking device, in turn, the smallest first; where it
    sends none there, nothing is added.
    """
    filled = list(names)
    for device, share in device_shares(names, why).items():
        there = sorted(
            (name for name in why if why[name].decision.device == device), key=lambda n: why[n].task.flops or 0
        )
        placeable = sum(name in why for name in filled)
        missing = math.ceil((least - share) * placeable / (1 - least)) if share < least else 0
        filled += [name for name, _ in zip(cycle(there[:SMALLEST]), range(missing), strict=False)]
    random.Random(len(filled)).shuffle(filled)
    return filled


def device_shares(names: Iterable[str], why: Mapping[str, Explanation]) -> dict[str, float]:
    """The share of the placeable tasks among the names that is sent to each device."""
    counts = Counter(why[name].decision.device for name in names if name in why)
    total = max(1, counts.total())
    return {device: counts[device] / total for device in ("cpu", "gpu")}
