"""``mxft import``: what it writes, what it says, and its refusals."""
import json
import os

import numpy as np
import pytest

from mxft.cli import run_verb


@pytest.fixture(scope="module")
def resnet18(tmp_path_factory, torch_arrays):
    """A safetensors file of a ResNet-18 of 3 classes under timm's names."""
    from safetensors.numpy import save_file

    from mxft.compat import mx
    from mxft.importing import architectures
    network = architectures("timm")["resnet18"].build(3)
    network.initialize()
    network(mx.nd.zeros((1, 3, 32, 32)))
    path = tmp_path_factory.mktemp("weights") / "model.safetensors"
    save_file(torch_arrays(network), str(path))
    return str(path)


def test_a_checkpoint_with_manifest_that_other_verbs_take(resnet18, tmp_path, capsys):
    (tmp_path / "names.txt").write_text("cat\ncrane\ncrane\n")
    prefix = str(tmp_path / "resnet-18")
    command = ["--from", "timm", "--arch", "resnet18.tv_in1k", "--weights", resnet18, "--prefix", prefix,
               "--classes", str(tmp_path / "names.txt"), "--image-shape", "3,64,64"]
    assert run_verb("import", command) == 0
    said = capsys.readouterr().out
    assert said.startswith("timm resnet18.tv_in1k, model.safetensors: 62 tensors (11,178,051 parameters), 40 moving "
                           "statistics, 3 logits; a new head is put on resnetv1b_flatten0_flatten0\ninput: 64x64 RGB, ")
    assert said.endswith(f"wrote {prefix},0: {prefix}-symbol.json, -0000.params, -manifest.json\n")
    with open(prefix + "-manifest.json", encoding="utf-8") as f:
        manifest = json.load(f)
    assert manifest["classes"] == ["cat", "crane", "crane"]
    assert manifest["input"]["size"] == [64, 64] and manifest["input"]["resize"] == 73
    assert run_verb("layers", [f"{prefix},0"]) == 0
    assert run_verb("import", command) == 2
    assert f"output name: expected one that is free, received '{prefix}'" in capsys.readouterr().err
    assert run_verb("import", [*command, "--force"]) == 0


def test_the_list_has_every_source(capsys):
    assert run_verb("import", ["--list"]) == 0
    said = capsys.readouterr().out
    assert said.startswith("torchvision: resnet18, ") and "\ntimm: " in said and "\nonnx: any classifier" in said
    assert "\narcface-torch: r18, r34, r50, r100, r200, mbf, mbf_large, iresnet18, " in said


def test_of_a_face_network_it_says_how_to_train_it(here, capsys):
    """And of another network's file which one it looks like; nothing is written then."""
    from safetensors.numpy import save_file

    from tests.support import numpy_faces
    net = numpy_faces.Plain()
    numpy_faces.mbf(net, np.zeros((1, 3, 112, 112)), 16)
    save_file(net.state, "backbone.safetensors")
    command = ["--from", "arcface-torch", "--weights", "backbone.safetensors", "--prefix", "net", "--arch"]
    assert run_verb("import", [*command, "r100"]) == 2
    assert capsys.readouterr().err.endswith("; its layers are those of mbf\n") and not os.path.exists("net-symbol.json")
    assert run_verb("import", [*command, "mbf"]) == 0
    assert capsys.readouterr().out == (
        "arcface-torch mbf, backbone.safetensors: 183 tensors (1,804,576 parameters), 100 moving statistics, 16 "
        "embedding; fc1 is the embedding of a face: train_softmax.py takes it with --network pretrained --pretrained "
        "net,0\ninput: 112x112 RGB, raw 0-255\nwrote net,0: net-symbol.json, -0000.params, -manifest.json\n")


@pytest.mark.parametrize("words, message", [
    ([], "arguments are missing: expected --from, received none"),
    (["--from", "timm", "--weights", "a", "--prefix", "b"], "arguments are missing: expected --arch, received none"),
    (["--from", "onnx", "--weights", "a", "--prefix", "b", "--arch", "resnet18"],
     "--arch: expected none with --from onnx, whose files hold the network, received arch='resnet18'"),
    (["--from", "timm", "--arch", "resnet18", "--weights", "a.safetensors", "--prefix", "b"],
     "weights is missing: expected a file, received 'a.safetensors'"),
    (["--from", "timm", "--arch", "resnet18", "--weights", "a.safetensors", "--prefix", "b/"],
     "output name: expected a folder and the beginning of the files' names, received 'b/'; try b/model"),
])
def test_refusals(words, message, here, capsys):
    assert run_verb("import", words) == 2
    assert message in capsys.readouterr().err
    assert os.listdir(here) == []


def test_an_onnx_file_of_ours_comes_back_with_input_classes_and_packing(here, make_checkpoint, capsys):
    """Mean and scale stand in no graph: taken for ImageNet's, they would be wrong without a word."""
    pytest.importorskip("onnxruntime")
    onnx = pytest.importorskip("onnx")
    checkpoint = make_checkpoint(3)
    facts = {"classes": ["ant", "bee", "crab"], "packing": {"resize": 20, "quality": 90},
             "input": {"size": [16, 16], "channels": 3, "mean": [9.0, 8.0, 7.0], "scale": [0.1, 0.2, 0.3],
                       "resize": None, "channel_order": "RGB"}}
    checkpoint.manifest = dict(facts)
    checkpoint.save("net", 0)
    assert run_verb("export", ["--to", "onnx", "--model", "net,0", "--output", "net.onnx"]) == 0
    assert run_verb("import", ["--from", "onnx", "--weights", "net.onnx", "--prefix", "back"]) == 0
    assert "input: 16x16 RGB, (pixel - [9, 8, 7]) x [0.1, 0.2, 0.3]\n" in capsys.readouterr().out
    with open("back-manifest.json", encoding="utf-8") as f:
        manifest = json.load(f)
    assert {name: manifest[name] for name in facts} == facts
    assert run_verb("import", ["--from", "onnx", "--weights", "net.onnx", "--prefix", "other", "--rgb-mean", "0,0,0",
                               "--rgb-std", "1,1,1"]) == 0                                # flags win
    assert "input: 16x16 RGB, raw 0-255\n" in capsys.readouterr().out
    model = onnx.load("net.onnx")
    for text, message in (("[" * 99999, "expected a JSON object as mxft's facts in it"),
                          ('{"classes": [1]}', "expected a list of names as classes among mxft's facts in it"),
                          ('{"input": {"size": "x"}}', "manifest input: expected size, mean, scale")):
        onnx.helper.set_model_props(model, {"mxft": text})
        onnx.save(model, "altered.onnx")
        assert run_verb("import", ["--from", "onnx", "--weights", "altered.onnx", "--prefix", "altered"]) == 2
        assert message in capsys.readouterr().err and not os.path.exists("altered-symbol.json")
