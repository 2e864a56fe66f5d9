"""Faces to batches against slow plain code; order, last batches, threads and refusals."""
import functools
import gc
import os
import struct
import subprocess
import sys
import threading
import time

import cv2
import numpy as np
import pytest

from mxft.compat import mx
from mxft.data.recordio import RecordReader
from mxft.errors import InputError, RunError
from mxft.faces.data import decoding
from mxft.faces.data.iterators import FaceIterator
from mxft.faces.data.layout import read_face_set
from mxft.faces.data.validation import check_faces
from tests.support.small_faces import SIZE, epoch, picture, png, write_set


@pytest.fixture
def make_set(tmp_path):
    """A function (count=22, payloads=None) -> FaceSet."""
    return functools.partial(write_set, tmp_path)


def keys_of(data):
    return data[:, 0, 0, 0].astype(int)


def test_batches_equal_plain_decoding(make_set):
    faces = make_set()
    data, labels, pads = epoch(FaceIterator(faces, 8, SIZE, shuffle=False, last="pad"))
    with RecordReader(faces.rec) as reader:
        records = [reader[key] for key in [*range(1, 23), 1, 2]]
    expected = [cv2.imdecode(np.frombuffer(r.payload, np.uint8), 1)[:, :, ::-1].transpose(2, 0, 1) for r in records]
    np.testing.assert_array_equal(data, np.array(expected, np.float32))
    np.testing.assert_array_equal(labels, [r.header.label[0] for r in records])
    assert data.dtype == labels.dtype == np.float32 and pads == [0, 0, 2]


def test_jpeg_batches_equal_plain_decoding(make_set):
    jpegs = {key: cv2.imencode(".jpg", picture(key))[1].tobytes() for key in range(1, 9)}
    data, _, _ = epoch(FaceIterator(make_set(8, jpegs), 4, SIZE, shuffle=False))
    for image, jpeg in zip(data, jpegs.values()):
        np.testing.assert_array_equal(image.transpose(1, 2, 0),
                                      cv2.imdecode(np.frombuffer(jpeg, np.uint8), 1)[:, :, ::-1])


def test_what_is_provided(make_set):
    iterator = FaceIterator(make_set(), 8, SIZE)
    data, label = iterator.provide_data[0], iterator.provide_label[0]
    assert (data.name, data.shape, data.dtype) == ("data", (8, 3, 12, 10), np.float32)
    assert (label.name, label.shape) == ("softmax_label", (8,))
    assert (iterator.batches, iterator.num_images, iterator.batch_size) == (2, 22, 8)
    assert FaceIterator(make_set(), 8, SIZE, last="pad").batches == 3
    assert FaceIterator(make_set(), 11, SIZE, last="pad").batches == 2
    batch = iterator.next()
    assert batch.provide_data == iterator.provide_data and batch.data[0].shape == data.shape


def test_each_image_once_an_epoch_in_an_order_of_its_own(make_set):
    iterator = FaceIterator(make_set(), 8, SIZE, last="pad")
    orders = []
    for _ in range(3):
        data, labels, pads = epoch(iterator)
        keys = keys_of(data)
        np.testing.assert_array_equal((keys - 1) // 2, labels)
        assert sorted(keys[:22]) == list(range(1, 23)) and pads == [0, 0, 2]
        np.testing.assert_array_equal(keys[22:], keys[:2])
        orders.append(tuple(keys))
    assert len(set(orders)) == 3 and tuple(sorted(orders[0][:22])) not in {order[:22] for order in orders}


def test_the_rest_of_an_epoch_is_dropped(make_set):
    data, _, pads = epoch(FaceIterator(make_set(), 8, SIZE))
    assert len(set(keys_of(data))) == len(data) == 16 and pads == [0, 0]


def test_a_batch_larger_than_the_set_repeats_it(make_set):
    data, _, pads = epoch(FaceIterator(make_set(4), 10, SIZE, last="pad"))
    keys = keys_of(data)
    np.testing.assert_array_equal(keys, np.tile(keys[:4], 3)[:10])
    assert pads == [6] and sorted(keys[:4]) == [1, 2, 3, 4]


@pytest.mark.parametrize("options", [{"mirror": True}, {"mirror": True, "cutoff": 6, "color": 2}])
def test_same_seed_same_batches_for_any_threads(make_set, options):
    faces = make_set(40)
    runs = [FaceIterator(faces, 36, SIZE, seed=3, threads=threads, **options) for threads in (1, 2, 5)]
    for _ in range(2):
        one, *others = [epoch(iterator) for iterator in runs]
        for other in others:
            np.testing.assert_array_equal(one[0], other[0])
            np.testing.assert_array_equal(one[1], other[1])
    another = FaceIterator(faces, 36, SIZE, seed=4, **options)
    assert not np.array_equal(keys_of(epoch(another)[0]), keys_of(one[0]))


def test_batches_stay_as_they_were_given(make_set):
    """The memory images are decoded into is used again; what was given must not be."""
    iterator = FaceIterator(make_set(40), 4, SIZE)
    batches = list(iterator)
    keys = [key for batch in batches for key in keys_of(batch.data[0].asnumpy())]
    assert sorted(keys) == list(range(1, 41))


def test_reset_in_the_middle_and_before_the_first_batch(make_set):
    faces = make_set(40)
    whole = FaceIterator(faces, 4, SIZE, mirror=True)
    first, second = epoch(whole)[0], epoch(whole)[0]
    iterator = FaceIterator(faces, 4, SIZE, mirror=True)
    iterator.reset()
    iterator.reset()
    np.testing.assert_array_equal(iterator.next().data[0].asnumpy(), first[:4])
    iterator.reset()
    np.testing.assert_array_equal(epoch(iterator)[0], second)
    later = FaceIterator(faces, 4, SIZE, mirror=True)
    later.epoch = 1
    np.testing.assert_array_equal(epoch(later)[0], second)


def test_after_a_reset_nothing_is_decoded_any_more(make_set, monkeypatch):
    """The memory of the batches that were dropped is used for the next ones."""
    at_work, decode = [], decoding.decode_face

    def slowly(*arguments):
        at_work.append(1)
        time.sleep(0.01)
        image = decode(*arguments)
        at_work.pop()
        return image

    monkeypatch.setattr(decoding, "decode_face", slowly)
    iterator = FaceIterator(make_set(40), 4, SIZE, threads=2)
    iterator.next()
    assert at_work
    iterator.reset()
    assert not at_work


def test_memory_does_not_grow(make_set):
    iterator = FaceIterator(make_set(40), 4, SIZE)
    for _ in range(2):
        epoch(iterator)
    assert len(iterator._decoder._free) == decoding.AHEAD + 1


def test_the_end_of_an_epoch_stays_the_end_until_reset(make_set):
    iterator = FaceIterator(make_set(), 22, SIZE)
    iterator.next()
    for _ in range(2):
        with pytest.raises(StopIteration):
            iterator.next()


def test_images_filter_reaches_the_batches(make_set):
    make_set(21)                                       # the last identity has one image
    folder = os.path.dirname(make_set(21).rec)
    faces = read_face_set(folder, images_filter=2)
    data, labels, _ = epoch(FaceIterator(faces, 20, SIZE))
    assert sorted(keys_of(data)) == list(range(1, 21)) and labels.max() == 9


def test_plain_records(make_records):
    faces = read_face_set(make_records("plain.rec", range(7), lambda number, label: picture(number + 1)))
    data, labels, _ = epoch(FaceIterator(faces, 7, SIZE))
    np.testing.assert_array_equal(keys_of(data), labels + 1)


def test_it_trains(make_set):
    net = mx.sym.FullyConnected(mx.sym.Flatten(mx.sym.Variable("data") / 255), num_hidden=11)
    module = mx.mod.Module(mx.sym.SoftmaxOutput(net, name="softmax"))
    module.fit(FaceIterator(make_set(), 8, SIZE, mirror=True), num_epoch=3)


@pytest.mark.parametrize("options, parts", [
    ({"image_size": (112, 112)}, ["expected image-size=112,112", "received 12,10", "image_size 12,10"]),
    ({"batch_size": 23}, ["batch_size=23", "received 22", "the largest batch that works has 22"]),
    ({"batch_size": 0}, ["batch_size=0"]), ({"threads": 0}, ["threads=0"]), ({"seed": -1}, ["seed=-1"]),
    ({"last": "keep"}, ["'drop' or 'pad'", "last='keep'"]),
    ({"cutoff": 1}, ["cutoff=1"]), ({"cutoff": -2}, ["cutoff=-2"]), ({"color": -1}, ["color=-1"])])
def test_refusals(make_set, options, parts):
    with pytest.raises(InputError) as caught:
        FaceIterator(make_set(), **{"batch_size": 8, "image_size": SIZE, **options})
    assert all(part in str(caught.value) for part in parts), caught.value


def test_a_batch_as_large_as_the_set_works(make_set):
    assert FaceIterator(make_set(), 22, SIZE).batches == 1


@pytest.mark.parametrize("payload, reason", [
    (b"no image at all", "15 bytes that cannot be decoded"),
    (png(np.zeros((9, 10, 3), np.uint8)), "expected 12x10 (height x width), received 9x10"),
    (cv2.imencode(".jpg", picture(0))[1].tobytes()[:-30], "truncated JPEG: no end-of-image marker")])
def test_a_damaged_image_is_named(make_set, payload, reason):
    faces = make_set(22, {9: payload, 14: b"later"})
    iterator = FaceIterator(faces, 22, SIZE, shuffle=False, threads=3)
    for _ in range(2):                                 # asked again it says the same
        with pytest.raises(RunError) as caught:
            iterator.next()
        message = str(caught.value)
        assert f"key 9 at byte {faces.offsets[8]}" in message and faces.rec in message and reason in message, message
        assert "mxft inspect" in message and caught.value.exit_code == 3


def test_a_jpeg_with_bytes_behind_its_end_is_none(make_set):
    padded = cv2.imencode(".jpg", picture(3))[1].tobytes() + b"\0\0"
    assert len(epoch(FaceIterator(make_set(4, {3: padded}), 4, SIZE))[0]) == 4


@pytest.mark.parametrize("at, word, reason", [(0, 7, "received the frame 0x00000007"), (32, 99, "expected label=4"),
                                              (8, 4000, "expected 4000 labels")])
def test_a_file_that_changed_after_it_was_read(make_set, at, word, reason):
    faces = make_set()
    iterator = FaceIterator(faces, 22, SIZE, shuffle=False)
    with open(faces.rec, "r+b") as f:
        f.seek(int(faces.offsets[9]) + at)
        f.write(struct.pack("<f" if at == 32 else "<I", word))
    with pytest.raises(RunError) as caught:
        iterator.next()
    assert "key 10 at byte" in str(caught.value) and reason in str(caught.value)


def test_a_file_that_was_cut_after_it_was_read(make_set):
    faces = make_set()
    os.truncate(faces.rec, int(faces.offsets[21]) + 10)
    with pytest.raises(RunError, match="key 22 at byte .* received 10 before the end of the file"):
        FaceIterator(faces, 22, SIZE, shuffle=False).next()


def threads_of_iterators():
    return [thread for thread in threading.enumerate() if thread.name.startswith("faces")]


def test_threads_end_with_the_iterator(make_set):
    gc.collect()
    before = set(threads_of_iterators())
    faces = make_set(40)
    closed, forgotten = FaceIterator(faces, 4, SIZE, threads=2), FaceIterator(faces, 4, SIZE, threads=2)
    first = closed.next().data[0].asnumpy()
    forgotten.next()
    assert len(set(threads_of_iterators()) - before) >= 2  # an idle one takes work before a second begins
    closed.close()
    closed.close()
    del forgotten
    gc.collect()
    deadline = time.monotonic() + 10
    while set(threads_of_iterators()) - before and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not set(threads_of_iterators()) - before
    closed.epoch = 0
    np.testing.assert_array_equal(closed.next().data[0].asnumpy(), first)
    closed.close()


@pytest.mark.long
def test_the_interpreter_ends_in_the_middle_of_an_epoch(make_set, repository):
    script = ("import sys; from mxft.faces.data.layout import read_face_set; "
              "from mxft.faces.data.iterators import FaceIterator; "
              f"it = FaceIterator(read_face_set({os.path.dirname(make_set(200).rec)!r}), 8, {SIZE}); "
              "it.next(); raise KeyboardInterrupt")
    ended = subprocess.run([sys.executable, "-c", script], cwd=repository, capture_output=True, timeout=60, check=False)
    assert ended.returncode != 0 and b"KeyboardInterrupt" in ended.stderr


@pytest.mark.parametrize("damaged, reason", [
    (b"no image", "expected an image, received 8 bytes that cannot be decoded"), (b"\xff\xd8\xff\xe0",
                                                                                  "truncated JPEG"),
    (png(picture(3)[:5]), "received 5x10"),
])
def test_all_images_are_decoded_beforehand_where_that_is_asked_for(make_set, damaged, reason):
    check_faces(make_set(), SIZE, threads=2)
    with pytest.raises(InputError) as caught:
        check_faces(make_set(payloads={9: damaged, 13: damaged}), SIZE, threads=2)
    assert reason in str(caught.value) and "received at key 9, byte" in str(caught.value)
    assert "2 of 22 are damaged" in str(caught.value)


def test_an_image_opencv_throws_at_is_refused_with_its_key(make_set):
    with pytest.raises(InputError, match="the record with key 1 at byte .* holds no image"):
        make_set(payloads={1: b"P5 40000 40000 255\n"})
