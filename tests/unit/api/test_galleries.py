"""From photographs to names in Python: align_faces, pack_faces with align, enroll, identify, compare_faces."""
import cv2
import numpy as np
import pytest

import mxft
from mxft.errors import InputError
from mxft.faces.align.similarity import REFERENCE
from tests.support.lfw import lfw_faces


@pytest.fixture
def model(testdata):
    return str(testdata / "models" / "mobilefacenet-y1" / "model") + ",0"


@pytest.fixture
def photos(here):
    """Two people, each in two photographs of another size."""
    for number, face in enumerate(lfw_faces(2, step=900)):
        for size in (150, 190):
            scene = np.full((300, 320, 3), (90, 120, 80), np.uint8)
            scene[50:50 + size, 80:80 + size] = cv2.resize(face, (size, size), interpolation=cv2.INTER_CUBIC)
            (here / "photos" / f"p{number}").mkdir(parents=True, exist_ok=True)
            cv2.imwrite(str(here / "photos" / f"p{number}" / f"{size}.png"), scene)
    return here


@pytest.mark.data
def test_from_photographs_to_names(photos, model, caplog):
    assert mxft.align_faces("photos", "aligned").faces == 4
    assert mxft.pack_faces("photos", "faces", align=True).images == 4
    gallery = mxft.enroll("photos", model, threshold=0.4)
    assert gallery.names == ["p0", "p1"] and gallery.threshold == 0.4 and gallery.counts().tolist() == [2, 2]
    rows = mxft.identify(gallery, ["photos/p1/190.png", "photos/p0/150.png"])
    assert [row.name for row in rows] == ["p1", "p0"] and all(row.box is not None for row in rows)
    assert [row.name for row in mxft.identify(gallery, "photos/p0", threshold=0.999)].count("unknown") >= 1
    found = mxft.compare_faces(model, "photos/p0/150.png", "photos/p0/190.png", threshold=0.4)
    assert found.same and found.squared_distance == pytest.approx(2 - 2 * found.cosine)
    assert mxft.compare_faces(model, "photos/p0/150.png", "photos/p1/190.png").same is None


@pytest.mark.data
def test_what_contradicts_is_refused_as_by_the_command(photos, model):
    with pytest.raises(InputError, match="^min_size: expected photographs in which faces are looked for"):
        mxft.enroll("photos", model, images="aligned", min_size=40)
    with pytest.raises(InputError, match="^threshold: expected one threshold, received pairs beside it"):
        mxft.compare_faces(model, "photos/p0/150.png", "photos/p0/190.png", threshold=0.3, pairs="lfw.bin")
    with pytest.raises(InputError, match="^model: expected a face network, received none"):
        mxft.enroll("photos")


def test_landmarks_of_a_list_need_no_detector(here):
    (here / "pictures").mkdir()
    cv2.imwrite("pictures/a.png", np.random.default_rng(0).integers(0, 256, (120, 130, 3), dtype=np.uint8))
    (here / "list.txt").write_text("a.png " + " ".join(f"{value:.2f}" for value in np.ravel(REFERENCE)) + "\n")
    assert mxft.align_faces("pictures", "out", landmarks="list.txt", encoding=".png").faces == 1
    crop, whole = cv2.imread("out/a.png"), cv2.imread("pictures/a.png")
    assert np.abs(crop.astype(int) - whole[:112, :112]).mean() < 2
