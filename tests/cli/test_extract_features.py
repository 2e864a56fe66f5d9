"""``mxft extract-features`` as a user runs it."""
import os
import shutil

import numpy as np
import pytest

from mxft.cli import extract_features, main
from mxft.data.iterators import RecordIterator
from mxft.data.lists import Row, write_list
from mxft.data.packing import read_image
from mxft.faces.pairs.bin_file import write_pairs
from mxft.features import image_chunks
from mxft.features.files import read_features
from mxft.inference.executor import InferenceExecutor
from mxft.network.checkpoint import load_checkpoint
from mxft.network.input_spec import InputSpec
from mxft.surgery import cut_at
from tests.support.images import noise, write_image

SPEC = InputSpec((3, 16, 16), (90.0,) * 3)


@pytest.fixture
def here(here, make_checkpoint, make_records):
    """``told,0`` with and ``plain,0`` without a manifest, val.rec of 7 images, photos/ of two classes and a flat/."""
    checkpoint = make_checkpoint(3)
    checkpoint.save("plain", 0)
    checkpoint.manifest = {"format": 1, "input": SPEC.to_dict(), "packing": {"resize": 20, "encoding": ".png"}}
    checkpoint.save("told", 0)
    make_records("val.rec", [0, 1, 2, 0, 1, 2, 0], lambda number, label: noise(number))
    for folder, count in (("photos/ant", 2), ("photos/bee", 3), ("flat", 4)):
        for number in range(count):
            write_image(f"{folder}/{number}.png", noise(len(folder) + number))
    return here


def extract(source, out, *words, model="told,0"):
    return main(["extract-features", "--model", model, source, out, *words])


def expected(layer="flatten0", path="val.rec", count=7):
    """The layer's output for the records, by one executor over one iterator."""
    checkpoint = load_checkpoint("told,0")
    executor = InferenceExecutor(cut_at(checkpoint.symbol, layer), checkpoint.arg_params, checkpoint.aux_params,
                                 SPEC.shape, count)
    return np.concatenate([out for out, _ in executor.over(RecordIterator(path, SPEC, count, count))])


def test_records_to_npz(here, capsys):
    assert extract("val.rec", "codes.npz", "--batch-size", "3") == 0
    found = read_features("codes.npz")
    np.testing.assert_allclose(found.features, expected(), rtol=1e-5, atol=1e-5)
    assert found.labels.tolist() == [0, 1, 2, 0, 1, 2, 0] and found.names == list("0123456") and not found.classes
    out, err = capsys.readouterr()
    assert out.startswith("7 images, flatten0 (6) in ") and "images/s): " in out and out.endswith("codes.npz\n")
    assert err == ""


def test_any_layer_and_half_the_size(here):
    assert extract("val.rec", "codes.npy", "--layer", "relu0", "--float16") == 0
    found = read_features("codes.npy")
    assert found.features.shape == (7, 6, 16, 16) and found.features.dtype == np.float16
    np.testing.assert_allclose(found.features.astype("f"), expected("relu0"), rtol=2e-3, atol=1e-3)


def test_a_list_beside_the_records_names_them(here):
    write_list("val.lst", [Row(i, (0.0,), f"dir/{i}.jpg") for i in range(6)])
    assert extract("val.rec", "codes.npz") == 0
    assert read_features("codes.npz").names == [f"dir/{i}.jpg" for i in range(6)] + ["6"]


def test_a_folder_is_seen_as_its_records_are(here):
    assert main(["im2rec", "--list", "--recursive", "packed", "photos"]) == 0
    assert main(["im2rec", "--resize", "20", "--encoding", ".png", "packed", "photos"]) == 0
    assert extract("photos", "folder.npz") == extract("packed.rec", "records.npz") == 0
    folder, records = read_features("folder.npz"), read_features("records.npz")
    assert folder.names == ["ant/0.png", "ant/1.png", "bee/0.png", "bee/1.png", "bee/2.png"]
    assert folder.labels.tolist() == [0, 0, 1, 1, 1] and folder.classes == ["ant", "bee"]
    order = [records.names.index(name) for name in folder.names]
    assert np.array_equal(folder.features, records.features[order])


def test_a_folder_without_class_folders(here):
    assert extract("flat", "codes.npz") == 0
    found = read_features("codes.npz")
    assert found.names == ["0.png", "1.png", "2.png", "3.png"] and found.labels.tolist() == [0] * 4
    assert found.classes is None


@pytest.mark.parametrize("size", [1, 2])
def test_chunks_change_nothing_and_images_that_cannot_be_read_are_left_out(size, here, monkeypatch, capsys):
    assert extract("photos", "whole.npz") == 0
    with open("photos/bee/0.5.png", "wb") as f:
        f.write(b"no image")
    with open("photos/bee/9.png", "wb") as f:
        f.write(b"no image")
    plain = image_chunks.FolderImages.chunks
    monkeypatch.setattr(image_chunks.FolderImages, "chunks", lambda self, begin: plain(self, begin, size))
    assert extract("photos", "some.npz") == 3
    whole, some = read_features("whole.npz"), read_features("some.npz")
    assert some.names == whole.names and np.array_equal(some.labels, whole.labels)
    np.testing.assert_allclose(some.features, whole.features, rtol=1e-5, atol=1e-5)
    err = capsys.readouterr().err
    assert "left out bee/0.5.png: not an image, or too damaged to decode" in err and "left out bee/9.png" in err


@pytest.mark.parametrize("source", ["photos", "val.rec"])
def test_an_extraction_that_was_ended_goes_on(source, here, monkeypatch, capsys):
    assert extract(source, "whole.npz", "--batch-size", "1") == 0
    monkeypatch.setattr(extract_features, "COMMIT", 2)
    forward, calls = RecordIterator.next, []

    def interrupted(self):
        calls.append(1)
        if len(calls) == 5:
            raise KeyboardInterrupt
        return forward(self)

    monkeypatch.setattr(RecordIterator, "next", interrupted)
    assert extract(source, "codes.npz", "--batch-size", "1") == 130
    assert not os.path.exists("codes.npz")
    err = capsys.readouterr().err
    count = int(next(line for line in err.splitlines() if "images are done" in line).split(" of ")[0])
    assert 0 < count < 5 and "images are done; --resume continues from there" in err
    assert extract(source, "codes.npz", "--batch-size", "1", "--resume") == 0
    assert f"resuming after {count} of" in capsys.readouterr().err
    with open("whole.npz", "rb") as one, open("codes.npz", "rb") as other:
        assert one.read() == other.read()
    assert not [name for name in os.listdir() if ".part" in name]


def test_a_changed_source_is_not_gone_on_with(here, monkeypatch, capsys):
    monkeypatch.setattr(extract_features, "COMMIT", 1)
    monkeypatch.setattr("mxft.features.file_writer.FeatureWriter.finish", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        extract("photos", "codes.npz")
    monkeypatch.undo()
    os.chdir(here)
    shutil.copy("photos/ant/0.png", "photos/ant/7.png")
    assert extract("photos", "codes.npz", "--resume") == 0
    assert "starting again: of the extraction that was ended, it was made with other images" in capsys.readouterr().err
    assert len(read_features("codes.npz").names) == 6


@pytest.mark.parametrize("words, message", [
    (["val.rec", "codes.txt"], "feature file: expected a file ending in .npz or .npy, received 'codes.txt'"),
    (["val.rec", "codes.npz", "--layer", "flaten0"], "received layer='flaten0'; nearest: flatten0"),
    (["val.lst", "codes.npz"], "pictures are missing: expected a folder, a table or an archive, received 'val.lst'"),
    (["gone.rec", "codes.npz"], "expected a file, received 'gone.rec'"),
    (["empty", "codes.npz"], "no pictures in empty: expected JPEG"),
    (["photos", "codes.npz", "--resize", "8"], "--resize: expected at least 16, the network's input"),
    (["bad", "codes.npz"], "no image can be read in 'bad': expected at least one, received 1.png: "),
])
def test_what_is_refused_leaves_nothing(words, message, here, capsys):
    os.makedirs("empty")
    os.makedirs("bad")
    with open("bad/1.png", "wb") as f:
        f.write(b"no image")
    before = sorted(os.listdir())
    assert extract(*words) == 2
    out, err = capsys.readouterr()
    assert message in err and "Traceback" not in err and out == ""
    assert sorted(os.listdir()) == before


def test_a_checkpoint_without_manifest_needs_its_input(here, capsys):
    assert extract("val.rec", "codes.npz", model="plain,0") == 2
    assert "say --image-shape 3,224,224" in capsys.readouterr().err
    assert extract("val.rec", "codes.npz", "--image-shape", "3,16,16", model="plain,0") == 0


def test_a_softmax_layer_gives_probabilities(here):
    assert extract("val.rec", "codes.npz", "--layer", "softmax") == 0
    scores = expected("fc1")
    powers = np.exp(scores - scores.max(axis=1, keepdims=True))
    np.testing.assert_allclose(read_features("codes.npz").features, powers / powers.sum(axis=1, keepdims=True),
                               rtol=1e-5)


def test_a_verification_set(here, monkeypatch):
    images = [read_image(f"flat/{number}.png") for number in range(4)]
    write_pairs("set.bin", images, [True, False])
    monkeypatch.setattr("mxft.faces.data.plain_records.CHUNK", 3)
    assert extract("set.bin", "codes.npz") == extract("flat", "flat.npz") == 0
    found = read_features("codes.npz")
    assert found.names == ["0/left", "0/right", "1/left", "1/right"] and found.labels.tolist() == [1, 1, 0, 0]
    assert found.features.shape == read_features("flat.npz").features.shape
