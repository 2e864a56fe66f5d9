"""The worst judged pictures: which they are, what is said of them, and where their thumbnails come from."""
import os

import numpy as np

from mxft.data.lists import Row, write_list
from mxft.data.packing import pack_list
from mxft.evaluation.multi_label import MultiLabelScore
from mxft.evaluation.regression import RegressionScore
from mxft.evaluation.scoring import Score, with_source
from mxft.evaluation.shown import pictures_behind
from tests.support.images import levelled, write_image
from tests.support.notebooks import html_of

#                 true: cat cat cat dog dog; said: cat dog dog dog cat
LOGITS = np.array([[4, 0], [0, 1], [0, 6], [0, 2], [3, 0]], np.float32)
SCORE = Score(0.4, 1.0, 1.5, 5, 1.0, LOGITS, np.array([0., 0., 0., 1., 1.]), ("cat", "dog"))


def packed(folder, numbers):
    """Return a record file and the paths of the pictures in it, packed in the order of `numbers`."""
    for number in numbers:
        write_image(f"{folder}/pictures/{number}.png", levelled(number, number % 4))
    write_list(f"{folder}/val.lst", [Row(10 * number, (0.0,), f"{number}.png") for number in numbers])
    pack_list(f"{folder}/val.lst", f"{folder}/pictures", show=False)
    return f"{folder}/val.rec", [f"{number}.png" for number in numbers]


def test_the_pictures_told_wrong_come_surest_first(tmp_path):
    records, paths = packed(tmp_path, [3, 0, 2, 1, 4])
    for source in (records, [f"{tmp_path}/pictures/{path}" for path in paths]):
        worst = with_source(SCORE, ("cat", "dog"), source).worst()
        assert [os.path.basename(one.name) for one in worst] == [paths[2], paths[4], paths[1]]
        assert worst[0].caption == "predicted dog 1.00\nis cat 0.00\n2.png" and worst.what == "mistakes"
        assert all(one.image.startswith("data:image/jpeg") for one in worst) and html_of(worst).count("<img") == 3
    assert len(SCORE.worst(1)) == 1 and SCORE.worst()[0].name == "record 2" and SCORE.worst()[0].image is None
    assert SCORE.worst(0)._repr_html_() == "<p>no mistakes</p>"


def test_records_without_their_list_are_named_by_number(tmp_path, make_records):
    records = make_records("alone.rec", [0, 0, 0, 1, 1])
    assert pictures_behind(records) is None
    worst = with_source(SCORE, None, records).worst()
    assert worst[0].name == "record 2" and worst[0].image and worst[0].caption.startswith("predicted class 1 1.00")
    os.unlink(records)
    assert with_source(SCORE, None, records).worst()[0].image is None  # the score outlives its records


def test_class_scores_have_no_probabilities():
    import dataclasses

    assert dataclasses.replace(SCORE, loss=None).worst()[0].caption == "predicted dog\nis cat\nrecord 2"


def test_labels_and_numbers_are_shown_in_their_own_terms():
    labels = MultiLabelScore(np.array([[0.9, 0.1], [0.2, 0.9]]), np.array([[1, 0], [1, 0]]), 1.0, 1.0,
                             classes=("cat", "<dog>"))
    assert [one.caption for one in labels.worst()] == ["missed: cat; predicted: <dog>\nrecord 1"]
    assert "&lt;dog&gt;" in html_of(labels) and "<th>AP</th>" in html_of(labels)
    numbers = RegressionScore(np.array([[10.], [22.]]), np.array([[11.], [30.]]), (4.0,), 1.0, ("age",))
    assert [one.caption for one in numbers.worst(1)] == ["age 30, predicted 22\nrecord 1"]
    assert "<th>age</th><td>4.5000</td>" in html_of(numbers)
