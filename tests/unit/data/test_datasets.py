"""Records are packed once, taken up while they stand, and packed anew when anything behind them changed."""
import json
import os

import cv2
import numpy as np
import pytest

from mxft.data.datasets import facts_path, load_records, prepare_records
from mxft.data.iterators import RecordIterator
from mxft.data.labels import scan_labels
from mxft.errors import InputError, MissingFileError
from mxft.network.input_spec import InputSpec
from tests.support.images import noise, write_classes

OPTIONS = {"per_class": 2, "resize": 16, "quality": 90, "show": False}


@pytest.fixture
def photographs(tmp_path):
    """Three class folders of four images."""
    write_classes(tmp_path / "images", ("cat", "dog", "eel"), 4,
                  lambda number, label: noise(10 * label + number, (20, 24)), ".jpg")
    return tmp_path / "images"


@pytest.fixture
def prefix(tmp_path):
    return str(tmp_path / "records" / "animals")


def test_the_first_call_packs_and_the_second_takes_up(photographs, prefix):
    records, split = prepare_records(str(photographs), prefix, **OPTIONS)
    assert split is not None and (split.train.packed, split.val.packed) == (6, 6)
    assert records.classes == ["cat", "dog", "eel"] and records.num_classes is None and records.target == "classes"
    assert (records.train, records.val) == (f"{prefix}-train.rec", f"{prefix}-val.rec")
    assert records.packing["resize"] == 16 and records.packing["quality"] == 90
    times = {name: os.stat(os.path.join(os.path.dirname(prefix), name)).st_mtime_ns
             for name in os.listdir(os.path.dirname(prefix))}
    again, split = prepare_records(str(photographs), prefix, **OPTIONS)
    assert split is None and again == records == load_records(prefix)
    assert times == {name: os.stat(os.path.join(os.path.dirname(prefix), name)).st_mtime_ns for name in times}


@pytest.mark.parametrize("change", [{"seed": 1}, {"per_class": 3}, {"resize": 18}, {"quality": 80},
                                    {"encoding": ".png", "quality": None}, {"exclude": ["eel"]},
                                    {"val_fraction": 0.5}, {"squash": True}, {"interp": "linear"}])
def test_another_option_packs_anew(photographs, prefix, change):
    prepare_records(str(photographs), prefix, **OPTIONS)
    assert prepare_records(str(photographs), prefix, **{**OPTIONS, **change})[1] is not None
    assert prepare_records(str(photographs), prefix, **{**OPTIONS, **change})[1] is None
    assert prepare_records(str(photographs), prefix, **OPTIONS)[1] is not None


def test_options_that_change_no_byte_pack_nothing(photographs, prefix):
    prepare_records(str(photographs), prefix, **OPTIONS)
    assert prepare_records(str(photographs), prefix, **{**OPTIONS, "num_thread": 2, "show": None})[1] is None


def touch(photographs):
    status = os.stat(photographs / "cat" / "0.jpg")
    os.utime(photographs / "cat" / "0.jpg", ns=(status.st_atime_ns, status.st_mtime_ns + 1_000_000))


def grow(photographs):
    with open(photographs / "dog" / "1.jpg", "ab") as f:
        f.write(b"\0")


def add(photographs):
    (photographs / "eel" / "9.jpg").write_bytes((photographs / "eel" / "0.jpg").read_bytes())


def remove(photographs):
    (photographs / "eel" / "3.jpg").unlink()


def rename(photographs):
    (photographs / "eel" / "3.jpg").rename(photographs / "eel" / "4.jpg")


@pytest.mark.parametrize("change", [touch, grow, add, remove, rename])
def test_a_changed_image_packs_anew(photographs, prefix, change):
    prepare_records(str(photographs), prefix, **OPTIONS)
    change(photographs)
    assert prepare_records(str(photographs), prefix, **OPTIONS)[1] is not None
    assert prepare_records(str(photographs), prefix, **OPTIONS)[1] is None


@pytest.mark.parametrize("name", ["train.rec", "val.rec"])
@pytest.mark.parametrize("how", ["one byte", "gone"])
def test_a_record_file_that_changed_is_packed_anew(photographs, prefix, name, how):
    prepare_records(str(photographs), prefix, **OPTIONS)
    path = f"{prefix}-{name}"
    with open(path, "rb") as f:
        data = f.read()
    if how == "gone":
        os.unlink(path)
    else:
        with open(path, "wb") as f:
            f.write(data[:-1] + bytes([data[-1] ^ 1]))
    assert prepare_records(str(photographs), prefix, **OPTIONS)[1] is not None
    with open(path, "rb") as f:
        assert f.read() == data


@pytest.mark.parametrize("text", ["{", "[]", "{}", '{"packing": {"size": 3}}'])
def test_facts_that_cannot_be_read_are_refused_by_name_and_replaced_by_packing(photographs, prefix, text):
    prepare_records(str(photographs), prefix, **OPTIONS)
    with open(facts_path(prefix), "w") as f:
        f.write(text)
    with pytest.raises(InputError, match=f"records cannot be used again: expected the facts mxft split writes, "
                                         f"received {facts_path(prefix)} .*; delete it and split again"):
        load_records(prefix)
    assert prepare_records(str(photographs), prefix, **OPTIONS)[1] is not None
    assert load_records(prefix).packing["resize"] == 16


def test_records_that_are_not_there_are_refused_with_the_command_that_makes_them(prefix):
    with pytest.raises(MissingFileError, match=f"records are missing: expected {prefix}-records.json, received records="
                                               f"'{prefix}'; mxft split PICTURES {prefix} makes them"):
        load_records(prefix)


def test_a_class_map_that_is_gone_packs_anew(photographs, prefix):
    prepare_records(str(photographs), prefix, **OPTIONS)
    os.unlink(f"{prefix}-classes.txt")
    records, split = prepare_records(str(photographs), prefix, **OPTIONS)
    assert split is not None and records.classes == ["cat", "dog", "eel"]


def test_the_facts_tell_hashes_and_the_labels_are_the_maps(photographs, prefix):
    records, _ = prepare_records(str(photographs), prefix, **OPTIONS)
    with open(facts_path(prefix), encoding="utf-8") as f:
        facts = json.load(f)
    assert set(facts["sha256"]) == {"train", "val"} and facts["folder"] == str(photographs)
    assert sorted(scan_labels(records.train).labels) == [0, 0, 1, 1, 2, 2]


def test_squashing_and_the_filter_are_facts_only_where_they_are_set(photographs, prefix):
    prepare_records(str(photographs), prefix, **OPTIONS)
    with open(facts_path(prefix), encoding="utf-8") as f:
        facts = json.load(f)
    assert set(facts["packing"]) == {"resize", "center_crop", "quality", "color", "encoding", "pass_through"}


def test_by_fraction_the_number_for_each_class_does_not_matter(photographs, prefix):
    options = {**OPTIONS, "val_fraction": 0.3}
    _, split = prepare_records(str(photographs), prefix, **options)
    assert (split.train.packed, split.val.packed) == (9, 3)
    assert prepare_records(str(photographs), prefix, **{**options, "per_class": 3})[1] is None
    assert prepare_records(str(photographs), prefix, **{**options, "val_fraction": 0.5})[1] is not None


@pytest.mark.parametrize("size", [(20, 24), (90, 41), (31, 200), (16, 16), (33, 35)])
def test_squashed_images_are_square_and_keep_what_is_at_their_edges(tmp_path, prefix, size):
    """Red grows from 0 at the left edge to 250 at the right one, green from top to bottom, whatever the proportions."""
    y, x = np.meshgrid(*(np.linspace(0, 250, length) for length in size), indexing="ij")
    for name in ("cat", "dog"):
        (tmp_path / "ramps" / name).mkdir(parents=True)
        for i in range(2):
            cv2.imwrite(str(tmp_path / "ramps" / name / f"{i}.jpg"),
                        np.stack([np.zeros_like(x), y, x], -1).astype(np.uint8), [cv2.IMWRITE_JPEG_QUALITY, 98])
    records, _ = prepare_records(str(tmp_path / "ramps"), prefix, 1, resize=16, squash=True, encoding=".png",
                                 show=False)
    assert records.packing["squash"] is True
    image = RecordIterator(records.train, InputSpec((3, 16, 16)), 2, 2, threads=1).next().data[0].asnumpy()[0]
    ideal = (np.arange(16) + 0.5) * 250 / 16
    assert abs(image[0] - ideal).max() < 14 and abs(image[1] - ideal[:, None]).max() < 14


@pytest.mark.parametrize("options", [{"squash": True}, {"squash": True, "resize": 16, "pass_through": True}])
def test_squashing_to_no_size_is_refused(photographs, prefix, options):
    with pytest.raises(InputError, match="cannot squash: expected a length in pixels to resize to, and no "
                                         "pass-through, received resize="):
        prepare_records(str(photographs), prefix, **{**OPTIONS, "resize": 0, **options})
