"""Temperature and calibration error: against plain loops, and on probabilities whose truth is known."""
import numpy as np
import pytest

from mxft.evaluation.calibration import (
    FACTORS,
    best_factor,
    calibrate,
    cross_fitted,
    doubt_of,
    expected_calibration_error,
    fitted_temperature,
)
from mxft.evaluation.classification import softmax
from mxft.evaluation.scoring import Score


def drawn(images=4000, classes=5, seed=0):
    """Logits, and labels drawn from their own softmax: perfectly calibrated."""
    rng = np.random.RandomState(seed)
    logits = rng.normal(0, 2, (images, classes)).astype(np.float32)
    return logits, np.array([rng.choice(classes, p=p) for p in softmax(logits.astype(np.float64))])


def slow_loss(logits, labels, factor, doubt):
    total = 0.0
    for row, label in zip(logits.astype(np.float64) * factor, labels):
        logs = row - np.log(np.exp(row).sum())
        target = np.full(len(row), doubt / (len(row) - 1))
        target[label] = 1 - doubt
        total -= (target * logs).sum()
    return total / len(labels)


@pytest.mark.parametrize("doubt", [0.0, 0.1])
def test_the_factor_has_the_lowest_cross_entropy_of_all(doubt):
    logits, labels = drawn(60)
    factor, loss = best_factor(logits * 3, labels, doubt)
    losses = [slow_loss(logits * 3, labels, each, doubt) for each in FACTORS]
    assert slow_loss(logits * 3, labels, factor, doubt) == pytest.approx(min(losses), rel=1e-5)
    assert loss == pytest.approx(min(losses), rel=1e-5)


def test_a_network_that_is_too_certain_gets_the_temperature_it_was_multiplied_by():
    logits, labels = drawn()
    step = FACTORS[1] / FACTORS[0]
    for times in (0.25, 1.0, 4.0):
        assert times / step < fitted_temperature(logits * np.float32(times), labels) < times * step
    found = calibrate(logits * 4, labels)
    assert found.images == 4000 and found.ece > 0.15 and found.calibrated_ece < 0.03
    assert found.calibrated_loss < found.loss - 0.5


def test_few_images_that_are_all_right_do_not_make_it_certain():
    logits = 5 * np.eye(4, dtype=np.float32)[np.arange(12) % 4]
    probability = softmax(logits / fitted_temperature(logits, np.arange(12) % 4)).max(axis=1)
    assert probability == pytest.approx(np.full(12, 1 - doubt_of(12)), abs=0.03)
    one = calibrate(logits[:1], np.zeros(1))
    assert (one.temperature, one.calibrated_loss) == (1.0, one.loss)


def test_what_judges_a_half_was_fitted_on_the_other():
    logits, labels = drawn(40)
    divided = cross_fitted(logits, labels)
    ratios = (logits / divided)[:, 0]
    halves = np.array_split(np.random.RandomState(0).permutation(40), 2)
    for judged, fitted in (halves, halves[::-1]):
        assert ratios[judged] == pytest.approx(fitted_temperature(logits[fitted], labels[fitted]), rel=1e-5)


def test_the_error_is_that_of_plain_loops():
    logits, labels = drawn(500)
    probabilities, error = softmax(logits * 2), 0.0
    for number in range(15):
        rows = [row for row in range(500) if min(int(probabilities[row].max() * 15), 14) == number]
        if rows:
            right = np.mean([probabilities[row].argmax() == labels[row] for row in rows])
            error += len(rows) / 500 * abs(np.mean([probabilities[row].max() for row in rows]) - right)
    assert expected_calibration_error(probabilities, labels) == pytest.approx(error, abs=1e-6)


def test_a_score_at_another_temperature_decides_alike():
    logits, labels = drawn(50)
    score = Score(0.5, 1.0, slow_loss(logits, labels, 1, 0), 50, 1.0, logits, labels)
    served = score.at_temperature(2.0)
    assert served.loss == pytest.approx(slow_loss(logits, labels, 0.5, 0), rel=1e-5)
    assert (served.top1, served.temperature) == (0.5, 2.0)
    assert np.array_equal(served.logits.argmax(axis=1), logits.argmax(axis=1))
    np.testing.assert_allclose(served.at_temperature(1.0).logits, logits, rtol=1e-6)
