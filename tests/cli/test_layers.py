"""``mxft layers`` as a user runs it."""
import json

import pytest

from mxft.cli import main


@pytest.fixture
def here(here, make_checkpoint):
    make_checkpoint(3).save("net", 0)
    return here


@pytest.mark.parametrize("model", ["net,0", "net, 0", "net-symbol.json"])
def test_the_feature_layer_is_marked(model, here, capsys):
    assert main(["layers", model, "--image-shape", "3,8,8", "--all"]) == 0
    out, err = capsys.readouterr()
    lines = out.splitlines()
    assert err == "" and [line.split()[1] for line in lines if line.startswith("*")] == ["flatten0"]
    assert "7 layers, 213 parameters at 8x8" in lines[-4] and lines[-3].startswith("input: data, image, ")
    assert lines[-2] == "output: softmax, 3 probabilities"
    assert lines[-1].startswith("feature layer: flatten0, classifier fc1; ")


def test_all_of_it_as_json(here, capsys):
    assert main(["layers", "net,0", "--json", "--image-shape", "3,8,8"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["outputs"][0]["kind"] == "probabilities" and told["feature"]["name"] == "flatten0"
    assert told["inputs"][0]["name"] == "data" and told["image_shape"] == [3, 8, 8]
    assert sum(layer["parameters"] for layer in told["layers"]) == 213


def test_the_name_can_be_given_to_finetune(here, capsys):
    assert main(["layers", "net,0"]) == 0
    name = capsys.readouterr().out.rsplit("feature layer: ", 1)[1].split(",")[0]
    assert main(["finetune", "--model", "net,0", "--run", "run", "--train", "gone.rec", "--layer", name]) == 2
    assert "received 'gone.rec'" in capsys.readouterr().err


@pytest.mark.parametrize("words, message", [
    ([], "arguments are missing: expected PREFIX,EPOCH, received none"),
    (["net"], "model: expected 'prefix,epoch', received model='net'; epochs there: 0: try net,0"),
    (["nte-symbol.json"], "symbol is missing: expected a file, received 'nte-symbol.json'; in that folder nearest: "
                          "net-symbol.json"),
    (["text.json"], "symbol cannot be read: expected an MXNet graph in JSON, received a file beginning b'hello'"),
    (["net,0", "--image-shape", "3,8"], "--image-shape: expected 3 comma-separated numbers, received image-"),
    (["net,0", "--image-shape", "3,0,8"], "--image-shape: expected C,H,W with C 1 or 3 and sizes in pixels"),
])
def test_what_is_refused(words, message, here, capsys):
    (here / "text.json").write_text("hello")
    assert main(["layers", *words]) == 2
    out, err = capsys.readouterr()
    assert out == "" and message in err and err.count("\n") == 1
