"""Loaders on generated layouts: real files written, read back, and broken."""

import csv
import json
import shutil
import threading
from multiprocessing import get_context

import numpy as np
import pytest

from workloads import DataError
from workloads.datasets import imagenet, imdb, iris, kinetics
from workloads.datasets.synthetic import MARKER, ensure, is_synthetic


def test_imagenet_layout_holds_real_jpegs_of_average_size(data_root):
    from PIL import Image

    found = imagenet.sample(data_root, 4)
    assert found.synthetic
    assert len(list((data_root / "imagenet100" / "train").iterdir())) == 100
    for name, data in zip(found.names, found.files, strict=True):
        with Image.open(name) as picture:
            assert (picture.format, picture.size) == ("JPEG", (imagenet.WIDTH, imagenet.HEIGHT))
        assert 0.7 < len(data) / imagenet.FILE_BYTES < 1.3
        assert tuple(imagenet.decode(data, name).shape) == (3, imagenet.HEIGHT, imagenet.WIDTH)
    assert imagenet.sample(data_root, 4) == found, "the same seed must draw the same files"


def test_a_users_own_class_folders_are_not_synthetic(tmp_path, data_root):
    source = imagenet.sample(data_root, 1)
    for name in ("n01", "n02"):
        (tmp_path / "imagenet100" / name).mkdir(parents=True)
        (tmp_path / "imagenet100" / name / "a.jpg").write_bytes(source.files[0])
    found = imagenet.sample(tmp_path, 8)
    assert not found.synthetic
    assert set(found.labels) == {0, 1}


@pytest.mark.parametrize("kept", [0, 100, 0.5])
def test_a_broken_jpeg_is_named(data_root, kept):
    data = imagenet.sample(data_root, 1).files[0]
    cut = data[: int(kept * len(data)) if isinstance(kept, float) else kept]
    with pytest.raises(DataError, match=r"bad\.JPEG.*replace or remove"):
        imagenet.decode(cut, "bad.JPEG")


def test_a_cmyk_jpeg_is_read(tmp_path):
    from PIL import Image

    Image.new("CMYK", (20, 10)).save(tmp_path / "cmyk.JPEG")
    assert tuple(imagenet.decode((tmp_path / "cmyk.JPEG").read_bytes(), "cmyk.JPEG").shape) == (3, 10, 20)


def test_imdb_layout_and_its_tokenizer(data_root):
    found = imdb.sample(data_root, 6)
    assert found.synthetic
    assert set(found.labels) <= {0, 1}
    for name, label in zip(found.names, found.labels, strict=True):
        assert f"/train/{imdb.SENTIMENTS[label]}/" in name.replace("\\", "/")
    vocabulary = imdb.vocabulary(data_root)
    assert (data_root / "aclImdb-wordpiece.json").read_text() == vocabulary
    assert 1_000 < len(json.loads(vocabulary)["model"]["vocab"]) <= imdb.VOCABULARY
    texts = [imdb.text_of(data, name) for data, name in zip(found.files, found.names, strict=True)]
    assert "<br" not in "".join(texts)
    arrays = imdb.tokenise([*texts, "ba"], vocabulary, 16)
    assert arrays["input_ids"].shape == (7, 16)
    assert arrays["attention_mask"][0].all(), "a long review fills all tokens"
    assert arrays["attention_mask"][-1].sum() < 16, "a short one is padded"
    unknown = json.loads(vocabulary)["model"]["vocab"]["[UNK]"]
    assert (arrays["input_ids"] == unknown).mean() < 0.01, "the vocabulary was trained on these very words"


def test_a_review_that_is_not_text_is_named():
    with pytest.raises(DataError, match=r"bad\.txt is not UTF-8"):
        imdb.text_of(b"\xff\xfe\xff", "bad.txt")


def test_kinetics_layout_holds_real_videos(data_root):
    import av

    found = kinetics.sample(data_root, 2)
    assert found.synthetic
    with (data_root / "kinetics400" / "train.csv").open() as table:
        assert tuple(next(csv.reader(table))) == kinetics.COLUMNS
    with av.open(found.names[0]) as container:
        stream = container.streams.video[0]
        assert (stream.width, stream.height, stream.frames) == (kinetics.WIDTH, kinetics.HEIGHT, 250)
    frames = kinetics.decode(found.files[0], found.names[0], 4, 64)
    assert (frames.shape, frames.dtype) == ((4, 64, 64, 3), np.uint8)
    assert (frames[0] != frames[1]).mean() > 0.1, "frames apart in time differ"


def test_short_clips_repeat_their_last_frame(tmp_path):
    kinetics.write_clip(tmp_path / "short.mp4", np.random.default_rng(0), 40)
    frames = kinetics.decode((tmp_path / "short.mp4").read_bytes(), "short.mp4", 4, 32)
    assert (frames[1] == frames[2]).all()
    assert (frames[2] == frames[3]).all()
    assert (frames[0] != frames[1]).any()


def test_clips_without_label_folders_are_found_and_missing_ones_passed_over(tmp_path, data_root):
    kinetics.sample(data_root, 1)
    folder = tmp_path / "kinetics400"
    (folder / "train").mkdir(parents=True)
    shutil.copy(data_root / "kinetics400" / "train.csv", folder)
    clip = kinetics.clips_of(data_root / "kinetics400")[0]
    shutil.copy(clip.path, folder / "train")
    assert [found.path.name for found in kinetics.clips_of(folder)] == [clip.path.name]


def test_broken_videos_and_tables_are_named(tmp_path, data_root):
    data = kinetics.sample(data_root, 1).files[0]
    for broken in (b"", data[:20_000], b"x" * 1_000):
        with pytest.raises(DataError, match=r"bad\.mp4"):
            kinetics.decode(broken, "bad.mp4", 1, 32)
    with pytest.raises(DataError, match=r"t\.csv has no column time_end, split"):
        kinetics.parse_table("label,youtube_id,time_start\n", "t.csv")
    with pytest.raises(DataError, match=r"t\.csv, line 3"):
        kinetics.parse_table(",".join(kinetics.COLUMNS) + "\na,b,1,11,train\na,b,one,11,train\n", "t.csv")
    (tmp_path / "kinetics400").mkdir()
    with pytest.raises(DataError, match=r"train\.csv cannot be read"):
        kinetics.sample(tmp_path, 1)


@pytest.mark.parametrize(("sample", "folder"), [(imagenet.sample, "imagenet100"), (imdb.sample, "aclImdb")])
def test_a_folder_in_another_layout_is_named(tmp_path, sample, folder):
    (tmp_path / folder).mkdir()
    with pytest.raises(DataError, match=rf"{folder}.*expected"):
        sample(tmp_path, 1)


def test_iris_is_real_at_150_rows_and_says_so_beyond():
    table, labels, synthetic = iris.sample(150)
    assert (table.shape, synthetic, np.bincount(labels).tolist()) == ((150, 4), False, [50, 50, 50])
    table, labels, synthetic = iris.sample(1_000)
    assert (table.shape, table.dtype, synthetic) == ((1_000, 4), np.float32, True)
    assert len(np.unique(table, axis=0)) > 900, "rows are not mere copies"


def test_two_threads_writing_at_once_leave_one_whole_folder(tmp_path):
    both_inside = threading.Barrier(2)

    def write(folder):
        both_inside.wait(10)  # neither may see the other's result before it has begun
        (folder / "file").write_text("whole")

    threads = [threading.Thread(target=ensure, args=(tmp_path / "set", write)) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert (tmp_path / "set" / "file").read_text() == "whole"
    assert is_synthetic(tmp_path / "set")
    assert [path.name for path in tmp_path.iterdir()] == ["set"], "no temporary folder is left"


def test_two_processes_asking_at_once_read_the_same_data(tmp_path):
    with get_context("spawn").Pool(2) as pool:
        names = pool.starmap(names_of_reviews, [(str(tmp_path),)] * 2)
    assert names[0] == names[1]
    assert [path.name for path in tmp_path.iterdir()] == ["aclImdb"]


def names_of_reviews(root):
    return imdb.sample(root, 3).names


def test_a_writer_that_fails_leaves_nothing(tmp_path):
    def write(folder):
        (folder / "half").write_text("x")
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        ensure(tmp_path / "set", write)
    assert not list(tmp_path.iterdir())


def test_the_marker_tells_synthetic_folders(tmp_path):
    (tmp_path / "real").mkdir()
    assert not is_synthetic(tmp_path / "real")
    (ensure(tmp_path / "made", lambda folder: None) / MARKER).unlink()
    assert not is_synthetic(tmp_path / "made")
