"""Names with escape codes, from every door they come in by: what a command prints holds none of them."""
import json
import os

import cv2
import numpy as np
import pytest

from mxft.cli import main

PREDICT = ("predict", "--model", "net,0", "--synset", "names.txt", "--image-shape", "3,16,16", "--resize", "18")
EVIL = "cat\x1b]0;gone\x07\x1b[2J\x9b\u202e"


@pytest.fixture
def here(tmp_path, monkeypatch, make_checkpoint):
    monkeypatch.chdir(tmp_path)
    make_checkpoint(3).save("net", 0)
    for label in ("a", EVIL):
        os.makedirs(f"photos/{label}")
        for number in range(3):
            pixels = np.random.RandomState(number).randint(0, 255, (20, 20, 3)).astype(np.uint8)
            with open(f"photos/{label}/{EVIL}{number}.png", "wb") as f:
                f.write(cv2.imencode(".png", pixels)[1].tobytes())
    return tmp_path


def test_names_of_the_manifest_a_class_map_folders_and_files(here, capsys):
    pictures = [f"photos/{EVIL}/{EVIL}{number}.png" for number in range(3)]
    with open("names.txt", "w", encoding="utf-8") as f:
        f.write(f"a\n{EVIL}\n{EVIL}2\n")
    commands = [
        ([*PREDICT, *pictures], 0),
        ([*PREDICT, "--json", *pictures], 0),
        (["im2rec", "--list", "--recursive", "t", "photos"], 0), (["im2rec", "--num-thread", "1", "t", "photos"], 0),
        (["inspect", "t.rec"], 0), (["predict", "--model", "net,0", f"none{EVIL}.png"], 2), (["layers", EVIL], 2),
        (["layers", f"{EVIL},0"], 2), ([EVIL], 2), (["report", EVIL], 2), (["unpack", "t.rec", f"out{EVIL}"], 0),
    ]
    printed = ""
    for words, status in commands:
        assert main(words) == status, words
        out, err = capsys.readouterr()
        assert not set(out + err) & set("\x1b\x07\x9b\u202e"), words
        printed += out + err
    assert "cat\\u001b]0;gone\\u0007" in printed


def test_a_json_answer_has_the_name_as_it_is(here, capsys):
    with open("names.txt", "w", encoding="utf-8") as f:
        f.write("".join(f"{EVIL}{number}\n" for number in range(3)))
    assert main([*PREDICT, "--json", f"photos/a/{EVIL}0.png"]) == 0
    answer = capsys.readouterr().out.splitlines()[0]
    assert "\x9b" not in answer and json.dumps(EVIL)[1:-1] in json.dumps(json.loads(answer))
