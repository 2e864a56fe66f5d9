"""Feature files: NumPy reads what is written in pieces; what is ended half-way is never under the final name."""
import os
import subprocess
import sys
import zipfile

import numpy as np
import pytest

from mxft.errors import InputError, RunError
from mxft.features.file_writer import FeatureWriter
from mxft.features.files import read_features, side_paths

FACTS = {"layer": "flatten0", "images": {"count": 5}}
NAMES, LABELS, CLASSES = ["a/1.jpg", "a/ü.jpg", "b/1.jpg", "b/2.jpg", "b/3.jpg"], [0, 0, 1, 1, 1], ["a", "b"]


def rows(count=5, shape=(3,), seed=0):
    return np.random.RandomState(seed).normal(size=(count, *shape)).astype(np.float32)


def write(path, features, facts=FACTS, cut=2, classes=CLASSES, **options):
    with FeatureWriter(path, facts, **options) as writer:
        writer.append(features[:cut])
        writer.commit(cut)
        writer.append(features[cut:])
        writer.commit(len(features))
        return writer.finish(NAMES, LABELS, classes)


def begin(path, features, facts=FACTS, dtype="float32"):
    """Commit three of the five rows, append one that is not committed, and leave."""
    with FeatureWriter(path, facts, dtype) as writer:
        writer.append(features[:3])
        writer.commit(3)
        writer.append(features[3:4])


@pytest.mark.parametrize("end", [".npz", ".npy"])
@pytest.mark.parametrize("dtype", ["float32", "float16"])
@pytest.mark.parametrize("shape", [(3,), (2, 1, 4)])
def test_what_was_written_is_read_back(end, dtype, shape, tmp_path):
    features, path = rows(shape=shape), str(tmp_path / ("codes" + end))
    written = write(path, features, dtype=dtype)
    found = read_features(path)
    assert found.features.dtype == dtype and np.array_equal(found.features, features.astype(dtype))
    assert (found.labels.tolist(), found.names, found.classes) == (LABELS, NAMES, CLASSES)
    assert written[-1] == path and sorted(os.listdir(tmp_path)) == sorted(map(os.path.basename, written))


def test_numpy_alone_reads_them(tmp_path):
    features = rows()
    write(str(tmp_path / "codes.npz"), features)
    write(str(tmp_path / "codes.npy"), features, classes=None)
    with np.load(tmp_path / "codes.npz") as arrays:
        assert np.array_equal(arrays["features"], features) and arrays["names"].tolist() == NAMES
    assert np.array_equal(np.load(tmp_path / "codes.npy"), features)
    assert np.load(tmp_path / "codes-labels.npy").tolist() == LABELS
    assert (tmp_path / "codes-names.txt").read_text(encoding="utf-8") == "".join(f"{name}\n" for name in NAMES)
    assert not (tmp_path / "codes-classes.txt").exists()
    assert zipfile.ZipFile(tmp_path / "codes.npz").testzip() is None


@pytest.mark.parametrize("end", [".npz", ".npy"])
def test_an_ended_extraction_has_no_file_and_is_taken_up(end, tmp_path):
    features, path = rows(), str(tmp_path / ("codes" + end))
    begin(path, features)
    assert not os.path.exists(path) and all(name.startswith(".codes") for name in os.listdir(tmp_path))
    with FeatureWriter(path, FACTS, resume=True) as writer:
        assert (writer.done, writer.rows, writer.stale) == (3, 3, "")
        writer.append(features[3:])
        writer.commit(5)
        writer.finish(NAMES, LABELS)
    whole = str(tmp_path / ("whole" + end))
    write(whole, features, classes=None)
    with open(path, "rb") as one, open(whole, "rb") as other:
        assert one.read() == other.read()


def test_without_resume_it_begins_anew(tmp_path):
    path = str(tmp_path / "codes.npz")
    begin(path, rows())
    with FeatureWriter(path, FACTS) as writer:
        assert (writer.done, writer.rows) == (0, 0)
    assert os.listdir(tmp_path) == []


def test_an_extraction_of_something_else_is_not_taken_up(tmp_path):
    path = str(tmp_path / "codes.npz")
    for facts, dtype, why in (({**FACTS, "layer": "fc1"}, "float32", "it was made with other layer"),
                              (FACTS, "float16", "it was made with other dtype")):
        begin(path, rows())
        with FeatureWriter(path, facts, dtype, resume=True) as writer:
            assert (writer.done, writer.stale) == (0, why)


def test_rows_that_are_cut_short_and_a_damaged_state_are_noticed(tmp_path):
    path = str(tmp_path / "codes.npz")
    begin(path, rows())
    with open(tmp_path / ".codes.npz.part", "r+b") as f:
        f.truncate(200)
    with FeatureWriter(path, FACTS, resume=True) as writer:
        assert (writer.done, writer.stale) == (0, "its rows are cut short")
    for text in ("{", "[]", "{\"done\": 3}"):
        begin(path, rows())
        (tmp_path / ".codes.npz.part.json").write_text(text)
        with FeatureWriter(path, FACTS, resume=True) as writer:
            assert (writer.done, writer.stale) == (0, "its state cannot be read")


def test_a_killed_process_leaves_nothing_half(tmp_path, repository):
    path = str(tmp_path / "codes.npy")
    code = ("import os, numpy as np\nfrom mxft.features.file_writer import FeatureWriter\n"
            f"writer = FeatureWriter({path!r}, {FACTS!r})\nwriter.append(np.ones((3, 3), 'f'))\nwriter.commit(3)\n"
            "writer.append(np.ones((1, 3), 'f'))\nos.kill(os.getpid(), 9)\n")
    subprocess.run([sys.executable, "-c", code], env={**os.environ, "PYTHONPATH": str(repository)})
    assert sorted(os.listdir(tmp_path)) == [".codes.npy.part", ".codes.npy.part.json"]
    with FeatureWriter(path, FACTS, resume=True) as writer:
        assert writer.done == 3


def test_images_left_out_are_remembered(tmp_path):
    path = str(tmp_path / "codes.npz")
    with FeatureWriter(path, FACTS) as writer:
        writer.append(rows(2))
        writer.commit(3, [(1, "truncated JPEG")])
    with FeatureWriter(path, FACTS, resume=True) as writer:
        assert (writer.done, writer.rows, writer.left_out) == (3, 2, [[1, "truncated JPEG"]])


def test_an_older_file_stands_until_the_new_one_does(tmp_path):
    path, old = str(tmp_path / "codes.npz"), rows()
    write(path, old)
    begin(path, rows(seed=1))
    assert np.array_equal(read_features(path).features, old)
    write(path, rows(seed=2))
    assert np.array_equal(read_features(path).features, rows(seed=2))


def test_two_at_a_time_are_refused(tmp_path):
    path = str(tmp_path / "codes.npz")
    with FeatureWriter(path, FACTS) as first:
        with pytest.raises(InputError, match="expected one extraction at a time, received .*another process"):
            FeatureWriter(path, FACTS)
        first.append(rows())
        first.commit(5)
        first.finish(NAMES, LABELS)
    assert len(read_features(path).features) == 5


@pytest.mark.parametrize("dtype, value, message", [
    ("float32", np.nan, "expected finite float32 numbers, received NaN or infinity"),
    ("float16", 7e4, "expected finite float16 numbers, received a number too large for it; leave float16 out"),
])
def test_numbers_that_do_not_fit_are_refused(dtype, value, message, tmp_path):
    features = rows()
    features[1, 1] = value
    with FeatureWriter(str(tmp_path / "codes.npz"), FACTS, dtype) as writer, pytest.raises(RunError, match=message):
        writer.append(features)
    assert os.listdir(tmp_path) == []


def test_a_name_for_every_row_is_asked_for(tmp_path):
    with FeatureWriter(str(tmp_path / "codes.npz"), FACTS) as writer:
        writer.append(rows())
        writer.commit(5)
        with pytest.raises(RunError, match="expected a name and a label for each of 5 rows, received 4 names and 5"):
            writer.finish(NAMES[:4], LABELS)


def test_reading_says_what_is_wrong(tmp_path):
    npz, npy = str(tmp_path / "codes.npz"), str(tmp_path / "codes.npy")
    write(npz, rows())
    write(npy, rows())
    with pytest.raises(InputError, match="expected a file ending in .npz or .npy, received 'codes.csv'"):
        read_features("codes.csv")
    with pytest.raises(InputError, match="feature file is missing: .*nearest: codes.npz"):
        read_features(str(tmp_path / "code.npz"))
    with open(side_paths(npy)["names"], "a") as f:
        f.write("one more\n")
    with pytest.raises(InputError, match="received 5 rows, 5 labels and 6 names"):
        read_features(npy)
    os.unlink(side_paths(npy)["labels"])
    with pytest.raises(InputError, match="labels of the rows is missing"):
        read_features(npy)
    with open(npz, "r+b") as f:
        f.truncate(300)
    with pytest.raises(InputError, match="feature file cannot be read: expected features, labels and names"):
        read_features(npz)
    np.savez(npz, features=np.array([{}], dtype=object), labels=[0], names=["a"])
    with pytest.raises(InputError, match="cannot be read.*allow_pickle"):
        read_features(npz)
