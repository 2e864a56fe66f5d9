"""Augmentation: the arguments it becomes, what the record iterator then does to pixels, and what is refused."""
import numpy as np
import pytest

from mxft.compat import mx
from mxft.data.augmentation import LEVELS, Augmentation, augmentation_of
from mxft.data.iterators import RecordIterator
from mxft.errors import InputError
from mxft.network.input_spec import InputSpec

ROWS, COLUMNS = 40, 60
STEP_Y, STEP_X = 6, 4


@pytest.fixture
def ramps(make_records):
    """64 records of 40 x 60: red tells the row, green the column, blue is 100 everywhere."""
    y, x = np.indices((ROWS, COLUMNS))
    image = np.stack([y * STEP_Y, x * STEP_X, np.full_like(y, 100)], -1).astype(np.uint8)
    return make_records("ramps.rec", range(64), lambda *_: image)


def images(path, augmentation, size=32, resize=None):
    spec = InputSpec((3, size, size), resize=resize)
    return RecordIterator(path, spec, 64, 64, augmentation, seed=1, threads=1).next().data[0].asnumpy()


def extents(batch):
    """Return height and width, in pixels of the original, of the parts that were cropped and resized."""
    size = batch.shape[-1]
    ranges = batch[:, :2].max((2, 3)) - batch[:, :2].min((2, 3))
    return (ranges / (STEP_Y, STEP_X) * size / (size - 1)).T


# MXNet 1.9.1, example/image-classification/common/data.py, set_data_aug_level
EXAMPLES_LEVELS = {
    0: {},
    1: {"rand_crop": True, "rand_mirror": True},
    2: {"rand_crop": True, "rand_mirror": True, "random_h": 36, "random_s": 50, "random_l": 50},
    3: {"rand_crop": True, "rand_mirror": True, "random_h": 36, "random_s": 50, "random_l": 50,
        "max_rotate_angle": 10, "max_shear_ratio": 0.1, "max_aspect_ratio": 0.25},
}


@pytest.mark.parametrize("level", LEVELS)
def test_a_level_gives_the_pixels_of_the_examples_arguments(ramps, level):
    theirs = mx.io.ImageRecordIter(path_imgrec=ramps, data_shape=(3, 32, 32), batch_size=64, preprocess_threads=1,
                                   seed=1, seed_aug=1, verbose=False, **EXAMPLES_LEVELS[level])
    np.testing.assert_array_equal(images(ramps, level), theirs.next().data[0].asnumpy())


def test_a_resized_crop_has_the_area_and_proportions_that_were_asked_for(ramps):
    heights, widths = extents(images(ramps, Augmentation(resized_crop=(0.3, 0.5), aspect=(0.75, 4 / 3))))
    area, aspect = heights * widths / (ROWS * COLUMNS), widths / heights
    assert 0.27 < area.min() < 0.33 and 0.46 < area.max() < 0.54  # a pixel's rounding either way
    assert 0.7 < aspect.min() < 0.82 and 1.25 < aspect.max() < 1.42


def test_a_resized_crop_without_proportions_is_square(ramps):
    heights, widths = extents(images(ramps, Augmentation(resized_crop=(0.2, 0.4))))
    np.testing.assert_allclose(heights, widths, atol=1.1)
    assert np.ptp(heights) > 5


def test_where_no_part_fits_the_centre_is_cropped(ramps):
    """A square of all the image's area is higher than the image: MXNet's way out, and not torchvision's."""
    np.testing.assert_array_equal(images(ramps, Augmentation(resized_crop=(1.0, 1.0))), images(ramps, 0))


def gradients(batch):
    """Return how red (rows) and green (columns) grow per pixel, in original pixels: ((R/dy, R/dx), (G/dy, G/dx))."""
    inner = batch[:, :2, 10:-10, 10:-10] / np.reshape([STEP_Y, STEP_X], (2, 1, 1))
    return np.stack([np.diff(inner, axis=2).mean((2, 3)), np.diff(inner, axis=3).mean((2, 3))], -1)


def test_rotation_goes_up_to_its_degrees_both_ways_and_fills_the_corners(ramps):
    batch = images(ramps, Augmentation(rotate=30, fill=7), 40)
    rows = gradients(batch)[:, 0]
    degrees = np.degrees(np.arctan2(rows[:, 1], rows[:, 0]))
    assert -30.5 < degrees.min() < -25 and 25 < degrees.max() < 30.5
    assert batch[:, 2].min() == 7 and batch[:, 2].max() == 100
    assert images(ramps, Augmentation(rotate=30), 40)[:, 2].max() == 255


def test_shear_moves_rows_sideways_by_its_ratio(ramps):
    moved = gradients(images(ramps, Augmentation(shear=0.25), 40))
    sideways = moved[:, 1, 0]  # columns, for each row
    assert -0.26 < sideways.min() < -0.2 and 0.2 < sideways.max() < 0.26
    np.testing.assert_allclose(moved[:, 0, 0], 1, atol=0.02)  # rows stay rows


def test_mirroring_turns_half_of_them(ramps):
    turned = gradients(images(ramps, Augmentation(rand_mirror=True)))[:, 1, 1] < 0
    assert 15 < turned.sum() < 49


def test_an_augmented_epoch_differs_from_the_last_one_and_a_plain_one_does_not(ramps):
    for augmentation, differs in ((Augmentation(), False), (Augmentation(fill=3), False),
                                  (Augmentation(rotate=20), True), (Augmentation(hue=20), True),
                                  (Augmentation(resized_crop=(0.3, 0.5)), True)):
        iterator = RecordIterator(ramps, InputSpec((3, 32, 32)), 64, 64, augmentation, threads=1)
        first = iterator.next().data[0].asnumpy()
        iterator.reset()
        assert (first != iterator.next().data[0].asnumpy()).any() == differs == augmentation.is_random


def test_levels_and_augmentations_are_told_apart():
    own = Augmentation(rotate=3)
    assert augmentation_of(own) is own and augmentation_of(2) is LEVELS[2] and augmentation_of(np.int64(1)) is LEVELS[1]


@pytest.mark.parametrize("augmentation, words", [
    (Augmentation(), "centre crop"),
    (LEVELS[3], "crop, mirror, aspect 0.75-1.25, rotate 10, shear 0.1, hue 36, saturation 50, lightness 50"),
    (Augmentation(resized_crop=(0.6, 1), rand_mirror=True), "mirror, resized crop 0.6-1"),
])
def test_it_says_what_it_does(augmentation, words):
    assert augmentation.describe() == words


@pytest.mark.parametrize("values, message", [
    ({"rand_crop": True, "resized_crop": (0.5, 1)}, "expected rand_crop or resized_crop, received both, rand_crop=True "
                                                    r"and resized_crop=\(0.5, 1\)"),
    ({"resized_crop": (0, 1)}, r"0 < least <= most <= 1, received resized_crop=\(0, 1\)"),
    ({"resized_crop": (0.8, 0.6)}, r"received resized_crop=\(0.8, 0.6\)"),
    ({"resized_crop": (0.8, 1.1)}, r"received resized_crop=\(0.8, 1.1\)"),
    ({"resized_crop": 0.5}, "received resized_crop=0.5"),
    ({"aspect": (4 / 3, 3 / 4)}, "received aspect="),
    ({"aspect": (1,)}, r"received aspect=\(1,\)"),
    ({"rotate": 181}, "expected a whole number from 0 to 180, received rotate=181"),
    ({"rotate": 2.5}, "expected a whole number from 0 to 180, received rotate=2.5"),
    ({"hue": -1}, "expected a whole number from 0 to 180, received hue=-1"),
    ({"lightness": 256}, "expected a whole number from 0 to 255, received lightness=256"),
    ({"fill": 300}, "expected a whole number from 0 to 255, received fill=300"),
    ({"shear": -0.1}, "expected a number from 0 to 10, received shear=-0.1"),
    ({"shear": "0.1"}, "expected a number from 0 to 10, received shear='0.1'"),
])
def test_what_cannot_be_is_refused(values, message):
    with pytest.raises(InputError, match="augmentation: expected .*" + message.replace("expected ", "", 1)
                       if message.startswith("expected") else message):
        Augmentation(**values)


@pytest.mark.parametrize("augment", [4, -1, "1", None, 1.0, {}])
def test_an_unknown_level_is_refused(augment):
    with pytest.raises(InputError, match="augmentation: expected a level of 0, 1, 2, 3, received augment="):
        augmentation_of(augment)
