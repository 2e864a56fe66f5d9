"""Batches: every record once an epoch, in epochs that differ, with the pixels that were declared."""
import collections
import os
import subprocess
import sys

import cv2
import numpy as np
import pytest

from mxft.data.augmentation import LEVELS, Augmentation
from mxft.data.iterators import RecordIterator, file_state
from mxft.errors import InputError, RunError
from mxft.network.input_spec import InputSpec
from tests.support.images import noise as noise_image

SPEC = InputSpec((3, 8, 8))


def epoch(iterator):
    """Read one epoch; return (labels without padding, labels with it, images with it, pads)."""
    labels, images, pads = [], [], []
    for batch in iterator:
        labels.append(batch.label[0].asnumpy())
        images.append(batch.data[0].asnumpy())
        pads.append(batch.pad)
    whole = np.concatenate(labels)
    return whole[:len(whole) - pads[-1]], whole, np.concatenate(images), pads


@pytest.mark.parametrize("shuffle", [False, True])
@pytest.mark.parametrize("n, batch_size", [(12, 4), (13, 4), (15, 4), (3, 8), (4, 4), (1, 4), (5, 1), (2, 7)])
def test_every_record_comes_once_an_epoch_and_each_image_has_its_label(make_records, n, batch_size, shuffle):
    iterator = RecordIterator(make_records("a.rec", range(n)), SPEC, batch_size, n, shuffle=shuffle, threads=2)
    for _ in range(4):
        labels, padded, images, pads = epoch(iterator)
        assert sorted(labels) == list(range(n))
        assert pads == [0] * (len(pads) - 1) + [-n % batch_size] and len(pads) == iterator.batches
        # a pixel's value is the label: rows and labels belong together, the filled ones too
        np.testing.assert_array_equal(images, np.broadcast_to(padded[:, None, None, None], images.shape))
        rest = padded[n:]
        np.testing.assert_array_equal(rest, [labels[i % min(n, batch_size)] for i in range(len(rest))])
        if not shuffle:
            np.testing.assert_array_equal(labels, np.arange(n))
        iterator.reset()


def test_epochs_differ_in_order_when_shuffled(make_records):
    iterator = RecordIterator(make_records("a.rec", range(40)), SPEC, 16, 40, shuffle=True)
    orders = []
    for _ in range(3):
        orders.append(tuple(epoch(iterator)[0]))
        iterator.reset()
    assert len(set(orders)) == 3 and tuple(range(40)) not in orders


def some_epochs(path, n, **arguments):
    iterator, read = RecordIterator(path, SPEC, 16, n, shuffle=True, **arguments), []
    for _ in range(2):
        _, labels, images, _ = epoch(iterator)
        read += [labels, images]
        iterator.reset()
    return read


@pytest.fixture
def noise(make_records):
    """40 records of 12x12 noise."""
    rng = np.random.RandomState(0)
    return make_records("noise.rec", range(40), lambda number, label: rng.randint(0, 255, (12, 12, 3)).astype(np.uint8))


@pytest.mark.parametrize("augment", sorted(LEVELS))
def test_the_same_seed_gives_the_same_batches_for_any_number_of_threads(noise, augment):
    one, again, two = (some_epochs(noise, 40, seed=3, threads=threads, augment=augment) for threads in (1, 1, 2))
    for a, b, c in zip(one, again, two):
        np.testing.assert_array_equal(a, b)
        np.testing.assert_array_equal(a, c)
    other = some_epochs(noise, 40, seed=4, threads=1, augment=augment)
    assert (one[0] != other[0]).any()


def test_random_crops_differ_between_epochs(noise):
    """With one `seed_aug` MXNet gives a record the same crop and mirror in every epoch."""
    labels1, images1, labels2, images2 = some_epochs(noise, 40, augment=1)
    first, second = dict(zip(labels1, images1)), dict(zip(labels2, images2))
    assert sum((first[label] != second[label]).any() for label in first) > 20


def test_a_reset_before_anything_was_read_changes_nothing(make_records):
    path = make_records("a.rec", range(10))
    fresh, reset = (RecordIterator(path, SPEC, 4, 10, shuffle=True, seed=1) for _ in range(2))
    reset.reset()
    reset.reset()
    np.testing.assert_array_equal(epoch(fresh)[0], epoch(reset)[0])


def test_a_reset_in_the_middle_begins_a_whole_epoch(make_records):
    iterator = RecordIterator(make_records("a.rec", range(14)), SPEC, 4, 14, threads=1)
    for read in (1, 2, 4):
        for _ in range(read):
            iterator.next()
        iterator.reset()
        np.testing.assert_array_equal(epoch(iterator)[0], np.arange(14))
        iterator.reset()


def test_after_the_end_there_is_nothing_until_the_reset(make_records):
    iterator = RecordIterator(make_records("a.rec", range(3)), SPEC, 2, 3)
    epoch(iterator)
    for _ in range(2):
        with pytest.raises(StopIteration):
            iterator.next()
    iterator.reset()
    assert len(epoch(iterator)[0]) == 3


@pytest.mark.parametrize("height, width", [(8, 8), (12, 12), (8, 20), (30, 8), (16, 11)])
def test_validation_takes_the_middle_with_mean_and_scale_applied(make_records, height, width):
    image = noise_image(0, (height, width))
    path = make_records("a.rec", [0], lambda *_: image)
    spec = InputSpec((3, 8, 8), (10.0, 20.0, 30.0), (0.5, 0.25, 2.0))
    top, left = (height - 8) // 2, (width - 8) // 2
    crop = image[top:top + 8, left:left + 8].astype(np.float64).transpose(2, 0, 1)
    expected = (crop - np.reshape([10, 20, 30], (3, 1, 1))) * np.reshape([0.5, 0.25, 2.0], (3, 1, 1))
    np.testing.assert_allclose(epoch(RecordIterator(path, spec, 1, 1))[2][0], expected, atol=1e-4)


@pytest.mark.parametrize("mean, scale", [((0.0, 0.0, 0.0), (2.0, 2.0, 2.0)), ((0.0, 5.0, 0.0), (1.0, 1.0, 1.0)),
                                         ((127.5,) * 3, (0.0078125,) * 3)])
def test_mean_and_scale_alone(make_records, mean, scale):
    image = noise_image(0, (8, 8))
    path = make_records("a.rec", [0], lambda *_: image)
    expected = (image.astype(np.float64) - mean) * scale
    np.testing.assert_allclose(epoch(RecordIterator(path, InputSpec((3, 8, 8), mean, scale), 1, 1))[2][0],
                               expected.transpose(2, 0, 1), atol=1e-4)


@pytest.mark.parametrize("height, width, resized", [(40, 60, (16, 24)), (60, 40, (24, 16)), (20, 20, (16, 16))])
def test_the_short_side_is_resized_before_the_crop(make_records, height, width, resized):
    smooth = cv2.GaussianBlur(noise_image(0, (height, width)), (9, 9), 3)
    path = make_records("a.rec", [0], lambda *_: smooth)
    read = epoch(RecordIterator(path, InputSpec((3, 8, 8), resize=16), 1, 1))[2][0]
    small = cv2.resize(smooth, resized[::-1], interpolation=cv2.INTER_AREA)
    top, left = (resized[0] - 8) // 2, (resized[1] - 8) // 2
    assert np.abs(read.transpose(1, 2, 0) - small[top:top + 8, left:left + 8]).mean() < 3


def test_grey_images_reach_a_network_of_one_channel(make_records):
    path = make_records("a.rec", [0, 1, 2])
    _, labels, images, _ = epoch(RecordIterator(path, InputSpec((1, 8, 8)), 3, 3))
    assert images.shape == (3, 1, 8, 8)
    np.testing.assert_array_equal(images[:, 0, 0, 0], labels)


def test_an_augmentation_stands_for_its_level(noise):
    own = Augmentation(rand_crop=True, rand_mirror=True)
    for a, b in zip(some_epochs(noise, 40, augment=1), some_epochs(noise, 40, augment=own)):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("augment", [*sorted(LEVELS), Augmentation(resized_crop=(0.6, 1.0), aspect=(3 / 4, 4 / 3)),
                                     Augmentation(rotate=30, shear=0.2, fill=127)])
def test_every_level_of_augmentation_gives_images_of_the_declared_shape(noise, augment):
    labels, _, images, _ = epoch(RecordIterator(noise, SPEC, 16, 40, augment=augment))
    assert images.shape == (48, 3, 8, 8) and np.isfinite(images).all()
    assert collections.Counter(labels) == collections.Counter(range(40))


@pytest.mark.parametrize("augment", [4, -1, "1"])
def test_an_unknown_level_of_augmentation_is_refused(noise, augment):
    with pytest.raises(InputError, match=f"augmentation: expected a level of 0, 1, 2, 3, received augment={augment!r}"):
        RecordIterator(noise, SPEC, 16, 40, augment=augment)


@pytest.mark.parametrize("n, batch_size", [(0, 4), (4, 0), (4, -1)])
def test_no_records_and_no_batch_are_refused(noise, n, batch_size):
    with pytest.raises(InputError, match="expected at least one record and one image a batch, received "
                                         f"{n} records and batch-size={batch_size}"):
        RecordIterator(noise, SPEC, batch_size, n)


@pytest.mark.parametrize("bad", [0, 5, 9])
def test_a_record_that_is_no_image_stops_the_run_with_the_file(make_records, bad):
    def pictures(number, label):
        return b"<html>404</html>" * 9 if number == bad else np.full((8, 8, 3), label, np.uint8)

    path = make_records("a.rec", range(10), pictures)
    with pytest.raises(RunError, match=f"reading {path} stopped: ") as caught:
        epoch(RecordIterator(path, SPEC, 4, 10, threads=2))
    assert caught.value.exit_code == 3


def test_fewer_records_than_announced_stop_the_run(make_records):
    path = make_records("a.rec", range(6))
    with pytest.raises(RunError, match="expected 40 records, received fewer; was the file changed?"):
        epoch(RecordIterator(path, SPEC, 4, 40))
    with open(path, "r+b") as f:
        f.write(bytes(os.path.getsize(path)))
    with pytest.raises(RunError, match="expected 6 records, received fewer; was the file changed?"):
        epoch(RecordIterator(path, SPEC, 4, 6))


@pytest.mark.parametrize("happens", [os.unlink, lambda path: os.truncate(path, 100), lambda path: os.utime(path, (1,
    1))])
@pytest.mark.parametrize("augment", [0, 1])
def test_records_that_vanish_or_change_between_epochs_stop_the_run(make_records, happens, augment):
    path = make_records("gone.rec", [0, 1, 2])
    iterator = RecordIterator(path, InputSpec((3, 8, 8)), 3, 3, augment=augment)
    assert len(list(iterator)) == 1
    happens(path)
    iterator.reset()
    with pytest.raises(RunError, match="gone.rec stopped: expected the file as it was .*gone or was changed"):
        iterator.next()


def test_records_that_were_looked_at_before_and_are_gone_or_others_now_stop_the_run(make_records):
    path = make_records("gone.rec", [0, 1, 2])
    seen = file_state(path)
    os.utime(path, (1, 1))
    for happens in (lambda: None, lambda: os.unlink(path)):
        happens()
        with pytest.raises(RunError, match="gone.rec stopped: expected the file as it was in the beginning"):
            RecordIterator(path, InputSpec((3, 8, 8)), 3, 3, state=seen).next()
    with pytest.raises(RunError, match="gone.rec stopped: expected the file as it was in the beginning"):
        RecordIterator(path, InputSpec((3, 8, 8)), 3, 3).next()


def test_names_and_shapes_are_what_module_wants(noise):
    iterator = RecordIterator(noise, SPEC, 16, 40)
    assert [(d.name, d.shape) for d in iterator.provide_data] == [("data", (16, 3, 8, 8))]
    assert [(d.name, d.shape) for d in iterator.provide_label] == [("softmax_label", (16,))]


EPOCHS = """
import os, sys
from mxft.data.iterators import RecordIterator
from mxft.network.input_spec import InputSpec

def resident():
    with open("/proc/self/statm") as f:
        return int(f.read().split()[1]) * os.sysconf("SC_PAGESIZE")

def run(count):
    for _ in range(count):
        iterator = RecordIterator(sys.argv[1], InputSpec((3, 160, 160)), 32, 64, augment=1)
        for batch in iterator:
            batch.data[0].wait_to_read()
        iterator.reset()  # behind the last epoch, as Module.fit does

run(3)
before = resident()
run(40)
print(resident() - before)
"""


@pytest.mark.long
@pytest.mark.skipif(not os.path.exists("/proc/self/statm"), reason="only Linux tells")
def test_iterators_give_their_memory_back(make_records):
    """MXNet lost what was prefetched, and the batch it stood at, with each: an augmented epoch has one of its own."""
    path = make_records("a.rec", [0] * 64, lambda number, label: np.zeros((160, 160, 3), np.uint8))
    grown = subprocess.run([sys.executable, "-c", EPOCHS, path], capture_output=True, text=True, check=True).stdout
    assert int(grown) < 30 * 4 * 32 * 3 * 160 * 160  # thirty batches of noise, and not forty or two hundred
