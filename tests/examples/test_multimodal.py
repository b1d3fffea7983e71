"""The multimodal example: its stages as plain functions, its head, its tables; and the whole run (`make soak`)."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch

from examples.multimodal import fusion, results, stages
from examples.multimodal.pipeline import Finished
from examples.multimodal.settings import Settings
from placement.log.schema import table_of
from placement.spec.task_record import TaskRecord
from profiling.report.batch_rates import batch_rates
from workloads.datasets import clips, clips_generator

PROJECT = Path(__file__).resolve().parents[2]
RUN_S = 1800
"""A bound against a run that never ends, wide enough for a busy machine."""


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("example")
    clips_generator.write(folder / "clips", sizes={"train": 6, "test": 2})
    return folder


@pytest.fixture(scope="module")
def settings(root: Path) -> Settings:
    return Settings(clips.vocabulary(root), clips.read(root, "train").labels, size=32, tokens=16)


@pytest.fixture(scope="module")
def decoded(root: Path, settings: Settings) -> dict[str, Any]:
    rows = clips.read(root, "train").rows
    return stages.decode({name: np.array([row[name] for row in rows], dtype=object) for name in rows[0]}, settings)


def test_decoding_gives_numbers_of_every_kind_of_data(decoded: dict[str, Any], settings: Settings) -> None:
    assert decoded["pixels"].shape == (6, settings.images, 32, 32, 3)
    assert decoded["input_ids"].shape == (6, 16)
    assert decoded["figures"].shape == (6, len(clips.FIGURES))
    assert stages.decode_spec(decoded, settings).batch_size == 6


def test_every_worker_embeds_alike_and_clips_differ(decoded: dict[str, Any], settings: Settings) -> None:
    first, second = (stages.Embed(settings)(decoded) for _ in range(2))
    for kind in ("video", "text"):
        assert first[kind].shape == (6, settings.widths[kind])
        assert np.array_equal(first[kind], second[kind])
        assert first[kind].std(0).min() > 0


def test_a_batch_costs_as_many_times_one_clip(settings: Settings) -> None:
    row = settings.row_spec()
    spec = stages.EmbedSpec(row)({"id": np.arange(5)})
    assert spec.flops == 5 * row.flops > 0
    assert (spec.batch_size, spec.parameters) == (5, row.parameters)


def test_the_head_needs_all_kinds_of_data_and_is_the_same_after_a_checkpoint(
    decoded: dict[str, Any], settings: Settings
) -> None:
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 6, 240)
    told = {"video": labels // 2, "text": labels % 3, "figures": labels // 3}
    data = {kind: np.eye(width, dtype=np.float32)[told[kind]] for kind, width in settings.widths.items()}
    batch = fusion.tensors({**data, "label": labels}, "cpu")
    torch.manual_seed(0)
    head = fusion.FusionHead(settings.widths, 6)
    optimiser = torch.optim.AdamW(head.parameters(), lr=0.02)
    for _ in range(20):
        metrics = fusion.one_epoch(head, optimiser, fusion.shuffled([batch], 40), None)
    assert metrics["accuracy"] > 0.95
    assert metrics["rows"] == 240
    alone = {kind: logits.argmax(-1) for kind, logits in head.eval().parts(batch).items()}
    assert all((answers == batch["label"]).float().mean() < 0.7 for answers in alone.values())
    model = stages.Classify(settings, fusion.to_bytes(head))
    assert torch.equal(model.head(batch), head(batch))
    found = model(decoded)
    assert found["predicted"].shape == (6,)
    assert ((found["confidence"] > 1 / 6) & (found["confidence"] <= 1)).all()


def test_a_batch_of_one_row_is_seen_but_not_trained_on(settings: Settings) -> None:
    head = fusion.FusionHead(settings.widths, 6)
    before = fusion.to_bytes(head)
    one = {kind: torch.ones(1, width) for kind, width in settings.widths.items()} | {"label": torch.tensor([1])}
    assert fusion.one_epoch(head, torch.optim.AdamW(head.parameters()), iter([one]), None)["rows"] == 1
    assert fusion.to_bytes(head) == before


def test_the_tables_and_the_page_say_what_was_found(tmp_path: Path) -> None:
    predictions = pa.table({"label": [0, 1, 1], "predicted": [0, 1, 0], "by_video": [0, 0, 0], "by_text": [1, 1, 1]})
    common = {"run_id": "x", "source": "production", "function": "m.Embed", "time_provenance": "emulated"}
    rows = [
        TaskRecord(**common, device="cpu", batch_size=4, compute_s=2.0, cpu_joules=8.0, time_utc=100.0),
        TaskRecord(**common, device="gpu", batch_size=12, compute_s=1.5, cpu_joules=1.0, time_utc=100.0),
    ]
    finished = Finished([{"epoch": 0, "loss": 1.0, "accuracy": 0.5}], predictions, table_of(rows))
    assert results.accuracies(predictions) == pytest.approx({"video": 1 / 3, "text": 2 / 3, "together": 2 / 3})
    assert results.confusion(predictions, ("a", "b")) == [[1, 0], [1, 1]]
    assert results.device_cells(batch_rates(finished.log))[1:] == [
        ["Embed", "CPU", "1", "4", "2.0", "2"], ["Embed", "GPU", "1", "12", "6.0", "–"],
    ]  # fmt: skip
    text = results.write_page(tmp_path, finished, ("a", "b"), True, {"train": 3.0}).read_text()
    assert "75%" in text
    assert "generated" in text
    assert "emulated" in text


@pytest.mark.soak
def test_the_whole_example_runs(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "examples.multimodal", "-o", str(tmp_path)]
    done = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, timeout=RUN_S)
    assert done.returncode == 0, done.stdout + done.stderr
    import pyarrow.parquet as pq

    from placement.log import read_log

    predictions = pq.read_table(tmp_path / "predictions.parquet")
    assert len(set(predictions["id"].to_pylist())) == len(predictions) == clips_generator.SIZES["test"]
    right = results.accuracies(predictions)
    assert right["together"] > max(share for kind, share in right.items() if kind != "together")
    found = batch_rates(read_log(tmp_path / "log"))
    assert {"decode", "Embed", "Classify"} <= {results.stage_of(rate) for rate in found}
    embedded = sum(rate.rows for rate in found if results.stage_of(rate) == "Embed")
    assert embedded >= clips_generator.SIZES["train"]
    seen = [json.loads(line) for line in (tmp_path / fusion.SEEN).read_text().splitlines()]
    assert seen[-1]["epoch"] == 29
    assert "together" in done.stdout
    assert (tmp_path / "report.html").exists()
