"""Detectors on real faces: the packaged one, insightface's checkpoints and slow loops over plain MXNet agree."""
import os
import shutil
import threading

import cv2
import numpy as np
import pytest

from mxft.compat import mx
from mxft.errors import InputError, MissingFileError, RunError
from mxft.faces.align import cascade, packaged
from mxft.faces.align.cascade import Cascade, Networks, suppress
from mxft.faces.align.detection import Detections, make_detector, smallest_face
from tests.support.cascade import SlowCascade, write_checkpoints
from tests.support.lfw import lfw_faces


@pytest.fixture(scope="module")
def checkpoints(tmp_path_factory):
    return write_checkpoints(tmp_path_factory.mktemp("mtcnn"))


@pytest.fixture(scope="module")
def scene():
    """Three LFW faces at different places, sizes and angles on a grey scene of 320 x 260."""
    scene = np.full((260, 320, 3), 90, np.uint8)
    places = zip(((10, 20), (180, 10), (80, 150)), (1.0, 0.8, 0.7), (0, 12, -10), lfw_faces(3))
    for (x, y), scale, angle, face in places:
        matrix = cv2.getRotationMatrix2D((56, 56), angle, scale)
        matrix[:, 2] += (x, y)
        mask = cv2.warpAffine(np.ones((112, 112), np.uint8), matrix, (320, 260))
        scene[mask > 0] = cv2.warpAffine(face, matrix, (320, 260))[mask > 0]
    return scene


@pytest.mark.data
def test_three_ways_to_compute_one_cascade(checkpoints, scene):
    slow = SlowCascade(checkpoints, 30, (0.6, 0.7, 0.8))(scene)
    assert len(slow) == 3
    for name in ("mtcnn", checkpoints, os.path.join(checkpoints, "det")):
        found = make_detector(name, 30, 0.8)(scene)
        assert np.allclose(found.boxes, [box for box, _, _ in slow], atol=1e-2)
        assert np.allclose(found.scores, [score for _, score, _ in slow], atol=1e-4)
        assert np.allclose(found.landmarks, [points for _, _, points in slow], atol=1e-2)


@pytest.mark.data
def test_small_and_doubtful_faces_are_left_out(scene):
    assert len(make_detector(min_size=100, confidence=0.8)(scene)) < 3
    assert len(make_detector(min_size=30, confidence=0.99999)(scene)) < 3


@pytest.mark.data
def test_threads_find_what_one_finds(scene):
    detector = make_detector(min_size=30)
    alone, found = detector(scene), [None] * 3

    def work(number):
        found[number] = detector(scene)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all((mine.landmarks == alone.landmarks).all() and (mine.scores == alone.scores).all() for mine in found)


@pytest.mark.parametrize("shape", [(10, 10), (12, 12), (13, 400), (25, 30), (64, 64)])
@pytest.mark.parametrize("value", [0, 255])
def test_pictures_without_a_face_have_none(shape, value):
    assert len(make_detector()(np.full((*shape, 3), value, np.uint8))) == 0


def test_noise_is_no_face():
    assert len(make_detector()(np.random.default_rng(0).integers(0, 256, (200, 300, 3), dtype=np.uint8))) == 0


def test_an_opencv_that_computes_something_else_is_refused(monkeypatch):
    """OpenCV 5.0's new engine was off by 0.1 at the third network."""
    monkeypatch.setattr(packaged, "_PROBES", tuple(np.array(row) + 0.01 for row in packaged._PROBES))
    with pytest.raises(RunError, match=r"faces cannot be found with this OpenCV: .* opencv-python \d.*, off by 0.01; "
                                       r"pip install 'opencv-python!=\d.*, or another detector with .*detector"):
        make_detector()


def test_suppress_keeps_the_best_of_those_that_overlap():
    rng = np.random.default_rng(0)
    corner = rng.uniform(0, 50, (200, 2))
    boxes = np.hstack([corner, corner + rng.uniform(5, 40, (200, 2)), rng.permutation(200)[:, None] / 200])
    for smaller in (False, True):
        kept = []
        for i in np.argsort(-boxes[:, 4]):
            a = boxes[i]
            for j in kept:
                b = boxes[j]
                shared = max(0, min(a[2], b[2]) - max(a[0], b[0]) + 1) * max(0, min(a[3], b[3]) - max(a[1], b[1]) + 1)
                areas = [(c[2] - c[0] + 1) * (c[3] - c[1] + 1) for c in (a, b)]
                if shared / (min(areas) if smaller else sum(areas) - shared) > 0.5:
                    break
            else:
                kept.append(i)
        assert suppress(boxes, 0.5, smaller).tolist() == kept


def test_boxes_that_leave_the_picture_are_no_trouble():
    """A proposal network that sees a face everywhere, and offsets that throw the boxes far outside."""
    def propose(planes):
        rows, columns = (planes.shape[2] - 10) // 2, (planes.shape[3] - 10) // 2
        return np.ones((rows, columns)), np.full((4, rows, columns), 30.0)

    def refine(planes):
        return np.ones(len(planes)), np.full((len(planes), 4), -50.0)

    networks = Networks(propose, refine, lambda planes: (np.ones(len(planes)), np.zeros((len(planes), 4)),
                                                         np.zeros((len(planes), 10))))
    assert len(Cascade(networks, "made", "made", 20)(np.zeros((90, 120, 3), np.uint8))) == 0


def test_the_smallest_face_grows_with_the_picture():
    assert smallest_face(np.zeros((480, 640, 3))) == 20 and smallest_face(np.zeros((4800, 6400, 3))) == 200
    assert smallest_face(np.zeros((4800, 6400, 3)), 33) == 33


@pytest.mark.parametrize("name, options, error, message", [
    ("mtcn", {}, MissingFileError, "`?detector`?: expected mtcnn, the folder or prefix of insightface's det1 to det3"),
    ("mtcnn", {"confidence": 1.5}, InputError, "confidence`?: expected a number from 0 to below 1"),
    ("mtcnn", {"min_size": 3}, InputError, "min_size`?: expected 12 pixels or more"),
    ("gone.onnx", {}, MissingFileError, "detector is missing")])
def test_detectors_that_are_none_are_refused(name, options, error, message):
    with pytest.raises(error, match=message):
        make_detector(name, **options)


def test_a_folder_without_all_three_networks_is_refused(tmp_path, checkpoints):
    (tmp_path / "det1-symbol.json").write_text("{}")
    with pytest.raises(MissingFileError, match="without det1-0001.params"):
        make_detector(str(tmp_path))


def test_other_networks_than_the_three_are_refused(tmp_path, checkpoints):
    for number, other in ((1, 2), (2, 2), (3, 2)):
        for ending in ("symbol.json", "0001.params"):
            shutil.copy(f"{checkpoints}/det{other}-{ending}", tmp_path / f"det{number}-{ending}")
    with pytest.raises(InputError, match="detector cannot be used: expected outputs of"):
        make_detector(str(tmp_path))


def test_networks_that_cannot_be_run_are_refused_before_the_first_picture(tmp_path, checkpoints):
    for name in os.listdir(checkpoints):
        shutil.copy(f"{checkpoints}/{name}", tmp_path / name)
    arrays = mx.nd.load(str(tmp_path / "det2-0001.params"))
    mx.nd.save(str(tmp_path / "det2-0001.params"), {name: value * np.nan for name, value in arrays.items()})
    with pytest.raises(InputError, match="detector cannot be used: expected finite numbers from det2, received NaN"):
        make_detector(str(tmp_path))
    symbol = tmp_path / "det1-symbol.json"
    symbol.write_text(symbol.read_text().replace('"name": "data"', '"name": "input"'))
    with pytest.raises(InputError, match="detector cannot be used: .* which MXNet cannot run as they are"):
        make_detector(str(tmp_path))


def test_detections_can_be_chosen():
    found = Detections(np.array([[0, 0, 10, 30], [0, 0, 20, 20.0]]), np.array([0.9, 0.8]), np.zeros((2, 5, 2)))
    assert found.sizes.tolist() == [30, 20] and len(found) == 2 and found.only([1]).scores.tolist() == [0.8]


def test_a_page_of_faces_is_bounded_before_they_are_compared(monkeypatch):
    """Every place of the picture is a proposal: without a bound each is compared with each."""
    seen = []
    real = cascade.suppress
    monkeypatch.setattr(cascade, "suppress", lambda boxes, *rest: seen.append(len(boxes)) or real(boxes, *rest))
    monkeypatch.setattr(cascade, "MOST_PLACES", 50)

    def propose(planes):
        height, width = (planes.shape[2] - 10) // 2, (planes.shape[3] - 10) // 2
        scores = np.linspace(0.7, 0.9, height * width).reshape(height, width)
        return scores, np.zeros((4, height, width))

    boxes = cascade._of_scale(propose, np.zeros((60, 60, 3), np.uint8), 1.0)
    assert seen == [50] and boxes[:, 4].max() == pytest.approx(0.9)
