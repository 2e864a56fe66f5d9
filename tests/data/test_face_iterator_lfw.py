"""The LFW faces, packed without a header record: every one once an epoch, equal to MXNet's own decoding."""
import tarfile

import numpy as np
import pytest

from mxft.compat import mx
from mxft.data.recordio import IRHeader, RecordWriter, pack
from mxft.faces.data.iterators import FaceIterator
from mxft.faces.data.layout import read_face_set

pytestmark = pytest.mark.data
IMAGES, PEOPLE = 13233, 5749                           # http://vis-www.cs.umass.edu/lfw/


@pytest.fixture(scope="module")
def lfw(testdata, tmp_path_factory):
    """The path of a plain .rec of the aligned LFW images, a label a person."""
    rec = str(tmp_path_factory.mktemp("lfw") / "lfw.rec")
    people = {}
    with tarfile.open(testdata / "data" / "lfw-112x112.tar") as tar, RecordWriter(rec, rec[:-4] + ".idx") as writer:
        for key, member in enumerate(m for m in tar if m.name.endswith(".jpg")):
            label = people.setdefault(member.name.split("/")[-2], len(people))
            writer.write(pack(IRHeader(0, float(label), key, 0), tar.extractfile(member).read()), key)
    return rec


def test_the_set(lfw):
    faces = read_face_set(lfw)
    assert (len(faces.labels), faces.identities, faces.image_size) == (IMAGES, PEOPLE, (112, 112))
    several = read_face_set(lfw, images_filter=2)
    assert several.identities == 1680                  # as published: people with two or more photographs


def test_an_epoch(lfw):
    faces = read_face_set(lfw)
    seen = np.zeros(PEOPLE, int)
    iterator = FaceIterator(faces, 256, mirror=True, last="pad")
    for batch in iterator:
        np.add.at(seen, batch.label[0].asnumpy().astype(int)[:256 - batch.pad], 1)
    iterator.close()
    np.testing.assert_array_equal(seen, np.bincount(faces.labels))


def test_images_equal_mxnets(lfw):
    faces = read_face_set(lfw)
    records = mx.recordio.MXIndexedRecordIO(lfw[:-4] + ".idx", lfw, "r")
    batch = FaceIterator(faces, 32, shuffle=False).next()
    for key, image in enumerate(batch.data[0].asnumpy()):
        _, encoded = mx.recordio.unpack(records.read_idx(key))
        theirs = mx.image.imdecode(encoded).asnumpy().transpose(2, 0, 1)
        # two libjpeg versions may round an inverse DCT differently
        assert np.abs(image - theirs).max() <= 3 and np.abs(image - theirs).mean() < 0.1
