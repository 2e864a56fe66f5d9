"""1:N numbers against one probe at a time, against upstream's own steps, and where there is too little of something."""
import numpy as np
import pytest

from mxft.errors import InputError
from mxft.faces.evaluation.ijb import identification
from mxft.faces.evaluation.ijb.identification import identify_templates, mean_of
from tests.reference.ijb import slow_identification


def unit(rows):
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def made(seed=0, subjects=30, strangers=40, probes=120, noise=1.3):
    rng = np.random.RandomState(seed)
    centres = rng.randn(subjects + strangers, 8)
    who = rng.randint(0, subjects + strangers, probes)
    gallery = rng.permutation(subjects)
    return (unit(centres[who] + noise * rng.randn(probes, 8)), who + 1000,
            unit(centres[gallery] + 0.5 * rng.randn(subjects, 8)), gallery + 1000)


@pytest.mark.parametrize("block", [1, 100, 1 << 23])
@pytest.mark.parametrize("rate", [0.1, 0.2, 1.0])
def test_against_one_probe_at_a_time(rate, block, monkeypatch):
    monkeypatch.setattr(identification, "BLOCK", block)
    data = made()
    found = identify_templates(*data, rates=[rate])
    top1, top5, tpir = slow_identification(*[part.tolist() for part in data], rate)
    assert (found.top[1], found.top[5], found.tpir[rate]) == pytest.approx((top1, top5, tpir))
    assert 0 < found.top[1] < found.top[5] < found.top[10] <= 1 and 0 < tpir <= top1
    assert (found.mated + found.unmated, found.gallery) == (120, 30)


def test_the_steps_of_ijb_evals():
    """Its positives, negatives and strangers, sorted and cut as there; one template a subject."""
    probes, who, gallery, whose = made(3)
    similar = probes @ gallery.T
    mated = np.isin(who, whose)
    positive = np.array([similar[i][whose == who[i]][0] for i in np.flatnonzero(mated)])
    negative = np.array([similar[i][whose != who[i]] for i in np.flatnonzero(mated)])
    strangers = np.sort(similar[~mated].max(1))[::-1]
    found = identify_templates(probes, who, gallery, whose)
    for rate in (0.1,):
        threshold = strangers[max(int(strangers.shape[0] * rate) - 1, 0)]
        recall = np.logical_and(positive > negative.max(1), positive > threshold).sum() / positive.shape[0]
        assert found.thresholds[rate] == threshold and found.tpir[rate] == pytest.approx(recall)
    fpir, tpir = found.curve
    assert tpir[-1] == pytest.approx(np.mean((positive > negative.max(1)) & (positive > strangers[-1])))
    assert fpir[-1] == 1 and np.all(np.diff(tpir) >= 0)


def test_embeddings_that_are_all_the_same_find_nobody():
    same = np.ones((6, 4), np.float32) / 2
    found = identify_templates(same, np.arange(6), same[:3], np.arange(3), rates=[1.0])
    assert found.top[1] == 0 and found.tpir[1.0] == 0 and found.top[5] == 1.0


def test_who_is_as_similar_as_a_stranger_is_not_above_the_threshold():
    faces = np.eye(3, dtype=np.float32)
    found = identify_templates(faces[[0, 0]], np.array([5, 9]), faces, np.array([5, 6, 7]), rates=[1.0])
    assert found.top[1] == 1.0 and found.thresholds[1.0] == 1.0 and found.tpir[1.0] == 0.0


def test_a_person_with_several_templates_is_found_by_the_most_similar():
    gallery = np.eye(3, dtype=np.float32)
    found = identify_templates(gallery[[1, 2]], np.array([5, 6]), gallery, np.array([5, 5, 6]), rates=[1.0])
    assert found.top[1] == 1.0 and found.mated == 2 and found.tpir[1.0] is None


def test_too_little_of_something_is_said():
    probes, who, gallery, whose = made(strangers=0)
    found = identify_templates(probes, who, gallery, whose)
    assert found.tpir_text(0.1) == "needs 10 probes whose person is not in the gallery, received 0"
    assert found.top[1] > 0 and len(found.curve[0]) == 0
    nobody = identify_templates(probes, who + 5000, gallery, whose)
    assert nobody.top[1] is None and nobody.tpir_text(0.1) == (
        "needs probes whose person is in the gallery, received none")
    assert mean_of([nobody, nobody]).top[1] is None


def test_the_mean_of_two_galleries():
    first, second = identify_templates(*made(1), rates=[0.1]), identify_templates(*made(2, subjects=20), rates=[0.1])
    mean = mean_of([first, second])
    hits = first.top[1] * first.mated + second.top[1] * second.mated
    assert mean.top[1] == pytest.approx(hits / (first.mated + second.mated))
    assert mean.tpir[0.1] == pytest.approx((first.tpir[0.1] + second.tpir[0.1]) / 2)
    assert mean.thresholds == {0.1: None} and mean.to_dict()["gallery"] == 50


def test_what_is_refused():
    probes, who, gallery, whose = made()
    with pytest.raises(InputError, match="received probes=0 gallery=30"):
        identify_templates(probes[:0], who[:0], gallery, whose)
    with pytest.raises(InputError, match="received NaN or infinity for 1 of 120 probes"):
        probes[4, 0] = np.nan
        identify_templates(probes, who, gallery, whose)
