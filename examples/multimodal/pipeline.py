"""The pipeline: the datasets of both splits, the training through Ray Train, the inference, on one cluster."""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import ray
from rich.progress import Progress, TaskID

import placement
from examples.multimodal.settings import Settings
from examples.multimodal.stages import Classify, Embed, EmbedSpec, decode, decode_spec
from profiling.demo.demo import FLUSH_S, Stages
from profiling.emulation.emulated_cluster import EMULATOR
from workloads.datasets import clips

if TYPE_CHECKING:
    import pyarrow as pa
    from ray.data import Dataset

WORKERS = {"cpu": 1, "gpu": 2}
"""Most workers of a model's stage on each device: each imports torch, and the emulated devices share one machine."""
START_TIMEOUT_S = "600"
POLL_S = 0.5


@dataclass(frozen=True)
class Finished:
    """history: a line for each epoch, with loss, accuracy and seconds.  predictions: a row for each test clip.
    log: all rows of the log.
    """

    history: list[dict[str, Any]]
    predictions: pa.Table
    log: pa.Table


class Pipeline:
    """One run of the pipeline under the folder `out`, printed stage by stage."""

    def __init__(self, out: Path, settings: Settings, stages: Stages) -> None:
        self.out, self.settings, self.stages = out.absolute(), settings, stages
        self.spec = EmbedSpec(settings.row_spec())

    def run(self, train: clips.Clips, test: clips.Clips, address: str | None, configs: tuple[str, ...]) -> Finished:
        """Trains on one split and applies the model to the other. address: of a cluster; None: an emulated one."""
        from placement.log import read_log

        with ExitStack() as cluster:
            with self.stages.stage("cluster", f"Connecting to {address or 'emulated nodes ' + ', '.join(configs)}"):
                cluster.enter_context(connected(address, configs))
                placement.start(log=str(self.out / "log"), **({} if address else {"emulator": EMULATOR}))
            with self.stages.stage("train", "Decoding, embedding, and training the head from the stream"):
                history, checkpoint = self.trained(train.rows)
            with self.stages.stage("infer", "Applying the trained model to clips it has not seen"):
                predictions = self.predicted(test.rows, checkpoint)
            placement.flush(FLUSH_S)
        return Finished(history, predictions, read_log(self.out / "log"))

    def decoded(self, rows: list[dict[str, Any]]) -> Dataset:
        """The clips as numbers. Only CPUs decode them: the stage is Ray Data's own, with rows of the log."""
        source = ray.data.from_items(rows, override_num_blocks=-(-len(rows) // self.settings.decode_rows))
        return placement.map_batches(
            source, decode, spec=decode_spec, device="cpu", batch_size=self.settings.decode_rows,
            fn_kwargs={"settings": self.settings},
        )  # fmt: skip

    def modelled(self, rows: list[dict[str, Any]], model: type[Embed], **arguments: Any) -> Dataset:
        """The results of a model on the clips: each batch on a CPU or on a GPU."""
        return placement.map_batches(
            self.decoded(rows), model, spec=self.spec, batch_size=self.settings.rows, concurrency=WORKERS,
            fn_constructor_kwargs={"settings": self.settings, **arguments},
        )  # fmt: skip

    def trained(self, rows: list[dict[str, Any]]) -> tuple[list[dict[str, Any]], bytes]:
        """(a line for each epoch, the head's weights). Ray Train runs where `placement.choose` says."""
        from ray.train import DataConfig, FailureConfig, RunConfig
        from ray.train.torch import TorchConfig, TorchTrainer

        from examples.multimodal.fusion import CHECKPOINT, SEEN, train_loop

        chosen = placement.choose(self.head_spec())
        trainer = TorchTrainer(
            train_loop,
            train_loop_config={"settings": self.settings, "folder": str(self.out)},
            scaling_config=chosen.scaling_config(num_workers=1),
            torch_config=TorchConfig(backend="gloo"),
            datasets={"train": self.modelled(rows, Embed)},
            dataset_config=DataConfig(datasets_to_split=[]),  # one worker: nothing to split
            run_config=RunConfig(
                name="fusion",
                storage_path=str(self.out / "train"),
                # Without these limits a worker that cannot start is tried for ever.
                failure_config=FailureConfig(max_failures=0, controller_failure_limit=0),
            ),
        )
        seen = self.out / SEEN
        seen.unlink(missing_ok=True)
        with progress(self.stages) as bar, followed(seen, bar, bar.add_task("clips", total=len(rows))):
            result = trainer.fit()
        with result.checkpoint.as_directory() as folder:
            weights = (Path(folder) / CHECKPOINT).read_bytes()
        return [line for line in map(json.loads, seen.read_text("utf-8").splitlines()) if "epoch" in line], weights

    def head_spec(self) -> placement.TaskSpec:
        """A step of the head: a multiply-add forward and two backward for each of its weights and rows."""
        weights = (sum(self.settings.widths.values()) + len(self.settings.widths)) * len(self.settings.labels)
        rows = self.settings.train_rows
        return placement.TaskSpec(
            flops=6.0 * weights * rows, input_bytes=4.0 * sum(self.settings.widths.values()) * rows, batch_size=rows,
            parameters=weights, framework="torch", kind="train",
        )  # fmt: skip

    def predicted(self, rows: list[dict[str, Any]], checkpoint: bytes) -> pa.Table:
        """A row for each clip, also in predictions.parquet."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        came = []
        with progress(self.stages) as bar:
            task = bar.add_task("clips", total=len(rows))
            results = self.modelled(rows, Classify, checkpoint=checkpoint)
            for batch in results.iter_batches(batch_size=None, batch_format="pyarrow"):
                came.append(batch)
                bar.advance(task, batch.num_rows)
        table = pa.concat_tables(came).sort_by("id")
        pq.write_table(table, self.out / "predictions.parquet")
        return table


@contextmanager
def connected(address: str | None, configs: tuple[str, ...]) -> Iterator[None]:
    """A connection to a cluster, or to emulated nodes started for it; without Ray Data's own bars and notes."""
    from profiling.emulation.emulated_cluster import emulated_cluster, environment_of

    environment = {
        "RAY_TRAIN_WORKER_GROUP_START_TIMEOUT_S": START_TIMEOUT_S,
        "RAY_TRAIN_ENABLE_PREEMPTION_WATCHER": "0",  # an actor of its own, for a run of minutes
        "OMP_NUM_THREADS": "1",
    }
    with ExitStack() as stack:
        stack.enter_context(environment_of(environment))
        if address is None:
            stack.enter_context(emulated_cluster(configs, num_cpus_per_node=2))
        else:
            ray.init(address, log_to_driver=False)
            stack.callback(ray.shutdown)
        ray.data.DataContext.get_current().enable_progress_bars = False
        logging.getLogger("ray.data").setLevel(logging.ERROR)
        yield


def progress(stages: Stages) -> Progress:
    """A bar on the console of the stages."""
    return Progress(console=stages.console)


@contextmanager
def followed(seen: Path, bar: Progress, task: TaskID) -> Iterator[None]:
    """Moves the bar to the rows that the training loop has written to the file `seen`."""
    ends = threading.Event()

    def follow() -> None:
        while not ends.wait(POLL_S):
            if seen.exists():
                lines = seen.read_text("utf-8").rpartition("\n")[0].splitlines()
                bar.update(task, completed=max((json.loads(line)["rows"] for line in lines), default=0))

    thread = threading.Thread(target=follow, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ends.set()
        thread.join()
