"""``mxft serve`` as a process: a bundle verified, pictures answered over the wire and through the page, a good end."""
import concurrent.futures
import io
import json
import os
import re
import shutil
import signal
import socket
import struct
import sys
import zlib

import cv2
import numpy as np
import pytest
import requests

from mxft.cli import main
from tests.support.browser import find_chromium, open_page

for package in ("flask", "waitress", "PIL", "prometheus_client"):
    pytest.importorskip(package)
from PIL import Image  # noqa: E402

from tests.support.serving import serving, start  # noqa: E402

CLASSES = ["<b>ä</b>", "б", "猫", "four", "five", "six", "seven"]
MOST = 1_000_000


def picture(seed=0, size=(60, 40)):
    noise = np.random.RandomState(seed).randint(0, 255, (4, 5, 3)).astype(np.uint8)
    return Image.fromarray(noise).resize(size)


@pytest.fixture(scope="module")
def folder(tmp_path_factory, make_checkpoint):
    """A folder with ``tiny.tar``, its folder, ``net,0`` and pictures of several kinds; not to be changed."""
    folder = tmp_path_factory.mktemp("serve")
    checkpoint = make_checkpoint(7)
    checkpoint.manifest = {"input": {"size": 16, "scale": .01}, "packing": {"resize": 20}, "classes": CLASSES,
                           "metrics": {"0": {"val_top1": .7467}}}
    checkpoint.save(str(folder / "net"), 0)
    exif = Image.Exif()
    exif[0x0112] = 6
    picture(1).save(folder / "turned.jpg", exif=exif)
    picture(2).convert("CMYK").save(folder / "cmyk.jpg")
    picture(3).convert("RGBA").save(folder / "alpha.png")
    picture(4).convert("L").save(folder / "grey.png")
    picture(5).save(folder / "moving.gif", save_all=True, append_images=[picture(6)])
    (folder / "text.jpg").write_text("not a picture")
    for name in ("tiny.tar", "tiny"):
        assert main(["bundle", "--model", f"{folder}/net,0", "--output", f"{folder}/{name}", "--no-onnx", "--image",
                     f"{folder}/turned.jpg"]) == 0
    return folder


@pytest.fixture(scope="module")
def service(folder):
    """The (host, port) of a running ``mxft serve tiny.tar``."""
    with serving(folder / "tiny.tar", "--port", 0, "--max-megabytes", 1) as process:
        verified, line = process.said
        assert "8 files as SHA256SUMS says; self-test: the five classes expected, largest difference " in verified
        assert re.fullmatch(r"serving net, 7 classes: http://127\.0\.0\.1:(\d+)/  \(Ctrl-C ends\)\n", line)
        yield process.address


def post(service, body):
    """Post a body; return (status, JSON), also where the answer comes before the body is sent."""
    response = requests.post("http://{}:{}/predict".format(*service), data=body, timeout=20)
    return response.status_code, response.json()


def predicted(folder, names, capsys):
    """Return {file name: [[class, probability], …] or None} of ``mxft predict``."""
    capsys.readouterr()
    main(["predict", "--model", f"{folder}/net,0", "--json", *(f"{folder}/{name}" for name in names)])
    rows = map(json.loads, capsys.readouterr().out.splitlines())
    return {os.path.basename(row["image"]): row["top"] and [[entry["class"], entry["probability"]]
                                                            for entry in row["top"]] for row in rows}


def test_every_kind_of_file_is_answered_as_predict_answers_it(service, folder, capsys):
    names = ["turned.jpg", "cmyk.jpg", "alpha.png", "grey.png", "moving.gif"]
    for name, expected in predicted(folder, names, capsys).items():
        status, answer = post(service, (folder / name).read_bytes())
        if expected is None:  # a GIF, where OpenCV is older than 4.11
            assert status == 422
            continue
        assert status == 200 and [entry["name"] for entry in answer["classes"]] == [row[0] for row in expected]
        assert [entry["probability"] for entry in answer["classes"]] == pytest.approx([row[1] for row in expected],
                                                                                      abs=2e-6)
        assert answer["image"] == ({"width": 40, "height": 60} if name == "turned.jpg" else {"width": 60, "height": 40})


def test_a_body_that_is_too_large_is_refused_before_it_is_sent(service):
    with socket.create_connection(service, timeout=20) as connection:
        connection.sendall(b"POST /predict HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n" % (MOST + 1))
        answer = b"".join(iter(lambda: connection.recv(1 << 16), b""))
    head, body = answer.split(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 413 ") and b"\r\nContent-Security-Policy: default-src 'none'" in head
    assert json.loads(body) == {"error": "This file is too large: 1 MB are the most that is taken."}
    assert post(service, b"x" * MOST)[0] == 415
    assert post(service, iter([b"x" * MOST, b"x"]))[0] == 413  # chunked: no length is announced


def test_no_request_at_all_is_refused_in_json_too(service):
    with socket.create_connection(service, timeout=20) as connection:
        connection.sendall(b"\x16\x03\x01 is the beginning of https\r\n\r\n")
        answer = b"".join(iter(lambda: connection.recv(1 << 16), b""))
    assert answer.startswith(b"HTTP/1.0 400 ")
    assert json.loads(answer.split(b"\r\n\r\n")[1])["error"].startswith("Bad Request: ")


def test_opencv_itself_refuses_a_size_that_the_header_hid(service):
    """A second, small header behind the one that counts: 20,000 x 20,000 pixels would be 1.2 GB."""
    def chunk(name, data):
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    headers = [chunk(b"IHDR", struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)) for side in (20_000, 10)]
    data = b"".join([b"\x89PNG\r\n\x1a\n", *headers, chunk(b"IDAT", zlib.compress(bytes(310))), chunk(b"IEND", b"")])
    status, answer = post(service, data)
    assert status == 422 and answer["error"].startswith("This picture cannot be read (")


def test_many_at_a_time_get_their_own_answers(service):
    bodies = [cv2.imencode(".png", np.asarray(picture(seed)))[1].tobytes() for seed in range(6)] * 3
    alone = [post(service, body)[1]["classes"] for body in bodies]
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        assert [answer[1]["classes"] for answer in pool.map(lambda body: post(service, body), bodies)] == alone


ANSWER = "[...document.querySelectorAll('#classes li')].map(li => [...li.querySelectorAll('span, data')].map(" \
         "e => e.textContent))"


@pytest.mark.skipif(find_chromium() is None, reason="expected Chromium")
def test_a_person_drops_pictures_on_the_page(service, folder, capsys):
    pytest.importorskip("websocket")
    expected = {name: [[row[0], f"{100 * row[1]:.2f}%"] for row in rows]
                for name, rows in predicted(folder, ["turned.jpg", "alpha.png", "grey.png"], capsys).items()}
    answered, erred = "document.querySelectorAll('#classes li').length == 5", "!document.querySelector('#error').hidden"
    waiting = "!document.querySelector('#classes li')"
    with open_page("http://{}:{}/".format(*service)) as page:
        page.value("addEventListener('securitypolicyviolation', event => document.title = 'violation')")
        page.choose("#file", folder / "turned.jpg")
        page.wait(answered)
        assert page.value(ANSWER) == expected["turned.jpg"]
        status = page.value("document.querySelector('#status').textContent")
        assert re.fullmatch(r"turned\.jpg: 40 × 60 pixels, named in \d+ ms", status)
        page.wait("!document.querySelector('#preview').hidden")
        assert page.value("document.querySelector('#preview').alt") == "your picture, turned.jpg"

        page.drop("#drop", folder / "text.jpg")
        page.wait(erred)
        assert page.value("document.querySelector('#error').textContent").startswith("This is no picture that can be")
        assert page.value(waiting) and page.value("document.querySelector('#preview').hidden")

        page.drop("#drop", folder / "alpha.png")
        page.wait(answered)
        assert page.value(ANSWER) == expected["alpha.png"]
        page.drop("main", folder / "alpha.png", folder / "grey.png")
        page.wait(erred)
        assert page.value("document.querySelector('#error').textContent") == \
            "One picture at a time, please: these are 2 files."

        page.value("held = new DataTransfer(); held.items.add(new File("
                   f"[new Uint8Array({list((folder / 'grey.png').read_bytes())})], '', {{type: 'image/png'}}));"
                   "document.dispatchEvent(new ClipboardEvent('paste', {clipboardData: held}))")
        page.wait(answered)
        assert page.value(ANSWER) == expected["grey.png"]
        assert page.value("document.querySelector('#status').textContent").startswith("Pasted picture: 60 × 40")
        page.value(f"ask([new File([new Uint8Array({MOST + 1})], 'big.jpg')])")
        assert page.value("document.querySelector('#error').textContent") == \
            "This file is too large: 1 MB are the most that is taken."
        assert page.value("document.title") == "net: what is in the picture?"  # and no violation of the policy


@pytest.mark.parametrize("words, message", [
    (["gone.tar"], "model: expected 'prefix,epoch', received model='gone.tar'"),
    (["net-0000.params"], "model cannot be opened: expected a folder, PREFIX,EPOCH, or the .tar of a bundle, received "
                         "model='net-0000.params', a file that is no tar archive"),
    (["net,0", "--port", "65536"], "--port: expected a whole number from 0 to 65535, received port='65536'"),
    (["net,0", "--host", "192.0.2.7"], "--host: expected an address of this machine, received host='192.0.2.7'"),
    (["net,0", "--max-megabytes", "0"], "--max-megabytes: expected a whole number from 1 to 1000"),
])
def test_refusals(words, message, folder, monkeypatch, capsys):
    monkeypatch.chdir(folder)
    assert main(["serve", "--port", "0", *words]) == 2
    out, err = capsys.readouterr()
    assert out == "" and message in err and err.count("\n") == 1


def test_a_taken_port_is_refused_before_the_model_is_read(capsys):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert main(["serve", "no-such-model", "--port", str(port)]) == 2
    assert capsys.readouterr().err == (f"mxft serve: --port: expected one that is free, received port={port}, which "
                                       "another program uses (127.0.0.1); --port 0 takes a free one\n")


def test_a_bundle_whose_self_test_fails_is_not_served(folder, tmp_path, capsys):
    from mxft.deploy.bundle.sums import write_sums

    copy = shutil.copytree(folder / "tiny", tmp_path / "copy")
    shutil.copy(folder / "grey.png", copy / "selftest.jpg")
    assert main(["serve", str(copy), "--port", "0"]) == 2
    assert re.search(r"expected sha256 \w{12} of selftest.jpg, received \w{12}: it was", capsys.readouterr().err)
    (copy / "SHA256SUMS").unlink()
    write_sums(str(copy))
    assert main(["serve", str(copy), "--port", "0"]) == 2
    assert re.search(r"self-test with MXNet gives other classes: expected [\d.e-]+ \S+, received [\d.e-]+; \d of the 5",
                     capsys.readouterr().err)


def test_a_missing_package_says_what_to_install(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "waitress", None)
    assert main(["serve", "net,0"]) == 2
    assert capsys.readouterr().err == ("mxft serve: serving a page: expected the package waitress, which is not "
                                       "installed; pip install waitress\n")


@pytest.mark.long
def test_all_addresses_are_served_with_a_warning_and_ctrl_c_ends(folder):
    process = start(f"{folder}/net,0", "--host", "0.0.0.0", "--port", 0, "--threads", 1)
    port = int(re.search(r":(\d+)/", process.stdout.readline()).group(1))
    stream = io.BytesIO()
    picture().save(stream, "PNG")
    assert post(("127.0.0.1", port), stream.getvalue())[0] == 200
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=20)
    assert process.returncode == 130 and err == (
        "warning: --threads has no effect any more; --processes says how many pictures are computed at a time, --queue "
        "how many requests wait\n"
        "warning: 0.0.0.0 can be reached from other machines: whoever reaches it can use this service, without a "
        "password and without encryption\nmxft serve: stopped by Ctrl-C\n")
