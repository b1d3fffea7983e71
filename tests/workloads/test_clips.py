"""Clips with captions: generated, read, broken."""

import csv

import pytest

from workloads import DataError
from workloads.datasets import clip_tokenizer, clips, clips_generator, kinetics


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """A data root with a small clips/, in which every clip shows its own group's colour and words."""
    folder = tmp_path_factory.mktemp("clips-root")
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(clips_generator, "NOISE", 0.0)
        clips_generator.write(folder / "clips", sizes={"train": 6, "test": 2})
    return folder


def test_a_split_has_clips_covers_texts_and_figures(root):
    found = clips.read(root, "train")
    assert not found.synthetic, "it was not written by the loader"
    assert found.labels == kinetics.LABELS
    assert [row["label"] for row in found.rows] == [0, 1, 2, 3, 4, 5]
    assert all(len(row["figures"]) == len(clips.FIGURES) for row in found.rows)
    assert len(clips.read(root, "test").rows) == 2
    row = found.rows[0]
    images = clips.images_of(row["clip"], row["cover"], 2, 32)
    assert images.shape == (3, 32, 32, 3)
    assert images[0].mean() != images[1].mean(), "the picture is panned over"


def test_colours_tell_groups_of_labels(root):
    rows = clips.read(root, "train").rows
    tints = {clips_generator.TINTS[row["label"] // 2]: row for row in rows}
    strongest = [clips.images_of(row["clip"], row["cover"], 1, 32).mean((0, 1, 2)).argmax() for row in tints.values()]
    assert strongest == [0, 1, 2], "red, green, blue"


def test_the_tokenizer_knows_the_words_of_the_captions(root):
    row = clips.read(root, "train").rows[0]
    text = clips.text_of(row["caption"], row["description"])
    assert text.startswith(row["caption"])
    tokens = clip_tokenizer.tokenise([text], clips.vocabulary(root), 77)
    assert tokens["attention_mask"].sum() <= len(text.split()) * 2 + 4, "whole words, not letters"


def test_a_clip_without_all_its_files_is_left_out(tmp_path):
    clips_generator.write(tmp_path / "clips", sizes={"train": 2})
    first, second = clips.read(tmp_path, "train").rows
    (tmp_path / first["cover"]).unlink()
    assert clips.read(tmp_path, "train").rows == [second]
    (tmp_path / second["description"]).unlink()
    with pytest.raises(DataError, match=r"none of the 2 clips of .*train\.csv is whole on disk.*\.txt"):
        clips.read(tmp_path, "train")


def test_an_unknown_split_names_those_there_are(root):
    with pytest.raises(DataError, match=r"no validate\.csv; its splits are test, train"):
        clips.read(root, "validate")


@pytest.mark.parametrize(
    ("column", "value", "named"),
    [("views", "many", r"captions\.csv, line 2: .* must be numbers"), ("hour", None, "has no column hour")],
)
def test_a_broken_caption_table_is_named(tmp_path, column, value, named):
    clips_generator.write(tmp_path / "clips", sizes={"train": 1})
    path = tmp_path / "clips" / clips.CAPTIONS
    with path.open(newline="") as file:
        (row,) = csv.DictReader(file)
    row = {**row, column: value} if value else {name: cell for name, cell in row.items() if name != column}
    clips_generator.write_table(path, [row])
    with pytest.raises(DataError, match=named):
        clips.read(tmp_path, "train")


def test_a_broken_cover_is_named(root, tmp_path):
    row = clips.read(root, "train").rows[0]
    (tmp_path / "bad.jpg").write_bytes(b"\xff\xd8 not a picture")
    with pytest.raises(DataError, match=r"bad\.jpg.*replace or remove"):
        clips.images_of(row["clip"], str(tmp_path / "bad.jpg"), 1, 32)
