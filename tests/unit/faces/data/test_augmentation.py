"""Mirroring, cut-off squares, colours and recompression of faces against slow plain code and MXNet's own."""
import functools

import cv2
import numpy as np
import pytest

from mxft.compat import mx
from mxft.faces.data.augmentation import FaceAugmentation, jitter_matrix
from mxft.faces.data.iterators import FaceIterator
from tests.support.small_faces import SIZE, epoch, picture, write_set


@pytest.fixture
def make_set(tmp_path):
    """A function (count=22, payloads=None) -> FaceSet."""
    return functools.partial(write_set, tmp_path)


def decisions_of(iterator, number, batch, **options):
    return FaceAugmentation(**options).draw(iterator._seed, number, batch, iterator.batch_size, SIZE)


def test_mirrored_by_the_drawn_decision(make_set):
    iterator = FaceIterator(make_set(), 11, SIZE, mirror=True)
    flips = []
    for number in range(2):
        data, _, _ = epoch(iterator)
        for row, image in enumerate(data):
            flip = decisions_of(iterator, number, row // 11, mirror=True).mirror[row % 11]
            expected = picture(int(image[0, 0, 0]))  # both upper corners hold the key
            expected = expected[:, ::-1] if flip else expected
            np.testing.assert_array_equal(image, expected.transpose(2, 0, 1))
            flips.append(flip)
    assert 8 < sum(flips) < 36 and flips[:11] != flips[11:22] and flips[:22] != flips[22:]


def test_mirror_decisions_are_even():
    flips = [FaceAugmentation(mirror=True).draw(0, 1, batch, 100, SIZE).mirror for batch in range(100)]
    assert 4800 < np.sum(flips) < 5200                 # 10,000 of probability 1/2 have a standard deviation of 50
    assert not FaceAugmentation().draw(0, 1, 0, 100, SIZE).mirror.any()


def test_cutoff_against_plain_code(make_set):
    iterator = FaceIterator(make_set(), 22, SIZE, shuffle=False, cutoff=5)
    data, _, _ = epoch(iterator)
    drawn = decisions_of(iterator, 0, 0, cutoff=5)
    for row, image in enumerate(data):
        expected = picture(row + 1).astype(np.float32)
        top, bottom, left, right = drawn.boxes[row]
        for y in range(SIZE[0]):
            for x in range(SIZE[1]):
                if top <= y < bottom and left <= x < right:
                    expected[y, x] = 128
        np.testing.assert_array_equal(image, expected.transpose(2, 0, 1))


def test_cutoff_squares():
    boxes = FaceAugmentation(cutoff=5).draw(0, 0, 0, 20000, SIZE).boxes
    boxes = boxes[boxes[:, 1] > 0]
    assert 9700 < len(boxes) < 10300
    heights, widths = np.minimum(boxes[:, 1], SIZE[0]) - boxes[:, 0], np.minimum(boxes[:, 3], SIZE[1]) - boxes[:, 2]
    assert heights.max() == widths.max() == 4 and heights.min() == widths.min() == 2
    # clipped at the top and left where the centre is 0 or 1: of 12 rows 0, 11 are cut and of 10 columns likewise
    assert abs((boxes[:, 0] == 0).mean() - 3 / 12) < 0.02 and abs((boxes[:, 2] == 0).mean() - 3 / 10) < 0.02
    assert boxes[:, 1].max() == SIZE[0] + 1 and boxes[:, 3].max() == SIZE[1] + 1


def plain_jitter(image, factors, order):
    """ColorJitterAug's three steps, one after another, on float64 RGB (H, W, 3)."""
    image, coefficients = image.astype(np.float64), [0.299, 0.587, 0.114]
    for step in order:
        alpha = factors[step]
        grey = (image * coefficients).sum(axis=2, keepdims=True)
        towards = [0, grey.mean(), grey][step]
        image = alpha * image + (1 - alpha) * towards
    return image


def test_color_against_plain_code(make_set):
    iterator = FaceIterator(make_set(), 22, SIZE, shuffle=False, color=1, mirror=True)
    data, _, _ = epoch(iterator)
    drawn = decisions_of(iterator, 0, 0, color=1, mirror=True)
    factors, orders = drawn.jitter
    for row, image in enumerate(data):
        rgb = picture(row + 1)[:, ::-1] if drawn.mirror[row] else picture(row + 1)
        np.testing.assert_allclose(image.transpose(1, 2, 0), plain_jitter(rgb, factors[row], orders[row]), atol=1e-3)
    assert data.max() > 256                            # not clipped, as upstream


def test_color_draws():
    factors, orders = FaceAugmentation(color=1).draw(0, 0, 0, 6000, SIZE).jitter
    assert 0.875 <= factors.min() < 0.876 and 1.124 < factors.max() <= 1.125
    counts = np.unique(orders, axis=0, return_counts=True)[1]
    assert len(counts) == 6 and counts.min() > 850     # 1000 each, of standard deviation 29


@pytest.mark.parametrize("step, name", [(0, "BrightnessJitterAug"), (1, "ContrastJitterAug"),
                                        (2, "SaturationJitterAug")])
def test_each_color_step_is_mxnets(step, name, monkeypatch):
    rgb = picture(1).astype(np.float32)
    monkeypatch.setattr("random.uniform", lambda low, high: high)
    theirs = getattr(mx.image, name)(0.125)(mx.nd.array(rgb)).asnumpy()
    factors = np.ones(3)
    factors[step] = 1.125
    matrix = jitter_matrix(rgb.mean(axis=(0, 1)), factors, [step])
    np.testing.assert_allclose(rgb @ matrix[:, :3].T + matrix[:, 3], theirs, atol=1e-3)


def test_color_2_recompresses_every_second_image(make_set):
    iterator = FaceIterator(make_set(), 22, SIZE, shuffle=False, color=2)
    data, _, _ = epoch(iterator)
    drawn = decisions_of(iterator, 0, 0, color=2)
    assert 4 < np.count_nonzero(drawn.qualities) < 18 and set(drawn.qualities) <= {0, *range(2, 21)}
    for row, image in enumerate(data):
        bgr = picture(row + 1)[:, :, ::-1]
        if drawn.qualities[row]:
            quality = [cv2.IMWRITE_JPEG_QUALITY, int(drawn.qualities[row])]
            jpeg = cv2.imencode(".jpg", np.ascontiguousarray(bgr), quality)
            bgr = cv2.imdecode(jpeg[1], 1)
        expected = plain_jitter(bgr[:, :, ::-1], *(drawn.jitter[i][row] for i in (0, 1)))
        np.testing.assert_allclose(image.transpose(1, 2, 0), expected, atol=1e-3)


def test_recompression_draws():
    qualities = FaceAugmentation(color=2).draw(0, 0, 0, 6000, SIZE).qualities
    assert set(qualities) == {0, *range(2, 21)} and 2800 < np.count_nonzero(qualities) < 3200
