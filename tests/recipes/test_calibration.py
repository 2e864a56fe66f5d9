"""recipes/calibration.py: log loss and calibration of every head, on features whose truth is known."""
import numpy as np
import pytest

CLASSES, OF_EACH, FEATURES = 6, 24, 8


@pytest.fixture
def codes(here):
    """The path of features ``(144, 8)`` of six classes that overlap a little."""
    rng = np.random.RandomState(0)
    labels = np.repeat(np.arange(CLASSES), OF_EACH)
    features = rng.normal(0, 1, (CLASSES, FEATURES))[labels] * 2 + rng.normal(0, 1, (len(labels), FEATURES))
    np.savez("codes.npz", features=features.astype(np.float32), labels=labels, names=labels.astype(str))
    return "codes.npz"


def rows_of(text):
    return [[cell.strip() for cell in line.split("|")[1:-1]] for line in text.splitlines() if line.startswith("|")]


def test_every_head_is_judged_before_and_after(run, codes, capsys):
    assert run(codes, "--classes", "4,6") == 0
    header, _, *rows = rows_of(capsys.readouterr().out)
    assert header == ["head", "classes", "top-1", "frequencies", "log loss", "ECE", "log loss, scaled", "ECE, scaled"]
    assert [row[:2] for row in rows] == [[head, classes] for classes in ("4", "6")
                                         for head in ("ridge", "logistic", "svm", "imprint", "sgd")]
    for _, classes, top1, frequencies, loss, _, scaled, error in rows:
        assert float(top1) > 0.8
        assert float(frequencies) == pytest.approx(np.log(int(classes)), abs=1e-3)
        assert float(scaled) < float(frequencies)
        assert 0 <= float(error) < 0.25 and float(loss) > 0


def test_the_same_head_is_trained_again(recipe, codes):
    found = np.load(codes)
    first, second = (recipe.sgd_logits(found["features"], found["labels"], found["features"], CLASSES, 3)
                     for _ in range(2))
    assert (first.argmax(axis=1) == found["labels"]).mean() > 0.9
    np.testing.assert_allclose(first, second, rtol=1e-5, atol=1e-5)


def test_a_head_that_is_none(run, codes, capsys):
    assert run(codes, "--heads", "ridge,forest") == 2
    assert "expected some of ridge, logistic, svm, imprint, sgd, received 'forest'" in capsys.readouterr().err


def test_novelty(run, codes, capsys):
    assert run(codes, "--novelty", "--classes", "3", "--draws", "2") == 0
    _, _, (classes, false_alarms, marked) = rows_of(capsys.readouterr().out)
    assert classes == "3" and float(false_alarms) < float(marked) <= 1
