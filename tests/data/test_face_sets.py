"""Packing LFW: counts that are known, the reading upstream does through MXNet's own reader, and there and back."""
import tarfile

import numpy as np
import pytest

from mxft.faces.data.packing import pack_faces
from mxft.faces.data.unpacking import unpack
from mxft.faces.inspection.inspect import inspect_path

pytestmark = pytest.mark.data
IMAGES, PEOPLE = 13233, 5749                    # LFW as published (vis-www.cs.umass.edu/lfw)
PEOPLE_WITH_5, THEIR_IMAGES = 423, 5985         # the same page's table of people by number of images


@pytest.fixture(scope="module")
def lfw(testdata, tmp_path_factory):
    """The aligned LFW faces, unpacked: 5,749 folders."""
    folder = tmp_path_factory.mktemp("lfw")
    with tarfile.open(testdata / "data" / "lfw-112x112.tar") as tar:
        safe = {"filter": "data"} if hasattr(tarfile, "data_filter") else {}
        tar.extractall(folder, **safe)
    return folder / "lfw-112X112"


def read_through_mxnet(folder):
    """Return {label: [payload, …]} as insightface's FaceImageIter finds it, through MXIndexedRecordIO."""
    from mxft.compat import mx
    try:
        recordio = mx.recordio
    except ImportError as error:
        pytest.skip(f"mxnet cannot be loaded: {error}")
    records = recordio.MXIndexedRecordIO(f"{folder}/train.idx", f"{folder}/train.rec", "r")
    header, payload = recordio.unpack(records.read_idx(0))
    assert header.flag > 0 and payload == b""
    people, first, past = {}, int(header.label[0]), int(header.label[1])
    assert records.keys == list(range(past))
    expected = 1
    for identity in range(first, past):
        bounds, _ = recordio.unpack(records.read_idx(identity))
        start, stop = map(int, bounds.label)
        assert start == expected < stop
        expected = stop
        read = [recordio.unpack(records.read_idx(key)) for key in range(start, stop)]
        label, = {image.label for image, _ in read}
        people[int(label)] = [payload for _, payload in read]
    assert expected == first
    return people


@pytest.mark.long
def test_lfw_is_packed_whole_and_mxnet_reads_every_identity(lfw, tmp_path):
    result = pack_faces(str(lfw), str(tmp_path / "all"), num_thread=2, show=False)
    assert (result.images, result.identities, result.resized, result.bad) == (IMAGES, PEOPLE, 0, [])
    assert (tmp_path / "all" / "property").read_text() == "5749,112,112\n"
    people = read_through_mxnet(tmp_path / "all")
    names = (tmp_path / "all" / "identities.txt").read_text(encoding="utf-8").splitlines()
    assert sorted(people) == list(range(PEOPLE)) and names == sorted(path.name for path in lfw.iterdir())
    for label in range(0, PEOPLE, 50):
        assert people[label] == [path.read_bytes() for path in sorted((lfw / names[label]).iterdir())]
    found, = inspect_path(tmp_path / "all", show=False)
    assert found.problems == [] and dict(found.facts)["records"] == "18983 = 13233 images + 5749 identities + 1 header"


@pytest.mark.long
def test_people_with_five_images_and_one_in_five_held_out(lfw, tmp_path):
    result = pack_faces(str(lfw), str(tmp_path / "five"), min_images=5, hold_out=0.2, num_thread=2, show=False)
    assert result.identities == result.held_out_identities == PEOPLE_WITH_5
    assert result.images + result.held_out == THEIR_IMAGES and result.few == PEOPLE - PEOPLE_WITH_5
    train, held = read_through_mxnet(tmp_path / "five"), read_through_mxnet(tmp_path / "five" / "held-out")
    assert sorted(train) == sorted(held) == list(range(PEOPLE_WITH_5))
    for label in train:
        total = len(train[label]) + len(held[label])
        assert total >= 5 and len(held[label]) == np.floor(total / 5 + 0.5)
        assert not set(train[label]) & set(held[label])
    unpack(tmp_path / "five", tmp_path / "people", show=False)
    pack_faces(str(tmp_path / "people"), str(tmp_path / "again"), show=False)
    for name in ("train.rec", "train.idx", "identities.txt"):
        assert (tmp_path / "again" / name).read_bytes() == (tmp_path / "five" / name).read_bytes()
