"""``mxft export``: a file that was compared, what it says, and its refusals."""
import json
import os

import pytest

from mxft.cli import run_verb
from mxft.compat import mx
from mxft.evaluation.answer import thresholds_of
from mxft.network.checkpoint import load_checkpoint
from tests.support.images import noise, write_image

onnx = pytest.importorskip("onnx")
onnxruntime = pytest.importorskip("onnxruntime")


@pytest.fixture
def here(here, make_checkpoint):
    """A working directory with the checkpoint ``net,0``, its manifest and cat.png."""
    checkpoint = make_checkpoint(5)
    checkpoint.manifest = {"input": {"size": 16, "resize": 20, "mean": [9, 9, 9], "scale": 0.1}}
    checkpoint.save("net", 0)
    write_image("cat.png", noise(0, (24, 30)))
    return here


def run(*words):
    return run_verb("export", ["--to", "onnx", "--output", "net.onnx", *words])


def test_it_says_what_goes_in_what_comes_out_and_how_near_it_is(here, capsys):
    assert run("--model", "net,0", "--images", "cat.png") == 0
    said = capsys.readouterr().out
    assert "input data (N, 3, 16, 16): 16x16 RGB, (pixel - [9, 9, 9]) x [0.1, 0.1, 0.1], short side " in said
    assert "output softmax (N, 5): probabilities\nONNX Runtime on 1 images: largest difference " in said
    assert onnxruntime.InferenceSession("net.onnx").get_inputs()[0].shape == ["N", 3, 16, 16]
    assert run("--model", "net,0") == 2
    assert capsys.readouterr().err == ("mxft export: output: expected a name that is free, received 'net.onnx'; "
                                       "--force replaces it\n")
    assert run("--model", "net,0", "--force") == 0
    assert "ONNX Runtime on 2 images of noise: " in capsys.readouterr().out


def test_a_face_network_is_exported_up_to_its_embedding(here, make_face_checkpoint, capsys):
    make_face_checkpoint(num_classes=9).save("face", 3)
    assert run("--model", "face,3", "--image-shape", "3,16,16") == 0
    said = capsys.readouterr().out
    assert said.startswith("a face network as it was trained: exporting it up to its embedding, fc1\n")
    assert "output fc1 (N, 4): embedding" in said


def test_a_layer_is_exported_and_several_outputs_are_named(here, make_checkpoint, capsys):
    assert run("--model", "net,0", "--layer", "flatten0") == 0
    assert "output flatten0 (N, " in capsys.readouterr().out
    assert run("--model", "net,0", "--layer", "flaten0", "--force") == 2
    assert "nearest: flatten0" in capsys.readouterr().err
    two = make_checkpoint(5)
    two.symbol = mx.sym.Group([two.symbol, mx.sym.sigmoid(two.symbol.get_internals()["fc1_output"], name="tags")])
    two.save("two", 0)
    assert run("--model", "two,0", "--image-shape", "3,16,16", "--force") == 0
    said = capsys.readouterr().out
    assert "output softmax (N, 5): probabilities\noutput tags (N, 5): independent probabilities\n" in said
    assert [output.name for output in onnxruntime.InferenceSession("net.onnx").get_outputs()] == ["softmax", "tags"]


def test_it_is_compared_on_whatever_predict_takes_and_keeps_how_pictures_are_resized(here, capsys):
    for number in range(20):
        write_image(f"many/{number}.png", noise(number, (24, 30)))
    assert run("--model", "net,0", "--images", "many", "--resize", "18") == 0
    assert "ONNX Runtime on 10 images: " in capsys.readouterr().out
    facts = {entry.key: json.loads(entry.value) for entry in onnx.load("net.onnx").metadata_props}
    assert facts["mxft"]["packing"] == {"encoding": ".png", "resize": 18}


def test_the_thresholds_of_labels_travel_and_come_back(here, make_checkpoint, capsys):
    tags = make_checkpoint(3)
    logits = tags.symbol.get_internals()["fc1_output"]
    tags.symbol = mx.sym.LogisticRegressionOutput(logits, name="tags")
    tags.manifest = {"input": {"size": 16}, "packing": {"resize": 20}, "classes": ["a", "b", "c"],
                     "target": {"kind": "multi-label", "size": 3},
                     "metrics": {"0": {"val_thresholds": [0.25, 0.5, 0.75]}}}
    tags.save("tags", 0)
    assert run("--model", "tags,0") == 0
    assert run_verb("import", ["--from", "onnx", "--weights", "net.onnx", "--prefix", "back"]) == 0
    back = load_checkpoint("back,0")
    assert thresholds_of(back, back.anatomy.output()) == (0.25, 0.5, 0.75)


@pytest.mark.parametrize("words, message", [
    (["--model", "net,0", "--images", "dog.png"], "image is missing: expected a file, received 'dog.png'"),
    (["--model", "net,0", "--images", "net-symbol.json"], "no image can be read: expected at least one, received "),
    (["--model", "nat,0"], "symbol is missing: expected nat-symbol.json, received model='nat,0'"),
])
def test_refusals(here, words, message, capsys):
    assert run(*words) == 2
    assert message in capsys.readouterr().err
    assert not os.path.exists("net.onnx")


def test_to_pytorch_and_back_after_training(here, capsys):
    torch = pytest.importorskip("torch")
    assert run_verb("export", ["--to", "torch", "--model", "net,0", "--output", "net.pt2", "--images", "cat.png"]) == 0
    said = capsys.readouterr().out
    assert "input data (N, 3, 16, 16): 16x16 RGB, (pixel - [9, 9, 9]) x [0.1, 0.1, 0.1], short side " in said
    assert "output softmax (N, 5): probabilities\nPyTorch on 1 images: largest difference " in said
    module = torch.export.load("net.pt2").module()
    optimizer = torch.optim.SGD(module.parameters(), lr=0.1)
    module(torch.ones(2, 3, 16, 16))[:, 0].sum().backward()
    optimizer.step()
    torch.save(module.state_dict(), "trained.pth")
    back = ["--from", "torch-mxft", "--arch", "net,0", "--weights", "trained.pth", "--prefix", "back"]
    assert run_verb("import", back) == 0
    assert "5 probabilities; a new head is put on flatten0\ninput: 16x16 RGB, (pixel - [9, 9, 9])" in (
        capsys.readouterr().out)
    found, before = load_checkpoint("back,0"), load_checkpoint("net,0")
    assert found.manifest["parent"]["model"] == "net,0" and "metrics" not in found.manifest
    weights = module.state_dict()["fc1_weight"].numpy()
    assert (found.arg_params["fc1_weight"].asnumpy() == weights).all()
    assert (before.arg_params["fc1_weight"].asnumpy() != weights).any()
    del weights
    torch.save({"fc1_weight": torch.zeros(5, 4)}, "trained.pth")
    assert run_verb("import", [*back, "--force"]) == 2
    assert "torch: expected every array of the checkpoint, received none called " in capsys.readouterr().err


def test_what_is_onnxs_alone_is_refused_beside_pytorch(here, capsys):
    words = ["--to", "torch", "--model", "net,0", "--output", "net.pt2", "--precision", "int8", "--images", "cat.png"]
    assert run_verb("export", words) == 2
    assert capsys.readouterr().err == ("mxft export: --precision: expected --to onnx beside int8, received --to torch; "
                                       "leave --precision out\n")
