"""Every label has its share in both parts; the same seed gives the same parts."""
import numpy as np
import pytest

from mxft.data.lists import Row
from mxft.data.stratification import split_targets
from mxft.errors import InputError


def rows_of(labels):
    return [Row(number, tuple(map(float, row)), f"{number}.jpg") for number, row in enumerate(labels)]


def test_rare_and_common_labels_are_divided_in_proportion():
    rng = np.random.RandomState(0)
    labels = rng.uniform(size=(400, 5)) < [0.5, 0.3, 0.1, 0.05, 0.025]
    train, val = split_targets(rows_of(labels), "multi-label", 0.2)
    share = np.array([row.labels for row in val]).sum(axis=0) / labels.sum(axis=0)
    assert len(train) + len(val) == 400 and abs(len(val) - 80) <= 4
    assert np.abs(share - 0.2).max() < 0.06, share  # drawn at random, the rarest had between 0 and half of its rows
    assert {row.path for row in train}.isdisjoint(row.path for row in val)


def test_the_choice_depends_on_the_seed_and_not_on_the_order_of_rows():
    rows = rows_of(np.random.RandomState(1).randint(0, 2, (40, 3)))
    parts = [split_targets(given, "multi-label", 0.25, seed) for given, seed in ((rows, 3), (rows[::-1], 3), (rows, 4))]
    names = [[row.path for row in val] for _, val in parts]
    assert names[0] == names[1] != names[2]


def test_numbers_are_drawn():
    train, val = split_targets(rows_of(np.arange(10)[:, None]), "regression", 0.3)
    assert (len(train), len(val)) == (7, 3)


@pytest.mark.parametrize("count, fraction", [(1, 0.2), (3, 0.1), (3, 1.0)])
def test_a_part_without_images_is_refused(count, fraction):
    with pytest.raises(InputError, match="cannot split"):
        split_targets(rows_of(np.arange(count)[:, None]), "regression", fraction)
