"""Images of every source to embeddings: against the network itself, and what has no face."""
import os
import shutil
import tarfile

import cv2
import numpy as np
import pytest

from mxft.errors import InputError
from mxft.faces.align.detection import Detections
from mxft.faces.align.options import AlignOptions
from mxft.faces.align.similarity import REFERENCE
from mxft.faces.data.packing import pack_faces
from mxft.faces.gallery.comparison import compare
from mxft.faces.gallery.embedder import Embedder, least_rate
from mxft.faces.gallery.embedding import require_faces
from mxft.faces.gallery.embedding_file import read_embeddings, write_embeddings
from mxft.faces.gallery.images import FaceImages, open_face_images
from mxft.faces.gallery.pairs import pairs_of
from mxft.faces.gallery.reading import FaceReader
from mxft.faces.pairs.bin_file import write_pairs
from tests.support.small_networks import small_faces


@pytest.fixture(scope="module")
def embedder():
    return Embedder(small_faces(), batch_size=4)


def face(seed, size=(112, 112)):
    coarse = np.random.default_rng(seed).integers(0, 256, (9, 9, 3), np.uint8)
    return cv2.resize(coarse, size[::-1], interpolation=cv2.INTER_CUBIC)


@pytest.fixture
def people(here):
    for number in range(5):
        path = here / "people" / ("Ann", "Bob")[number % 2] / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(path), face(number))
    return here


def plain(embedder, images):
    """Embeddings by the executor itself: of the image and its mirror image, summed and normalised."""
    planes = np.stack([image[:, :, ::-1].transpose(2, 0, 1) for image in images]).astype(np.float32)
    parts = [embedder.executor.forward(np.ascontiguousarray(one)[None])
             + embedder.executor.forward(np.ascontiguousarray(one[..., ::-1])[None]) for one in planes]
    found = np.concatenate(parts)
    return found / np.linalg.norm(found, axis=1, keepdims=True)


def test_every_source_gives_the_same_embeddings(people, embedder):
    images = [cv2.imread(f"people/{name}") for name in ("Ann/0.png", "Ann/2.png", "Ann/4.png", "Bob/1.png",
                                                         "Bob/3.png")]
    expected = plain(embedder, images)
    found = embedder.embed(["people"])
    assert np.allclose(found.vectors, expected, atol=2e-5) and found.images.tolist() == [0, 1, 2, 3, 4]
    assert np.isnan(found.boxes).all() and not found.problems
    pack_faces("people", "faces", show=False)
    with tarfile.open("people.tar", "w") as archive:
        archive.add("people")
    files = [people / "people" / "Ann" / f"{number}.png" for number in (0, 2, 4, 0)]
    write_pairs("pairs.bin", [file.read_bytes() for file in files], [True, False])
    for source, labels, order in (("faces", ["Ann"] * 3 + ["Bob"] * 2, range(5)),
                                  ("people.tar", ["Ann"] * 3 + ["Bob"] * 2, range(5)),
                                  ("pairs.bin", ["same"] * 2 + ["different"] * 2, (0, 1, 2, 0)),
                                  ("people/Bob", [""] * 2, (3, 4)), ("people/Bob/1.png", [""], (3,))):
        opened = open_face_images([source])
        assert opened.labels == labels
        assert np.allclose(embedder.embed(opened).vectors, expected[list(order)], atol=2e-5)
    both = open_face_images(["people/Bob", "faces"])
    assert np.allclose(embedder.embed(both).vectors, expected[[3, 4, 0, 1, 2, 3, 4]], atol=2e-5)



def test_names_of_another_set_in_the_same_folder_are_not_taken(people):
    pack_faces("people", "faces", show=False)
    for end in ("rec", "idx"):
        shutil.copy(f"faces/train.{end}", f"faces/others.{end}")
    assert open_face_images(["faces/others.rec"]).labels == ["0"] * 3 + ["1"] * 2
    (people / "faces" / "others.classes.txt").write_text("Cy\nDi\n")
    assert open_face_images(["faces/others.rec"]).labels == ["Cy"] * 3 + ["Di"] * 2
    (people / "faces" / "identities.txt").write_text("Ann\n")
    with pytest.raises(InputError, match="expected a name for each label up to 1, received 1 in"):
        open_face_images(["faces"])


class Finder:
    """Sees one face of half the picture's size in its middle, or none in a dark picture; two in a red one."""

    settings = {}

    def __call__(self, image):
        if image.mean() < 5:
            return Detections.none()
        size = image.shape[0] / 2
        count = 2 if image[0, 0].tolist() == [0, 0, 255] else 1
        places = [REFERENCE * size / 112 + size / 2 + 4 * i for i in range(count)]
        boxes = [[size / 2, size / 2, 1.5 * size - i, 1.5 * size - i] for i in range(count)]
        return Detections(np.array(boxes), np.full(count, 0.9), np.array(places))


def test_photographs_are_aligned_and_aligned_faces_are_not(people, embedder):
    large = cv2.resize(face(7), (224, 224), interpolation=cv2.INTER_NEAREST)
    photograph = cv2.copyMakeBorder(large, 112, 112, 112, 112, cv2.BORDER_CONSTANT, value=(9, 9, 9))
    cv2.imwrite("people/Ann/0.png", photograph)
    cv2.imwrite("people/Ann/2.png", np.zeros((80, 80, 3), np.uint8))
    found = embedder.embed(["people/Ann"], FaceReader((112, 112), detector=Finder()))
    assert found.images.tolist() == [0, 2] and found.problems == {1: "no face found"}
    assert found.boxes[0].tolist() == [112, 112, 336, 336] and np.isnan(found.boxes[1]).all()
    assert found.vectors[0] @ plain(embedder, [face(7)])[0] > 0.98
    whole = embedder.embed(["people/Ann"], FaceReader((112, 112), "aligned"))
    assert whole.images.tolist() == [0, 1, 2]
    cv2.imwrite("people/Ann/0.png", photograph[:200])
    stretched = embedder.embed(["people/Ann"], FaceReader((112, 112), "aligned"))
    assert stretched.problems[0].endswith("resizing to 112 x 112 would stretch the face")
    assert stretched.unreadable == (0,) and found.unreadable == ()
    with pytest.raises(InputError, match="images`?: expected one of auto, aligned, photograph"):
        FaceReader((112, 112), "selfie")


def test_all_faces_of_a_photograph(people, embedder):
    scene = np.full((300, 300, 3), 90, np.uint8)
    scene[0, 0] = (0, 0, 255)
    cv2.imwrite("two.png", scene)
    reader = FaceReader((112, 112), detector=Finder(), options=AlignOptions(every=True))
    found = embedder.embed(["two.png", "people/Bob/1.png"], reader)
    assert found.images.tolist() == [0, 0, 1] and found.notes[0].endswith("all were taken")


def test_nobody_at_all(people, embedder):
    cv2.imwrite("dark.png", np.zeros((80, 80, 3), np.uint8))
    images = open_face_images(["dark.png"])
    found = embedder.embed(images, FaceReader((112, 112), detector=Finder()))
    assert found.vectors.shape == (0, 16)
    with pytest.raises(InputError, match="no face to embed: expected one in at least one of 1 image, received "
                                         "dark.png: no face found"):
        require_faces(found, images)


@pytest.mark.parametrize("change, reason", [
    ({"embeddings": np.full((2, 2), np.nan, np.float32)}, "not of unit length"), ({"embeddings": np.eye(2)}, "float64"),
    ({"norms": np.array([1, np.inf], np.float32)}, "a norm is not finite"), ({"names": np.arange(2)}, "names int64"),
    ({"labels": np.array(["Ann"])}, "labels <U3"), ({"boxes": np.zeros((2, 3), np.float32)}, "boxes float32"),
    ({"facts": np.array("[]")}, "its facts are list"), ({"scores": None}, "scores is missing")])
def test_a_damaged_file_of_embeddings_is_refused(change, reason, here):
    good = {"format": np.array("mxft face embeddings 1"), "embeddings": np.eye(2, dtype=np.float32),
            "norms": np.ones(2, np.float32), "names": np.array(["a", "b"]), "labels": np.array(["", "Bob"]),
            "boxes": np.zeros((2, 4), np.float32), "scores": np.zeros(2, np.float32), "facts": np.array("{}")}
    np.savez("e.npz", **good)
    assert read_embeddings("e.npz")["names"] == ["a", "b"]
    np.savez("e.npz", **{name: value for name, value in {**good, **change}.items() if value is not None})
    with pytest.raises(InputError, match="embeddings cannot be read: expected a file that mxft embed has .*" + reason):
        read_embeddings("e.npz")


def test_embeddings_in_a_file_and_the_pairs_of_a_list(people, embedder):
    images = open_face_images(["people"])
    write_embeddings("e.npz", embedder.embed(images), images, embedder.facts)
    found = read_embeddings("e.npz")
    assert found["names"] == [os.path.join("Ann", f"{n}.png") for n in (0, 2, 4)] + [
        os.path.join("Bob", f"{n}.png") for n in (1, 3)]
    with open("pairs.txt", "w") as f:
        f.write("Ann/0.png Ann/2.png 1\nAnn/4.png Bob/1.png 0\n")
    left, right, issame = pairs_of(found, "pairs.txt", "e.npz")
    assert (left, right, issame.tolist()) == ([0, 2], [1, 3], [True, False])
    with open("pairs.txt", "a") as f:
        f.write("Ann/9.png Ann/2.png 1\n")
    with pytest.raises(InputError, match=r"picture is not among the embeddings: expected Ann/9.png, which line 3 of"):
        pairs_of(found, "pairs.txt", "e.npz")
    with pytest.raises(InputError, match="pairs are missing: expected .?pairs.? LIST beside embeddings of pictures"):
        pairs_of(found, None, "e.npz")
    with pytest.raises(InputError, match="picture has several faces"):
        pairs_of({**found, "names": [found["names"][0]] * 5}, "pairs.txt", "e.npz")
    shutil.copy("pairs.txt", "bad.npz")
    with pytest.raises(InputError, match="embeddings cannot be read: expected a file that mxft embed has written"):
        read_embeddings("bad.npz")


def test_a_comparison_says_what_its_threshold_is():
    same = compare(np.array([2.0, 0]), np.array([0.8, 0.6]), 0.5, "FAR 0.001 of 3,000 different pairs of lfw")
    assert str(same) == ("squared distance 0.4000, cosine 0.8000\nsame person: the cosine is above 0.5000, squared "
                         "distance 1.0000 (FAR 0.001 of 3,000 different pairs of lfw)")
    assert compare(np.array([1.0, 0]), np.array([0.5, 0.8660254]), 0.51, "as given").same is False
    assert "no verdict" in str(compare(np.ones(2), np.ones(2)))


def test_images_of_several_sources_are_read_in_order(here):
    parts = FaceImages(["a", "b"], ["", ""], lambda number: b"%d" % number, [False, False])
    assert [parts.read(number) for number in range(len(parts))] == [b"0", b"1"]


def test_the_least_rate_of_some_pairs_is_one_that_they_can_measure():
    assert all(least_rate(different) * different >= 1 for different in range(1, 5000))
    assert least_rate(90) == 0.011112 and float(f"{least_rate(90):g}") * 90 >= 1
