"""The same people: pairs of centres against a loop, thresholds, names."""
import numpy as np
import pytest

from mxft.faces.sets import people
from mxft.faces.sets.people import person_numbers, same_names, same_people


def unit(seed, count, size=24):
    rows = np.random.default_rng(seed).standard_normal((count, size))
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


@pytest.mark.parametrize("block", [1 << 24, 30])
def test_pairs_are_those_a_loop_finds(block, monkeypatch):
    monkeypatch.setattr(people, "_BLOCK", block)
    a, b = unit(0, 17), unit(1, 9)
    a[3], b[2] = 0, 0
    found = same_people(a, b, threshold=0.2)
    expected = [(i, j) for i in range(17) for j in range(9) if a[i].any() and b[j].any() and a[i] @ b[j] >= 0.2]
    assert found.pairs == expected and len(expected) > 5
    assert found.cosines == pytest.approx([a[i] @ b[j] for i, j in expected], abs=1e-6)
    within = same_people(a, threshold=0.2).pairs
    assert within == [(i, j) for i in range(17) for j in range(i + 1, 17) if a[i].any() and a[i] @ a[j] >= 0.2]


def test_people_in_both_are_found_at_a_threshold_that_strangers_hardly_reach():
    a, b = unit(0, 120, 64), unit(1, 100, 64)
    rng = np.random.default_rng(2)
    b[:12] = a[40:52] + 0.03 * rng.standard_normal((12, 64))
    b /= np.linalg.norm(b, axis=1, keepdims=True)
    found = same_people(a, b, false_pairs=0.01)
    assert found.measured and found.pairs == [(40 + i, i) for i in range(12)]
    assert np.sort((a @ b.T).ravel())[-13] < found.threshold < 0.8
    assert 100 < len(same_people(a, b, false_pairs=200).pairs) - 12 < 400    # 200 are expected


def test_too_few_people_measure_nothing():
    found = same_people(unit(0, 5), unit(0, 5))
    assert not found.measured and found.threshold == 0.55 and found.pairs == [(i, i) for i in range(5)]


def test_names_say_the_same_whatever_their_writing():
    assert same_names(["Ada_Lovelace", "Bob", "C.-D. Eff"], ["BOB", "ada lovelace", "bob ", "c d eff"]) == [
        (0, 1), (1, 0), (1, 2), (2, 3)]


def test_pairs_chain_to_one_person():
    assert person_numbers(6, [(4, 5), (1, 4), (2, 3)]).tolist() == [0, 1, 2, 2, 1, 1]
