"""IJB-like lists of real faces: LFW crops turned and scaled into larger pictures, the published MobileFaceNet."""
import collections
import tarfile

import cv2
import numpy as np
import pytest

from mxft.faces.evaluation.embedding import embed_views, embedding_executor
from mxft.faces.evaluation.ijb.files import find_lists
from mxft.faces.evaluation.ijb.protocol import read_protocol
from mxft.faces.evaluation.ijb.run import embed_templates, evaluate_protocol
from mxft.network.checkpoint import load_checkpoint
from tests.reference.ijb import slow_cosine, slow_identification, slow_image, slow_tar, slow_template
from tests.support.small_ijb import write_lists, write_scenes

pytestmark = pytest.mark.data
PEOPLE, IMAGES = 14, 4                                                # of each two faces in two templates


@pytest.fixture(scope="module")
def crops(testdata):
    """Uint8 RGB crops of the first people with enough of them, and whose they are."""
    people = collections.defaultdict(list)
    with tarfile.open(testdata / "data" / "lfw-112x112.tar") as tar:
        for member in tar:
            if member.isfile():
                name = member.name.rsplit("/", 1)[-1].rsplit("_", 1)[0]
                if len(people[name]) < IMAGES:
                    people[name].append(tar.extractfile(member).read())
                if sum(len(images) == IMAGES for images in people.values()) == PEOPLE:
                    break
    chosen = [images for _, images in sorted(people.items()) if len(images) == IMAGES]
    return ([cv2.imdecode(np.frombuffer(image, np.uint8), 1)[:, :, ::-1] for images in chosen for image in images],
            np.repeat(np.arange(PEOPLE), IMAGES))


@pytest.fixture(scope="module")
def folder(crops, tmp_path_factory):
    folder = tmp_path_factory.mktemp("ijb")
    faces, whose = crops
    templates = np.arange(len(faces)) // 2 + 1
    media = np.arange(len(faces)) % 2 * (templates % 2)               # every second template is one video
    people = dict(zip(templates.tolist(), whose.tolist()))
    pairs = [(a, b, int(people[a] == people[b])) for a in people for b in people if a < b]
    rows = list(people.items())
    points = write_scenes(str(folder / "loose_crop"), faces)
    galleries = {"G1": rows[0:8:2], "G2": rows[8:16:2]}
    write_lists(str(folder / "meta"), points, templates, media, pairs, galleries, rows[1::2])
    return folder


@pytest.fixture(scope="module")
def executor(testdata):
    return embedding_executor(load_checkpoint(f"{testdata / 'models' / 'mobilefacenet-y1' / 'model'},0"), 24)


def test_real_faces_against_the_loops(executor, crops, folder):
    """The reference embeds the crops from before they were turned: that they are found again is part of the test."""
    faces, _ = crops
    protocol = read_protocol(find_lists(str(folder)), "1:1")
    _, features = embed_templates(executor, protocol.faces, str(folder / "loose_crop"), show=False)
    views = embed_views(executor, [cv2.imencode(".png", face[:, :, ::-1])[1].tobytes() for face in faces])
    images = [slow_image(views[:, i], score, True, True, False) for i, score in enumerate(protocol.faces.scores)]
    slow = np.array([slow_template(images[first:first + 2], protocol.faces.media[first:first + 2])
                     for first in range(0, len(faces), 2)])
    assert (features * slow).sum(axis=1).min() > 0.9                  # the pictures were resampled twice
    result = evaluate_protocol(protocol, features)
    left, right, issame = protocol.pairs
    np.testing.assert_allclose(result.scores[:60], [slow_cosine(features[a].tolist(), features[b].tolist())
                                                    for a, b in zip(left[:60], right[:60])], atol=1e-6)
    for rate in (1e-2, 1e-1):
        assert result.verification.tar[rate] == slow_tar(result.scores.tolist(), issame, rate)
    assert result.verification.tar[1e-2] == 1.0                       # nobody is mistaken

    search = read_protocol(find_lists(str(folder)), "1:N")
    found = evaluate_protocol(search, features).identification
    for name, (gallery, whose) in search.galleries.items():
        probes, subjects = search.probes
        expected = slow_identification(features[probes].tolist(), subjects.tolist(), features[gallery].tolist(),
                                       whose.tolist(), 0.1)
        assert (found[name].top[1], found[name].top[5], found[name].tpir[0.1]) == expected == (1.0, 1.0, 1.0)
