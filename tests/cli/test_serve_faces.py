"""The face page of ``mxft serve``: its answers, its sentences, and what a person does on it."""
import copy
import io

import cv2
import numpy as np
import pytest
import requests

from mxft.cli import main
from mxft.faces.align.detection import make_detector
from mxft.faces.align.options import AlignOptions
from mxft.faces.gallery.embedder import Embedder
from mxft.faces.gallery.gallery import Gallery
from mxft.faces.gallery.reading import FaceReader
from mxft.network.checkpoint import load_checkpoint
from tests.support.browser import find_chromium, open_page
from tests.support.lfw import lfw_faces

for package in ("flask", "waitress", "PIL", "prometheus_client"):
    pytest.importorskip(package)
from mxft.deploy.serving.server import address_of, bind  # noqa: E402
from mxft.faces.serving.application import create_face_app  # noqa: E402
from mxft.faces.serving.worker import FaceService, FaceWorker  # noqa: E402
from tests.support.serving import front_of, serving  # noqa: E402

pytestmark = pytest.mark.data


def scene(faces):
    """A picture of 300 x 200 pixels a face, side by side."""
    picture = np.full((200, 300 * len(faces), 3), (90, 120, 80), np.uint8)
    for number, face in enumerate(faces):
        picture[30:170, 80 + 300 * number:220 + 300 * number] = cv2.resize(face, (140, 140))
    return cv2.imencode(".png", picture)[1].tobytes()


@pytest.fixture(scope="module")
def faces():
    return lfw_faces(3, step=700)


@pytest.fixture(scope="module")
def service(testdata, faces):
    embedder = Embedder(load_checkpoint(str(testdata / "models" / "mobilefacenet-y1" / "model") + ",0"), batch_size=4)
    detector = make_detector(confidence=0.98)
    one, every = (FaceReader((112, 112), detector=detector, options=AlignOptions(every=each))
                  for each in (False, True))
    images = type("Images", (), {"names": ["0", "1"], "packed": [False] * 2, "__len__": lambda self: 2,
                                 "read": lambda self, i: scene([faces[i]])})()
    found = embedder.embed(images, one, show=False)
    gallery = Gallery.of(["Ann", "Bob"], found.vectors, ["a", "b"], embedder.facts)
    return FaceService(embedder, "y1", one, every, 0.4, "as given", gallery)


def application(service):
    worker = FaceWorker(service)
    return create_face_app(front_of(worker, max_megabytes=2), worker.facts)


@pytest.fixture(scope="module")
def client(service):
    return application(service).test_client()


def test_another_network_is_told_by_its_facts(service):
    embedder = copy.copy(service._embedder)
    embedder.facts = {**embedder.facts, "weights": "others"}
    other = FaceService(embedder, service.name, service._one, service._every, 0.4, "as given", service.gallery)
    assert FaceWorker(other).facts != FaceWorker(service).facts


def form(*pictures):
    return {f"file{i}": (io.BytesIO(data), f"{i}.png") for i, data in enumerate(pictures)}


def test_two_pictures_are_compared(client, faces):
    answer = client.post("/verify", data=form(scene(faces[:1]), scene(faces[:1])[:])).get_json()
    assert answer["same"] is True and answer["cosine"] > 0.99 and answer["threshold"] == 0.4
    assert abs(answer["faces"][0]["box"][0] - 100) < 25
    assert client.post("/verify", data=form(scene(faces[:1]), scene(faces[1:2]))).get_json()["same"] is False


def test_the_faces_of_a_picture_are_named_from_left_to_right(client, faces):
    answer = client.post("/identify", data=scene([faces[1], faces[2], faces[0]])).get_json()
    assert [face["name"] for face in answer["faces"]] == ["Bob", "unknown", "Ann"]
    assert answer["faces"][0]["nearest"][0]["name"] == "Bob" and len(answer["faces"][0]["nearest"]) == 2
    assert client.get("/health").get_json()["people"] == 2


@pytest.mark.parametrize("body, status, sentence", [
    (b"", 422, "This picture cannot be read (empty file)."), (b"text", 415, "This is no picture that can be read here"),
    (cv2.imencode(".png", np.full((99, 99, 3), 60, np.uint8))[1].tobytes(), 422, "This picture: no face found.")])
def test_what_is_no_face_gets_a_sentence(client, body, status, sentence):
    answer = client.post("/identify", data=body)
    assert answer.status_code == status and answer.get_json()["error"].startswith(sentence)


def test_forms_with_other_numbers_of_files(client, faces, service):
    answer = client.post("/verify", data=form(scene(faces[:1])))
    assert answer.status_code == 400
    assert answer.get_json()["error"] == "Expected two pictures as a form with two files, received 1 file."
    answer = client.post("/nothing")
    assert answer.get_json()["error"].endswith("pictures are posted to /verify and /identify.")
    alone = FaceService(service._embedder, "y1", service._one, service._every)
    answer = application(alone).test_client().post("/identify", data=b"x")
    assert answer.get_json()["error"].startswith("There is no gallery")


@pytest.mark.skipif(not find_chromium(), reason="no Chromium")
def test_a_person_asks_who_it_is(service, faces, tmp_path):
    import threading

    import waitress

    for name, shown in (("group", faces[:2]), ("left", faces[:1]), ("right", faces[2:])):
        (tmp_path / f"{name}.png").write_bytes(scene(shown))
    listening = bind("127.0.0.1", 0)
    server = waitress.create_server(application(service), sockets=[listening], threads=2)
    threading.Thread(target=server.run, daemon=True).start()
    with open_page(address_of(listening)) as page:
        page.choose("#who input", tmp_path / "group.png")
        page.wait("!document.getElementById('who-list').hidden")
        assert page.value("document.getElementById('who-list').innerText").split("\n")[0].split() == ["1", "Ann"]
        assert page.value("document.querySelectorAll('#who svg rect').length") == 2
        page.choose("#left input", tmp_path / "left.png")
        page.choose("#right input", tmp_path / "right.png")
        page.wait("!!document.querySelector('#pair-answer b')")
        assert page.value("document.getElementById('pair-answer').innerText").startswith("Different people: cosine ")
    server.close()


def test_the_front_is_the_same(testdata, faces):
    """Over the wire: a process of its own, probes, metrics, and the same sentences."""
    model = testdata / "models" / "mobilefacenet-y1" / "model"
    with serving(f"{model},0", "--faces", "--threshold", "0.4", "--port", 0, "--processes", 1) as process:
        base = "http://{}:{}".format(*process.address)
        files = {f"file{number}": scene(faces[:1]) for number in range(2)}
        assert requests.post(f"{base}/verify", files=files, timeout=60).json()["same"] is True
        answer = requests.post(f"{base}/verify", files={**files, "file1": b"text"}, timeout=60)
        assert answer.status_code == 415 and answer.json()["error"].startswith("This is no picture that can be read")
        assert requests.get(f"{base}/v2/health/ready", timeout=60).json() == {"ready": True}
        metrics = requests.get(f"{base}/metrics", timeout=60).text
        assert 'mxft_requests_total{path="/verify",status="200"} 1.0' in metrics


@pytest.mark.parametrize("words, message", [
    (["serve", "net,0", "--threshold", "0.4"], "--threshold: expected --faces beside it, or a gallery"),
    (["serve", "gone.npz"], "gallery is missing"),
    (["serve", "net,0", "--faces", "--far", "0.1"], "--far: expected --pairs FILE.bin beside it")])
def test_refusals(here, capsys, words, message):
    assert main([*words, "--port", "0"]) == 2
    assert message in capsys.readouterr().err
