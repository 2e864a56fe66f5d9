"""Photographs made of face crops: where the faces have come to lie, and faces that are drawn."""
import cv2
import numpy as np

from mxft.faces.align.scenes import drawn_face, make_scene
from mxft.faces.align.similarity import align_face


def test_a_pasted_face_comes_back_by_its_landmarks():
    crop = cv2.GaussianBlur(np.random.default_rng(0).integers(0, 256, (112, 112, 3), dtype=np.uint8), (0, 0), 5)
    scene, (face,) = make_scene([crop], np.random.default_rng(1), sizes=(180, 200))
    assert scene.shape == (480, 640, 3) and 180 <= face.size <= 200
    found = align_face(scene, face.landmarks)
    oval = cv2.ellipse(np.zeros((112, 112), np.uint8), (56, 60), (38, 44), 0, 0, 360, 1, -1) > 0
    assert np.abs(found[oval].astype(int) - crop[oval]).mean() < 3


def test_several_faces_lie_beside_each_other():
    faces = make_scene([drawn_face(n, 0) for n in range(4)], np.random.default_rng(2))[1]
    middles = [face.landmarks[:, 0].mean() for face in faces]
    assert middles == sorted(middles) and all(np.diff(middles) > 60)
    assert all(40 <= face.size <= 140 for face in faces)


def test_the_same_seed_makes_the_same_scene():
    one, other = (make_scene([drawn_face(1, 2)], np.random.default_rng(5))[0] for _ in range(2))
    assert (one == other).all()


def test_a_drawn_person_is_like_himself_and_unlike_others():
    first, again, view, other = drawn_face(3, 0), drawn_face(3, 0), drawn_face(3, 1), drawn_face(4, 0)
    assert (first == again).all() and first.shape == (112, 112, 3)

    def differ(a, b):
        return np.abs(a.astype(float) / a.mean() - b.astype(float) / b.mean()).mean()

    assert 0 < differ(first, view) < differ(first, other)
