"""The benchmark of pipelines on real pictures: its pure parts, bad input; and, as a long run, few pictures for real."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from test_pipelines import FOUND
from typer.testing import CliRunner

from placement.errors import MissingExtraError, OptionError
from profiling.cli.app import main
from profiling.pipelines import pictures, real
from profiling.pipelines.shapes import SHAPES
from profiling.pipelines.table import HEADER, rows_of_real, title_of_real

SHAPE = SHAPES["image_classification"]


@pytest.mark.parametrize("rows", [1, 2, 24, 200, 2_000])
@pytest.mark.parametrize("share", [0.0, 0.3, 0.5, 1.0])
def test_a_share_is_of_whole_batches(rows, share):
    batch = real.sized(SHAPE, rows).batch
    on_gpu = real.whole_batches(share, rows, batch) * rows
    assert on_gpu == pytest.approx(rows) or on_gpu % batch == pytest.approx(0)
    assert abs(on_gpu - share * rows) <= batch / 2


def test_few_rows_make_four_batches_and_many_make_those_of_the_shape():
    assert [real.sized(SHAPE, rows).batch for rows in (1, 24, 2_000)] == [1, 6, SHAPE.batch]
    assert real.whole_batches(None, 24, 6) is None


def test_files_are_generated_once_and_decoded_to_the_networks_size(tmp_path):
    paths = pictures.files(tmp_path, 3)
    written = [(path, Path(path).read_bytes()) for path in paths]
    assert len(set(paths)) == 3
    assert [(path, Path(path).read_bytes()) for path in pictures.files(tmp_path, 3)] == written
    batch = {"path": np.array(paths), "bytes": np.array([data for _, data in written], dtype=object)}
    prepared = pictures.prepare(batch)
    assert prepared["data"].shape == (3, 3, pictures.SIDE, pictures.SIDE)
    assert prepared["data"].nbytes == 3 * SHAPE.prepared_bytes
    assert list(prepared["id"]) == paths
    assert pictures.PictureSpec(SHAPE)(prepared) == SHAPE.spec(3)


def test_the_table_says_what_is_emulated_and_has_no_bound():
    arms = {"pinned": {**FOUND, "bound_ratio": None}, "placed": {**FOUND, "bound_ratio": None, "joules_per_row": None}}
    times = {"cpu": "measured", "gpu": "emulated"}
    found = {"images": 24, "times": times, "joules": "emulated", "arms": arms}
    rows = rows_of_real(found)
    assert {len(row) for row in rows} == {len(HEADER)}
    assert [(row[0], row[1], row[3], row[6]) for row in rows] == [
        ("real, GPU emulated", "pinned", "-", "0.5"), ("real, GPU emulated", "placed", "-", "-"),
    ]  # fmt: skip
    assert "on CPUs measured, on the GPU emulated; joules emulated" in title_of_real(found)


def test_what_cannot_run_is_refused_before_anything_starts(tmp_path, monkeypatch):
    with pytest.raises(OptionError, match=r"best_fixed.*valid are"):
        real.benchmark(24, ["best_fixed"], data=tmp_path)
    with pytest.raises(OptionError, match="images=0: must be at least 1"):
        real.benchmark(0, data=tmp_path)
    monkeypatch.setattr(real, "find_spec", lambda _: None)
    with pytest.raises(MissingExtraError, match=r"torchvision.*pip install"):
        real.benchmark(24, data=tmp_path)
    assert not list(tmp_path.iterdir())


@pytest.mark.soak
def test_every_arm_classifies_each_picture_once(tmp_path):
    out = tmp_path / "figures.json"
    command = ["bench-pipeline", "--real", "--images", "24", "--data", str(tmp_path), "--json", str(out)]
    done = CliRunner().invoke(main, command)
    assert done.exit_code == 0, done.output
    found = json.loads(out.read_text())["real"]
    assert set(found["arms"]) == set(real.ARMS)
    for figures in found["arms"].values():
        assert (figures["rows_lost"], figures["rows_twice"]) == (0, 0)
        assert figures["makespan_seconds"] > 0
    assert found["arms"]["cpu_only"]["busy"]["gpu"] == 0
    assert found["arms"]["pinned"]["busy"]["cpu"] == 0
