"""From photographs to names in Python: align_faces, pack_faces with align, enroll, identify, compare_faces."""
import cv2
import numpy as np
import pytest

import mxft
from mxft.errors import InputError
from mxft.faces.align.similarity import REFERENCE
from tests.support.lfw import lfw_faces
from tests.support.small_networks import small_faces


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


@pytest.mark.data
def test_a_threshold_from_the_people_is_measured_again_when_some_are_added(photos, model):
    first = mxft.enroll("photos", model, fpir=0.5)
    (photos / "more").mkdir()
    (photos / "photos" / "p1").rename(photos / "more" / "p2")
    both = mxft.enroll("more", add=first)
    assert both.facts["fpir"] == 0.5 and both.facts["threshold_from"].startswith("FPIR 0.5 of 6 images")
    assert both.threshold > first.threshold + 0.1     # p2 is p1 under another name
    with pytest.raises(InputError, match="^top: expected a whole number of at least 1, received top=0"):
        mxft.identify(first, "photos", top=0)


@pytest.mark.parametrize("call", [lambda: mxft.align_faces("photos", "out", size=96),
                                  lambda: mxft.pack_faces("photos", "out", size=96),
                                  lambda: mxft.pack_pairs("pairs.txt", "out.bin", size=96)])
def test_a_size_is_height_and_width(call):
    with pytest.raises(InputError, match=r"^size: expected height and width in pixels, such as \(112, 112\), received "
                                         "size=96"):
        call()


@pytest.mark.data
def test_the_size_of_the_network_is_height_and_width(photos, model):
    with pytest.raises(InputError, match="^image_size: expected height and width in pixels, .* image_size=112"):
        mxft.enroll("photos", model, image_size=112)


def test_landmarks_of_a_list_need_no_detector(here):
    (here / "pictures").mkdir()
    cv2.imwrite("pictures/a.png", np.random.default_rng(0).integers(0, 256, (120, 130, 3), dtype=np.uint8))
    (here / "list.txt").write_text("a.png " + " ".join(f"{value:.2f}" for value in np.ravel(REFERENCE)) + "\n")
    assert mxft.align_faces("pictures", "out", landmarks="list.txt", encoding=".png").faces == 1
    crop, whole = cv2.imread("out/a.png"), cv2.imread("pictures/a.png")
    assert np.abs(crop.astype(int) - whole[:112, :112]).mean() < 2


def test_embed_says_that_photographs_are_taken_whole(here, caplog):
    small_faces().save("small", 0)
    cv2.imwrite("face.png", np.full((112, 112, 3), 60, np.uint8))
    cv2.imwrite("photo.png", np.full((200, 300, 3), 60, np.uint8))
    with caplog.at_level("INFO", logger="mxft"):
        assert len(mxft.embed("small,0", "face.png", image_shape=(3, 112, 112))) == 1
        assert "resized whole" not in caplog.text
        mxft.embed("small,0", ["face.png", "photo.png"], image_shape=(3, 112, 112))
    assert "1 of 2 pictures are not of 112x112: they are resized whole, no face is looked for" in caplog.text
