"""The interface of a workload: a `Preset` that can be described, fed and run.

    preset.prepare(data_root) -> Batch      real files read from disk, or generated ones of the same layout
    preset.spec(steps) -> TaskSpec          its costs, before it runs
    preset.run(batch, device, steps) -> Outcome

A preset takes its device as an argument and never looks one up, imports no Ray, and sets no thread counts: those of
torch and OpenMP are the caller's. Importing this package imports no torch.

The input pipeline. A preset with `loader=True` gets *encoded* files in its batch (JPEG, mp4 or text as bytes, so that
the batch can travel to any node) and decodes them anew in every step, one step ahead in a thread of its own, as a
training run's loader does. Its `spec` then carries one more operation, of kind "pipeline", which `pipeline()` gives
apart. The same preset with `loader=False` (its name ends in `_compute`) gets decoded arrays: the difference
of the two is the loader. `Outcome.loader_s` has the loader's own seconds.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal

from placement.spec.task import Operation, TaskSpec

if TYPE_CHECKING:
    import numpy as np

PresetKind = Literal["train", "infer", "preprocess"]


class DataError(ValueError):
    """A data set that is broken or not in the layout its loader reads. The message names the file or folder."""


@dataclass(frozen=True, slots=True)
class Batch:
    """One batch from its loader: plain data that can be sent to another process.

    dataset: its name.  synthetic: its files were generated here, or its rows sampled with noise from real ones.
    arrays: decoded model inputs by name, with `labels` (int64) where there are any; C-contiguous.
    files: encoded files (a preset with a loader, and preprocessing).  names: where each file came from.
    labels: of the files.  vocabulary: the tokenizer as JSON, where text is to be tokenised.
    """

    dataset: str
    synthetic: bool
    arrays: Mapping[str, np.ndarray] = field(default_factory=dict)
    files: tuple[bytes, ...] = ()
    names: tuple[str, ...] = ()
    labels: tuple[int, ...] = ()
    vocabulary: str | None = None

    @property
    def nbytes(self) -> int:
        """Bytes of arrays and files together."""
        return sum(array.nbytes for array in self.arrays.values()) + sum(map(len, self.files))


@dataclass(frozen=True, slots=True)
class Outcome:
    """The result of a run: small, so that it costs nothing to return from a remote task.

    value: the last step's loss (train), or the mean of its outputs: finite where the run was sound.
    samples: in all steps together.
    transfer_s: seconds of copies to the device in all steps; 0.0 on a CPU; None = not measured.
    loader_s: seconds the loader decoded, overlapping with compute from the second step on; None = no loader.
    """

    value: float
    samples: int
    transfer_s: float | None = None
    loader_s: float | None = None


@dataclass(frozen=True, kw_only=True)
class Preset(ABC):
    """One size of one workload. Frozen and hashable; `name` is unique and stable, so that a log can carry it.

    workload: the workload or preprocessing task it is a size of.  family: kind of model or operation (image, text,
    video, tabular, or a word of one's own); hold-outs by family go by it.  has_gpu: it has a GPU implementation; where
    not, it is never a candidate for one.  function_key, runtime_env: of a placed function, which a preset is not.
    sizes: how its name writes its sizes; `preset` is itself.
    """

    workload: ClassVar[str]
    family: ClassVar[str]
    framework: ClassVar[str]
    dataset: ClassVar[str]
    has_gpu: ClassVar[bool] = True
    function_key: ClassVar[None] = None
    runtime_env: ClassVar[None] = None
    sizes: ClassVar[str] = ""
    kind: PresetKind

    @property
    def name(self) -> str:
        """Unique among all presets, and readable."""
        return self.sizes.format(preset=self)

    @property
    def function(self) -> str:
        """The name of its function in the log: the package that it is defined in, and its workload."""
        return f"{type(self).__module__.partition('.')[0]}.{self.workload}"

    @abstractmethod
    def prepare(self, data_root: str | Path) -> Batch:
        """A batch from the data set under `data_root`, which is generated there where it is missing.

        Raises DataError that names the file where the data set is broken.
        """

    @abstractmethod
    def run(self, batch: Batch, device: str, steps: int = 1) -> Outcome:
        """Runs `steps` steps on "cpu" or "cuda:N"; ValueError where this preset cannot run on that device."""

    @abstractmethod
    def one_step(self) -> TaskSpec:
        """The spec of one step, less the input pipeline."""

    def pipeline(self) -> Operation | None:
        """The loader's work for one step, on the CPU for either device; None where there is no loader."""
        return None

    def spec(self, steps: int = 1) -> TaskSpec:
        """The spec of `run`. The loader's operation, where there is one, is the last of `operations`."""
        spec, pipeline = self.one_step(), self.pipeline()
        operations = spec.operations
        if pipeline is not None and operations is not None:
            operations = (*operations, pipeline)
        return replace(spec, steps=steps, operations=operations)


def pipeline_operation(decoded_bytes: float) -> Operation:
    """The loader's work for one step: `decoded_bytes` are what the decoder writes, at the files' own resolution.

    Its rate is the loader's measure, bytes a second of one core; no floating-point operations are claimed for it.
    """
    return Operation("pipeline", 0.0, float(decoded_bytes), 0)


def require(device: str, *valid: str) -> None:
    """Raises ValueError where `device` is not of these kinds ("cpu", "cuda")."""
    if device.partition(":")[0] not in valid:
        raise ValueError(f"device={device!r} is not one this task runs on; valid are {', '.join(valid)} ('cuda:0').")
