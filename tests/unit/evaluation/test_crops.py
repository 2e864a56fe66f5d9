"""Ten crops and ensembles, against plain NumPy."""
import numpy as np
import pytest

from mxft.data.iterators import RecordIterator
from mxft.errors import InputError
from mxft.evaluation.classification import softmax
from mxft.evaluation.crops import TenCropExecutor, ten_crops
from mxft.evaluation.scoring import Score, average, score_iterator, score_records
from mxft.inference.executor import InferenceExecutor
from mxft.network.input_spec import InputSpec

SPEC = InputSpec((3, 12, 12))


@pytest.fixture
def records(make_records):
    return make_records("val.rec", [0, 1, 2, 0, 1], lambda number, label: np.random.RandomState(number).randint(
        0, 255, (16, 16, 3)).astype(np.uint8))


def executor_of(checkpoint, batch_size=2):
    return InferenceExecutor(checkpoint.symbol, checkpoint.arg_params, checkpoint.aux_params, SPEC.shape, batch_size)


def test_the_crops_are_corners_centre_and_mirror_images():
    image = np.arange(16).reshape(1, 1, 4, 4)
    crops = [crop[0, 0].tolist() for crop in ten_crops(image, 2, 2)]
    assert crops[::2] == [[[0, 1], [4, 5]], [[2, 3], [6, 7]], [[8, 9], [12, 13]], [[10, 11], [14, 15]],
                          [[5, 6], [9, 10]]]
    assert crops[1::2] == [[row[::-1] for row in crop] for crop in crops[::2]]


def test_the_prediction_is_the_mean_over_the_crops(make_checkpoint, records):
    executor = executor_of(make_checkpoint(3))
    large = RecordIterator(records, InputSpec((3, 16, 16)), 2, 5)
    score = score_iterator(TenCropExecutor(executor, 12, 12), large)
    large.reset()
    images = np.concatenate([batch.data[0].asnumpy()[:2 - batch.pad] for batch in large])
    expected = np.mean([np.concatenate([softmax(executor.forward(np.ascontiguousarray(crop[i:i + 1])))
                                        for i in range(5)]) for crop in ten_crops(images, 12, 12)], axis=0)
    np.testing.assert_allclose(softmax(score.logits), expected, atol=1e-6)
    assert score.labels.tolist() == [0, 1, 2, 0, 1]


def test_ten_crops_of_what_is_no_larger_are_the_image_and_its_mirror(make_checkpoint, records):
    checkpoint = make_checkpoint(3)
    score, _ = score_records(checkpoint, InputSpec((3, 16, 16)), records, 2, crop_from=16)
    plain, _ = score_records(checkpoint, InputSpec((3, 16, 16)), records, 2)
    assert score.labels.tolist() == plain.labels.tolist() and not np.allclose(score.logits, plain.logits)


def test_images_smaller_than_a_crop_are_refused(make_checkpoint, records):
    small = RecordIterator(records, InputSpec((3, 8, 8)), 2, 5)
    with pytest.raises(InputError, match="crops: expected images of at least 12x12, received 8x8"):
        score_iterator(TenCropExecutor(executor_of(make_checkpoint(3)), 12, 12), small)


def test_an_ensemble_is_the_mean_of_the_probabilities():
    labels = np.array([0., 1.])
    one = Score(0.5, 1, 1, 2, 1.0, np.log([[0.9, 0.1], [0.6, 0.4]]), labels)
    other = Score(0.5, 1, 1, 2, 2.0, np.log([[0.3, 0.7], [0.1, 0.9]]), labels)
    both = average([one, other])
    np.testing.assert_allclose(softmax(both.logits), [[0.6, 0.4], [0.35, 0.65]])
    assert both.top1 == 1.0 and both.seconds == 3.0
    assert both.loss == pytest.approx(-(np.log(0.6) + np.log(0.65)) / 2)


def test_networks_of_other_classes_or_records_make_no_ensemble():
    one = Score(0.5, 1, 1, 2, 1.0, np.zeros((2, 2)), np.array([0., 1.]))
    for logits, labels in ((np.zeros((2, 3)), [0, 1]), (np.zeros((2, 2)), [1, 1])):
        with pytest.raises(InputError, match="ensemble: expected networks of 2 classes evaluated on the same records"):
            average([one, Score(0.5, 1, 1, 2, 1.0, logits, np.array(labels))])
