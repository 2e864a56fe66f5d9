"""What labels are allowed for each kind of target, and what is known of them afterwards."""
import numpy as np
import pytest

from mxft.data.labels import scan_labels
from mxft.data.recordio import IRHeader, RecordWriter, pack
from mxft.data.target_spec import TargetSpec, check_target, manifest_target, target_of
from mxft.errors import InputError


@pytest.fixture
def records(tmp_path):
    """A function ``(labels) -> path`` of records without images."""
    def make(labels):
        path = str(tmp_path / "labels.rec")
        with RecordWriter(path) as writer:
            for number, label in enumerate(labels):
                writer.write(pack(IRHeader(0, label, number, 0), b"image"))
        return path
    return make


def test_a_multi_label_target_has_an_output_for_each_label(records):
    target = target_of(records([(1, 0, 0), (1, 1, 0)]), "multi-label", ["cat", "dog", "eel"])
    assert target == TargetSpec("multi-label", 3, ("cat", "dog", "eel")) and target.label_width == 3


def test_numbers_are_known_by_mean_and_deviation(records):
    rows = np.array([(1, 200), (2, 400), (6, 900)], np.float32)
    target = target_of(records(rows), "regression")
    assert np.allclose((target.mean, target.deviation), (rows.mean(axis=0), rows.std(axis=0)))
    assert target.output_names == ["value 0", "value 1"]
    assert target_of(records([1.0, 3.0]), "regression").output_names == ["value"]


@pytest.mark.parametrize("kind, labels, expected", [
    ("multi-label", [(0, 1), (1, 2)], "received label 1=2 in record 1 (id 1); 1 of 2 records"),
    ("multi-label", [(0, 1), (0, 1)], "expected labels that differ"),
    ("regression", [(1, 7), (2, 7)], "received value 1=7 in every record"),
    ("regression", [1.0, float("nan")], "expected finite numbers, received value=nan in record 1"),
    ("multi-label", [], "no records"),
    ("regression", [(1, 2), (1, 2, 3)], "label counts differ"),
])
def test_labels_that_teach_nothing_or_are_of_another_kind_are_refused(records, kind, labels, expected):
    with pytest.raises(InputError) as refused:
        target_of(records(labels), kind)
    assert expected in str(refused.value)


def test_records_of_another_width_are_refused_with_the_way_to_make_them(records):
    with pytest.raises(InputError, match=r"expected 2 labels an image, received 1 in each record; mxft split --labels "
                                         r"TABLE --multi-label PICTURES PREFIX makes such records"):
        check_target(scan_labels(records([0, 1])), TargetSpec("multi-label", 2))


def test_what_a_manifest_says_is_read_back():
    target = TargetSpec("regression", 2, ("age", "height"), (31.0, 1.7), (9.0, 0.1))
    assert manifest_target({"target": target.to_dict(), "classes": ["age", "height"]}) == target
    assert manifest_target({"classes": ["cat", "dog"]}) is None
    for damaged in ({"kind": "regression"}, {"kind": "multi-label", "size": "many"}, ["multi-label"],
                    {"kind": "regression", "size": 2, "mean": [1], "deviation": [1]},
                    {"kind": "regression", "size": 1, "mean": [1], "deviation": [0]},
                    {"kind": "regression", "size": 1, "mean": [float("nan")], "deviation": [1]},
                    {"kind": "regression", "size": 1, "mean": ["a"], "deviation": [1]},
                    {"kind": "multi-label", "size": 10**12}, {"kind": "multi-label", "size": float("inf")}):
        with pytest.raises(InputError):
            manifest_target({"target": damaged})


def test_an_unknown_kind_is_refused_with_the_nearest():
    with pytest.raises(InputError, match=r"received target='multilabel'; nearest: .*multi-label"):
        TargetSpec("multilabel", 3)
