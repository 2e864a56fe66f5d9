"""The classes of a step: those of the batch always, the others at random, the same ones for the same step."""
import numpy as np
import pytest

from mxft.faces.training.class_sampling import ClassSampler


@pytest.mark.parametrize("first", [0, 40])
@pytest.mark.parametrize("labels", [[], [0], [40, 41, 41, 59], [39, 60, 55], list(range(40, 60)), list(range(100))])
def test_classes_of_the_batch_are_in_and_every_label_finds_its_place(first, labels):
    sampler, labels = ClassSampler(first, 20, 0.3, len(labels), (1, 2)), np.array(labels, int)
    rows, positions = sampler.draw(labels, (3,))
    assert len(rows) == sampler.size and (np.diff(rows) > 0).all() and rows[0] >= 0 and rows[-1] < 20
    for label, position in zip(labels, positions):
        inside = first <= label < first + 20
        assert rows[position] + first == label if inside else position == -1


def test_the_size_is_a_share_of_the_classes_with_room_for_the_batch():
    assert ClassSampler(0, 1000, 0.1, 64, ()).size == 100
    assert ClassSampler(0, 1001, 0.1, 64, ()).size == 101
    assert ClassSampler(0, 100, 0.1, 64, ()).size == 64
    assert ClassSampler(0, 50, 0.1, 64, ()).size == 50


def test_the_same_step_draws_the_same_whatever_was_drawn_before():
    one, other = (ClassSampler(0, 1000, 0.1, 8, (4, 0)) for _ in range(2))
    labels = np.arange(8) * 100
    for step in range(3):
        one.draw(labels, (step,))
    np.testing.assert_equal(one.draw(labels, (7, 0)), other.draw(labels, (7, 0)))
    drawn = {tuple(sampler.draw(labels, step)[0]) for sampler in (one, ClassSampler(0, 1000, 0.1, 8, (4, 1)))
             for step in ((7, 0), (7, 1), (8, 0))}
    assert len(drawn) == 6


def test_every_other_class_is_drawn_as_often():
    """2,000 draws of 15 others among 45: 667 times each, of which 21 is a standard deviation."""
    sampler, labels = ClassSampler(0, 50, 0.4, 5, ()), np.array([0, 7, 8, 31, 49])
    times = np.bincount(np.concatenate([sampler.draw(labels, (step,))[0] for step in range(2000)]), minlength=50)
    assert (times[labels] == 2000).all()
    others = np.delete(times, labels)
    assert others.sum() == 2000 * 15 and np.abs(others - 2000 / 3).max() < 5 * 21
