"""The range of a map: its extremes, a percentile as NumPy has it, or what loses least information."""
import numpy as np
import pytest

from mxft.errors import RunError
from mxft.quantization.histogram import PERCENTILE, Histogram


def counted(*batches):
    histogram = Histogram()
    for values in batches:
        histogram.add(np.asarray(values, np.float32))
    return histogram


def _bin(values):
    """The width of two bins: the histogram's top may be twice the largest magnitude, and it has 4096."""
    return float(2 * 2 * abs(values).max() / 4096)


def heavy_tailed(seed=0, size=40000):
    return np.random.RandomState(seed).standard_t(3, size).astype(np.float32)


def test_naive_is_the_extremes_as_far_down_as_up():
    assert counted([-1, 0.5, 3]).range("naive") == (-3, 3)
    assert counted([-4, 0.5], [3]).range("naive") == (-4, 4)


def test_what_is_never_negative_begins_at_0():
    assert counted([2, 5], [1]).range("naive") == (0, 5)


def test_a_map_of_zeros_has_some_scale():
    assert counted(np.zeros(10)).range("naive") == (0, 1)
    assert counted(np.zeros(10)).range("percentile") == (0, 1)


@pytest.mark.parametrize("batches", [1, 7])
def test_percentile_is_numpys(batches):
    """To two bins."""
    values = heavy_tailed()
    histogram = counted(*np.array_split(values, batches))
    expected = np.percentile(abs(values), PERCENTILE)
    assert histogram.range("percentile")[1] == pytest.approx(expected, abs=_bin(values))


def test_order_of_the_batches_changes_nothing_but_the_width_of_a_bin():
    values = np.sort(abs(heavy_tailed()))
    forward, backward = (counted(*np.array_split(each, 5)).range("percentile")[1] for each in (values, values[::-1]))
    assert forward == pytest.approx(backward, abs=_bin(values))


def test_an_outlier_is_clipped_by_percentile_and_entropy_but_not_by_naive():
    values = np.append(np.random.RandomState(0).normal(size=60000), 1000)
    histogram = counted(values)
    assert histogram.range("naive")[1] == 1000
    assert histogram.range("percentile")[1] < 10
    assert histogram.range("entropy")[1] < 300  # of 1024 bins it keeps 128 at least


def test_entropy_of_an_even_spread_keeps_nearly_all():
    low, high = counted(np.random.RandomState(0).uniform(0, 2, 50000)).range("entropy")
    assert low == 0 and 1.9 <= high <= 2


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_numbers_that_are_not_finite_are_refused(bad):
    with pytest.raises(RunError, match="calibration: expected finite numbers, received NaN or infinity from the "
                                       "network"):
        counted([1, bad])
