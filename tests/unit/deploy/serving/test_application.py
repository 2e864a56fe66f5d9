"""The service's answers without a network: statuses, sentences, headers, and who is not answered."""
import io
import socket
import struct
import zlib

import numpy as np
import pytest

pytest.importorskip("flask")
pytest.importorskip("waitress")
Image = pytest.importorskip("PIL.Image")

pytest.importorskip("prometheus_client")

from mxft.deploy.serving import MOST_PIXELS  # noqa: E402
from mxft.deploy.serving.application import create_app  # noqa: E402
from mxft.deploy.serving.classifying import ClassifierWorker  # noqa: E402
from mxft.deploy.serving.jobs import Refused  # noqa: E402
from mxft.deploy.serving.pictures import check_picture  # noqa: E402
from mxft.deploy.serving.server import address_of, bind, is_loopback  # noqa: E402
from mxft.errors import InputError  # noqa: E402
from mxft.evaluation.classifier import Classifier  # noqa: E402
from mxft.network.input_spec import InputSpec  # noqa: E402
from tests.support.serving import front_of  # noqa: E402

CLASSES = ["<b>ä</b>", "б", "猫", "four", "five", "six", "seven"]
MOST_BYTES = 1_000_000


@pytest.fixture(scope="module")
def client(make_checkpoint):
    checkpoint = make_checkpoint(7)
    checkpoint.name, checkpoint.manifest = "a/model,best", {"metrics": {"best": {"val_top1": .7467}}}
    classifier = Classifier(checkpoint, InputSpec((3, 16, 16), scale=(.01,) * 3), {"resize": 20}, CLASSES, "tiny <net>")
    worker = ClassifierWorker(classifier)
    return create_app(front_of(worker, ("localhost", "Desk"), max_megabytes=1), worker.facts).test_client()


def encoded(kind="JPEG", size=(40, 30), mode="RGB", **options):
    stream = io.BytesIO()
    noise = np.random.RandomState(0).randint(0, 255, (6, 5, 3)).astype(np.uint8)
    Image.fromarray(noise).resize(size).convert(mode).save(stream, kind, **options)
    return stream.getvalue()


def bomb(kind, side=50_000):
    """Return a small file that announces side x side pixels."""
    if kind == "PNG":
        chunks = [(b"IHDR", struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)), (b"IDAT", zlib.compress(b"")),
                  (b"IEND", b"")]
        return b"\x89PNG\r\n\x1a\n" + b"".join(
            struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
            for name, data in chunks)
    data = bytearray(encoded(kind))
    if kind == "JPEG":
        at = data.index(b"\xff\xc0") + 5
        data[at:at + 4] = struct.pack(">HH", side, side)
    elif kind == "GIF":
        data[6:10] = struct.pack("<HH", side, side)
    else:
        data[18:26] = struct.pack("<ii", side, side)
    return bytes(data)


def test_a_picture_gets_its_five_classes(client):
    expected = client.application.test_client().post("/predict", data=encoded()).get_json()
    assert expected["image"] == {"width": 40, "height": 30} and expected["milliseconds"] > 0
    probabilities = [entry["probability"] for entry in expected["classes"]]
    assert len(probabilities) == 5 and probabilities == sorted(probabilities, reverse=True)
    assert {entry["name"] for entry in expected["classes"]} <= set(CLASSES)
    form = client.post("/predict", data={"picture": (io.BytesIO(encoded()), "ä.jpg")})
    assert form.get_json()["classes"] == expected["classes"]


def test_the_page_says_what_is_served_and_needs_nothing_from_elsewhere(client):
    response = client.get("/")
    text = response.get_data(as_text=True)
    assert response.status_code == 200 and response.mimetype == "text/html"
    assert "<b>tiny &lt;net&gt;</b> knows 7 classes" in text and "74.7% right" in text and "at most 1 MB" in text
    for name in ("page.css", "page.js", "icon.svg"):
        static = client.get(f"/static/{name}")
        assert f"/static/{name}" in text and static.status_code == 200
        assert "//" not in static.get_data(as_text=True).replace("// ", "").replace("http://www.w3.org/2000/svg", "")
    assert "<script>" not in text and "style=" not in text and "http" not in text


def test_signature_and_health(client):
    assert client.get("/signature").get_json()["input"]["shape"] == ["N", 3, 16, 16]
    health = client.get("/health").get_json()
    assert health["status"] == "ok" and health["model"] == "tiny <net>" and health["classes"] == 7


def jpeg_without_end():
    return encoded()[:-200]


@pytest.mark.parametrize("request_, status, sentence", [
    ({"data": b""}, 422, "This picture cannot be read (empty file)."),
    ({"data": b"GIF89a"}, 415, "This is no picture that can be read here: expected a whole JPEG, PNG, GIF, WebP, BMP "
                               "or TIFF file."),
    ({"data": b"<svg xmlns='http://www.w3.org/2000/svg'/>"}, 415, "This is no picture that can be read here"),
    ({"data": b"%PDF-1.7"}, 415, "This is no picture that can be read here"),
    ({"data": jpeg_without_end()}, 422, "This picture cannot be read (truncated JPEG: no end-of-image marker)."),
    ({"data": encoded("PNG")[:-30]}, 422, "This picture cannot be read (truncated PNG"),
    ({"data": encoded("WEBP")[:-90]}, 415, "This is no picture that can be read here"),
    ({"data": encoded("BMP")[:-90]}, 422, "This picture cannot be read (not an image, or too damaged to decode)."),
    ({"data": bomb("PNG", 9000)}, 422, "This picture is too large: it announces 9000 x 9000 pixels, and 67 million "),
    ({"data": bomb("PNG")}, 422, "announces 50000 x 50000 pixels, more than 268435456"),
    ({"data": bomb("JPEG", 15_000)}, 422, "it announces 15000 x 15000 pixels"),
    ({"data": bomb("GIF")}, 422, "announces 50000 x 50000 pixels"),
    ({"data": bomb("BMP", 10_000)}, 422, "it announces 10000 x 10000 pixels"),
    ({"data": b"x" * (MOST_BYTES + 1)}, 413, "This file is too large: 1 MB are the most that is taken."),
    ({"data": {"a": (io.BytesIO(b"x"), "a"), "b": (io.BytesIO(b"x"), "b")}}, 400,
     "Expected one picture at a time, received 2 files."),
    ({"data": {"a": "text"}, "content_type": "multipart/form-data"}, 400,
     "Expected one picture at a time, received no files."),
], ids=range(16))
def test_what_cannot_be_answered_gets_one_sentence(request_, status, sentence, client):
    response = client.post("/predict", **request_)
    error = response.get_json()
    assert response.status_code == status and list(error) == ["error"]
    assert sentence in error["error"] and error["error"].endswith(".") and "\n" not in error["error"]


@pytest.mark.parametrize("method, path, status, sentence", [
    ("get", "/nothing", 404, "There is nothing at /nothing; the page is at /, and pictures are posted to /predict."),
    ("get", "/static/../application.py", 404, "There is nothing at "),
    ("get", "/predict", 405, "/predict does not take GET."), ("post", "/", 405, "/ does not take POST."),
    ("delete", "/health", 405, "/health does not take DELETE.")])
def test_wrong_addresses_and_methods(method, path, status, sentence, client):
    response = getattr(client, method)(path)
    assert response.status_code == status and response.get_json()["error"].startswith(sentence)


def test_a_defect_is_told_without_its_entrails(make_checkpoint, client, capsys):
    class Broken(ClassifierWorker):
        def _read(self, data):
            raise ZeroDivisionError("secret")

    worker = Broken(Classifier(make_checkpoint(7), InputSpec((3, 16, 16)), {"resize": 20}, CLASSES, "tiny"))
    app = create_app(front_of(worker), worker.facts)
    response = app.test_client().post("/predict", data=encoded())
    assert response.status_code == 500 and response.get_json() == {
        "error": "The service failed at this request; what happened stands in its terminal."}
    assert "ZeroDivisionError: secret" in capsys.readouterr().err


def test_every_answer_carries_the_headers(client):
    for response in (client.get("/"), client.get("/nothing"), client.post("/predict", data=b""), client.get("/health"),
                     client.get("/static/page.js"), client.get("/", headers={"Host": "evil.example"})):
        policy = response.headers["Content-Security-Policy"]
        assert "default-src 'none'" in policy and "script-src 'self';" in policy and "unsafe" not in policy
        assert response.headers["X-Content-Type-Options"] == "nosniff"
        assert response.headers["X-Frame-Options"] == "DENY"
        assert "Access-Control-Allow-Origin" not in response.headers


@pytest.mark.parametrize("host", ["localhost", "localhost:8000", "127.0.0.1:8000", "[::1]:8000", "192.168.1.5", "desk"])
def test_own_names_and_numbers_are_answered(host, client):
    assert client.get("/health", headers={"Host": host}).status_code == 200
    assert client.post("/predict", data=encoded(), headers={"Host": host, "Origin": f"http://{host}"}
                       ).status_code == 200


@pytest.mark.parametrize("headers, sentence", [
    ({"Host": "evil.example:8000"}, "This service does not go by the name 'evil.example'; use its numeric address,"),
    ({"Host": "127.0.0.1.evil.example"}, "This service does not go by the name '127.0.0.1.evil.example'"),
    ({"Host": "[::1"}, "This service does not go by the name ''"),
    ({"Origin": "http://evil.example"}, "does not answer pages of other sites, such as 'http://evil.example'."),
    ({"Origin": "http://localhost:9999"}, "does not answer pages of other sites, such as 'http://localhost:9999'."),
    ({"Origin": "null"}, "does not answer pages of other sites, such as 'null'."),
])
def test_other_sites_are_not_answered(headers, sentence, client):
    response = client.post("/predict", data=encoded(), headers={"Host": "localhost:8000", **headers})
    assert response.status_code == 403 and sentence in response.get_json()["error"]


def test_pictures_of_any_size_up_to_the_most_are_looked_at():
    side = int(MOST_PIXELS ** .5)
    for kind in ("PNG", "JPEG", "BMP"):
        check_picture(bomb(kind, side))
        with pytest.raises(Refused, match="too large"):
            check_picture(bomb(kind, side + 1))


def test_a_taken_port_and_a_strange_address_are_refused():
    with bind("127.0.0.1", 0) as taken:
        port = taken.getsockname()[1]
        assert is_loopback(taken) and address_of(taken) == f"http://127.0.0.1:{port}/"
        with pytest.raises(InputError, match=f"port: expected one that is free, received port={port}, which another "
                                             "program uses"):
            bind("127.0.0.1", port)
    with bind("0.0.0.0", 0) as open_to_all:
        assert not is_loopback(open_to_all)
    for host in ("192.0.2.7", "no such host", "nowhere.invalid"):
        with pytest.raises(InputError, match="host: expected an address of this machine, received host="):
            bind(host, 0)


@pytest.mark.skipif(not socket.has_ipv6, reason="expected IPv6")
def test_an_address_of_the_new_kind_stands_in_brackets():
    try:
        listening = bind("::1", 0)
    except InputError:
        pytest.skip("no ::1 here")
    with listening:
        assert is_loopback(listening) and address_of(listening).startswith("http://[::1]:")
