"""A folder and a table become records with label vectors, taken up again while both stand."""
import cv2
import numpy as np
import pytest

from mxft.data.datasets import load_records, prepare_pictures
from mxft.data.iterators import RecordIterator
from mxft.data.labels import scan_labels
from mxft.data.lists import read_list
from mxft.data.pictures import open_pictures
from mxft.errors import InputError
from mxft.network.input_spec import InputSpec


@pytest.fixture
def folder(tmp_path):
    """Twelve images, some of them cats, some dogs, some both, and their table ``tags.csv``."""
    lines = ["image,labels"]
    for number in range(12):
        name = f"sub/{number}.png"
        (tmp_path / "photos" / "sub").mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(tmp_path / "photos" / name), np.full((12, 10, 3), 20 * number, np.uint8))
        lines.append(f"{name},{['cat', 'dog', 'cat|dog'][number % 3]}")
    (tmp_path / "tags.csv").write_text("\n".join(lines))
    return tmp_path


def prepare(folder, **options):
    pictures = open_pictures(folder / "photos", "multi-label", folder / "tags.csv")
    return prepare_pictures(pictures, str(folder / "tags"), val_fraction=0.25, show=False, resize=8, **options)


def test_the_records_hold_a_number_for_each_label(folder):
    records, split = prepare(folder)
    assert (records.classes, records.target, split.train.label_width) == (["cat", "dog"], "multi-label", 2)
    assert split.train.packed + split.val.packed == 12 and " images of 2 labels each" in str(split.train)
    rows = {row.index: row.labels for row in read_list(folder / "tags-train.lst")}
    scan = scan_labels(records.train)
    assert scan.labels.shape == (len(rows), 2) and {int(i): tuple(row) for i, row in zip(scan.ids, scan.labels)} == rows
    assert load_records(str(folder / "tags")) == records


def test_the_iterator_gives_what_the_records_hold(folder):
    records, _ = prepare(folder)
    labels = scan_labels(records.train).labels
    iterator = RecordIterator(records.train, InputSpec((3, 8, 8)), 6, len(labels), label_width=2, label_name="tags")
    batches = [(batch.label[0].asnumpy(), batch.pad) for batch in iterator]  # MXNet writes into a batch's arrays again
    read = np.concatenate([label[:6 - pad] for label, pad in batches])
    assert np.array_equal(read, labels) and iterator.provide_label[0][:2] == ("tags", (6, 2))
    label, pad = batches[-1]
    assert pad and label[6 - pad:].tolist() == labels[:pad].tolist(), "pads are the epoch's first records"


def test_an_equal_call_takes_the_records_up_and_another_table_packs_anew(folder):
    prepare(folder)
    assert prepare(folder)[1] is None
    (folder / "tags.csv").write_text((folder / "tags.csv").read_text().replace("sub/0.png,cat", "sub/0.png,cat|eel"))
    records, split = prepare(folder)
    assert split is not None and records.classes == ["cat", "dog", "eel"]


def test_a_folder_that_is_not_the_tables_is_refused(folder):
    (folder / "other").mkdir()
    (folder / "tags.csv").rename(folder / "other" / "tags.csv")
    with pytest.raises(InputError, match="received none of 12, the first .*sub/0.png"):
        open_pictures(folder / "other", "multi-label")
