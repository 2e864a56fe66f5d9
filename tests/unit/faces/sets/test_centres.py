"""Class centres against slow loops; thresholds against the distribution the cosines are drawn from."""
import numpy as np
import pytest

from mxft.faces.sets import centres
from mxft.faces.sets.centres import (
    centre_cosines,
    centre_sums,
    core_of,
    directions,
    nearest_others,
    own_cosines,
    stranger_cosines,
    threshold_at,
)


@pytest.fixture
def rows():
    """40 unit rows of 6 classes, class 4 with one image, class 5 without any."""
    rng = np.random.default_rng(0)
    rows = rng.standard_normal((40, 8))
    return rows / np.linalg.norm(rows, axis=1, keepdims=True), np.append(rng.integers(0, 4, 39), 4)


@pytest.mark.parametrize("block", [1 << 24, 40])
def test_own_cosines_leave_the_image_out_of_its_centre(rows, block, monkeypatch):
    monkeypatch.setattr(centres, "_BLOCK", block)
    rows, labels = rows
    used = np.arange(40) % 3 > 0
    sums = centre_sums(rows, labels, 6, used)
    found = own_cosines(rows, labels, sums, used)
    for at in range(40):
        others = [rows[i] for i in range(40) if used[i] and i != at and labels[i] == labels[at]]
        centre = np.sum(others, axis=0) if others else np.zeros(8)
        length = np.linalg.norm(centre)
        assert found[at] == pytest.approx(rows[at] @ centre / length if length else 0, abs=1e-9)


@pytest.mark.parametrize("block", [1 << 24, 12])
def test_the_nearest_other_person_is_the_loops(rows, block, monkeypatch):
    monkeypatch.setattr(centres, "_BLOCK", block)
    rows, labels = rows
    made = np.eye(8)[:6]
    people = np.array([0, 1, 0, 3, 4, 5])                 # 0 and 2 are one person
    places, cosines = nearest_others(rows, people[labels], made, people)
    for at in range(40):
        best = max((k for k in range(6) if people[k] != people[labels[at]]), key=lambda k: rows[at] @ made[k])
        assert places[at] == best and cosines[at] == pytest.approx(rows[at] @ made[best], abs=1e-6)


def test_of_one_person_alone_nobody_is_nearest():
    places, cosines = nearest_others(np.eye(2), np.array([0, 0]), np.eye(2), np.array([0, 0]))
    assert places.tolist() == [-1, -1] and cosines.tolist() == [-1, -1]


@pytest.mark.parametrize("strangers", [0, 2, 4])
def test_strangers_below_a_half_are_not_in_the_core(strangers):
    """Four of nine images show one other person: the mean lies between the two, the core does not."""
    rng = np.random.default_rng(strangers)
    own, other = np.eye(32)[:2]
    made = directions(np.concatenate([own + 0.08 * rng.standard_normal((9 - strangers, 32)),
                                      other + 0.08 * rng.standard_normal((strangers, 32))]))
    core = core_of(made)
    assert len(core) == 5 and core.max() < 9 - strangers


def test_strangers_are_all_pairs_of_image_and_other_class_but_of_doubtful_images(rows):
    rows, labels = rows
    made = np.eye(8)[:6].copy()
    made[5] = 0
    expected = []
    for at in range(40):
        cosines = {k: rows[at] @ made[k] for k in range(5)}
        own = cosines.pop(labels[at])
        expected += list(cosines.values()) if own > max(cosines.values()) else []
    assert stranger_cosines(rows, labels, made) == pytest.approx(sorted(expected), abs=1e-6)


def test_cosines_of_centres_are_those_of_all_pairs(rows):
    made = rows[0][:5].copy()
    made[2] = 0
    expected = sorted(made[i] @ made[j] for i in range(5) for j in range(i) if 2 not in (i, j))
    assert centre_cosines(made) == pytest.approx(expected, abs=1e-6)


def test_a_common_rate_is_the_quantile_and_a_rare_one_follows_the_tail():
    """Exponential cosines of scale 0.02: a millionth reaches 0.02 ln(1e6) = 0.276; a few pairs are no strangers."""
    found = []
    for seed in range(20):
        cosines = np.sort(0.02 * np.random.default_rng(seed).exponential(size=20_000))
        assert threshold_at(cosines, 0.01) == pytest.approx(np.quantile(cosines, 0.99))
        found.append(threshold_at(cosines, 1e-6))
        cosines[-5:] = 0.95
        assert threshold_at(cosines, 1e-6) == pytest.approx(found[-1])
    assert np.mean(found) == pytest.approx(0.02 * np.log(1e6), abs=0.02) and np.std(found) < 0.04
    assert threshold_at(cosines[:499], 0.1) is None


def test_rows_that_are_not_finite_are_zeros():
    assert directions(np.array([[3.0, 4], [np.nan, 1], [0, 0]])).tolist() == [[pytest.approx(0.6), pytest.approx(0.8)],
                                                                              [0, 0], [0, 0]]
