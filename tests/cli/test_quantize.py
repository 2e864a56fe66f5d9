"""``mxft quantize`` on a published network: what it says, what the other verbs then compute, and its refusals."""
import json
import os
import re
import tarfile

import pytest

from mxft.cli import run_verb
from mxft.network.quantization import ENTRY
from tests.support.int8 import needs_int8


@pytest.fixture
def here(here, testdata):
    """A working directory with ``photos``: twelve photographs of each of four classes of Caltech-256."""
    taken = {}
    with tarfile.open(testdata / "data" / "caltech256-subset.tar") as archive:
        for member in archive:
            kind = os.path.basename(os.path.dirname(member.name))
            if member.isfile() and member.name.lower().endswith(".jpg") and (kind in taken or len(taken) < 4):
                taken[kind] = taken.get(kind, 0) + 1
                if taken[kind] <= 12:
                    os.makedirs(f"photos/{kind}", exist_ok=True)
                    with open(f"photos/{kind}/{os.path.basename(member.name)}", "wb") as f:
                        f.write(archive.extractfile(member).read())
    return here


@pytest.fixture
def net(testdata):
    """Arguments that name mobilenet-v1-0.25."""
    return ["--model", str(testdata / "models" / "mobilenet-v1-0.25,0"), "--image-shape", "3,224,224"]


FEW = ["--images", "photos", "--calibration-images", "16", "--check-images", "16"]


@needs_int8
@pytest.mark.data
def test_layers_are_left_in_float32_until_it_is_good_enough_and_every_verb_computes_it(here, net, capsys):
    assert run_verb("quantize", [*net, *FEW, "--min-cosine", "0.98", "--output", "int8/model"]) == 0
    said = capsys.readouterr().out
    assert "28 layers in int8: cosine between the outputs 0.9" in said
    assert "times as fast as float32 on this machine" in said and "wrote int8/model,0" in said
    with open("int8/model-manifest.json") as f:
        entry = json.load(f)[ENTRY]
    assert entry["images"] == 16 and entry["figures"]["cosine"] >= 0.98
    answers = {}
    for precision in ("int8", "fp32", None):
        asked = ["--precision", precision] if precision else []
        assert run_verb("predict", ["--model", "int8/model,0", "--resize", "256", "--csv", "out.csv", *asked,
                                    "photos"]) == 0
        capsys.readouterr()
        with open("out.csv") as f:
            answers[precision] = f.read()
    assert answers[None] == answers["int8"] != answers["fp32"]


@needs_int8
@pytest.mark.data
def test_what_cannot_be_as_good_as_asked_is_not_written(here, net, capsys):
    assert run_verb("quantize", [*net, *FEW, "--min-cosine", "1", "--output", "int8/model"]) == 3
    assert ("int8 is not kept: expected the accuracy asked for with at most 7 of 28 layers in float32, received cosine "
            in capsys.readouterr().err)
    assert not os.path.exists("int8/model-symbol.json")


@needs_int8
@pytest.mark.data
def test_a_head_solved_on_int8_features_is_scored_as_it_was_validated(here, net, capsys):
    """The manifest says that the backbone was computed in int8: score computes it so."""
    assert run_verb("quantize", [*net, *FEW, "--force", "--output", "int8/model"]) == 0
    assert run_verb("split", ["--resize", "256", "photos", "packed"]) == 0
    assert run_verb("finetune", ["--model", "int8/model,0", "--records", "packed", "--plan", "head", "--solver",
                                 "ridge", "--precision", "int8", "--run", "run"]) == 0
    validated = re.search(r"best: (top-1 [\d.]+, top-5 [\d.]+, loss [\d.]+)", capsys.readouterr().out)
    with open("run/model-manifest.json") as f:
        assert ENTRY in json.load(f)
    said = {}
    for precision in ("int8", "fp32", None):
        asked = ["--precision", precision] if precision else []
        assert run_verb("score", ["--model", "run", "packed-val.rec", *asked]) == 0
        said[precision] = re.sub(r"\([\d,]+ images/s\)", "", capsys.readouterr().out)
    assert validated[1] in said[None] and said[None] == said["int8"] != said["fp32"]


@needs_int8
def test_a_name_that_is_taken_is_refused(here, make_checkpoint, capsys):
    make_checkpoint().save("net", 0)
    assert run_verb("quantize", ["--model", "net,0", "--images", "photos", "--output", "net"]) == 2
    assert "output name: expected one that is free, received 'net'" in capsys.readouterr().err


def test_a_cpu_without_the_instructions_is_refused(here, make_checkpoint, capsys, monkeypatch):
    monkeypatch.setattr("mxft.inference.int8.cpu_flags", lambda: frozenset(["avx2"]))
    make_checkpoint().save("net", 0)
    assert run_verb("quantize", ["--model", "net,0", "--images", "photos", "--output", "out",
                                 "--image-shape", "3,16,16"]) == 2
    assert ("int8: expected a CPU with avx512_vnni, received one without, where it would be slower than float32, or "
            "wrong; compute in float32" in capsys.readouterr().err)


def test_settings_out_of_their_range_are_refused(here, capsys):
    assert run_verb("quantize", ["--model", "net,0", "--images", "photos", "--output", "out", "--min-cosine", "2"]) == 2
    assert "--min-cosine: expected" in capsys.readouterr().err
