"""recipes/keras_resnet_stages.py: where the fourth stage ends, the new fcN, and predictions by name."""
import os

import cv2
import numpy as np
import pytest

from mxft.backbones.gluon import build, checkpoint_from_gluon, trace
from mxft.compat import mx
from mxft.errors import InputError
from mxft.evaluation.classification import softmax
from mxft.inference.executor import InferenceExecutor
from mxft.network.checkpoint import load_checkpoint, load_symbol
from mxft.network.graph import Graph
from tests.support.doubts import without_doubts
from tests.support.images import noise, write_classes

pytestmark = pytest.mark.usefixtures("quick_figures")

FINETUNE = ["--image-shape", "3,64,64", "--data", "photos", "--per-class", "4", "--epochs", "1", "--batch-size", "4"]


@pytest.fixture
def here(here):
    """A working directory with photographs of two classes."""
    write_classes("photos", ("cat", "dog"), 6, lambda number, label: noise(
        10 * label + number, (70, 90), 0, 90) + np.uint8(100 * label))
    return here


@pytest.fixture
def small(recipe, monkeypatch):
    """Stand-ins for the published networks that are quick: a ResNet-18 in two input conventions, 64 pixels."""
    monkeypatch.setattr(recipe, "NETWORKS", {"resnet50": ("resnet18_v1", 64, "caffe"),
                                             "mobilenet": ("mobilenet0.25", 64, "tf")})


@pytest.mark.parametrize("words", [[], ["finetune"], ["predict"]])
def test_help_fits_80_columns(run, words, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    with pytest.raises(SystemExit):
        run(*words, "--help")
    assert all(len(line) <= 80 for line in capsys.readouterr().out.splitlines())


def frozen_layers(symbol, layer):
    """Return the numbers of convolutions at and before `layer`, and after it."""
    graph = Graph(symbol)
    reached = graph.ancestors(next(node.index for node in graph.operators() if node.name == layer))
    is_before = [node.index in reached for node in graph.operators() if node.op == "Convolution"]
    return sum(is_before), len(is_before) - sum(is_before)


@pytest.mark.parametrize("name, layer, convolutions", [
    # 1 + 3 x 3 + 1 + 4 x 3 + 1 + 6 x 3 + 1 = 43 of ResNet-50's 53 convolutions stand in its first four stages; the
    # other 10 in the fifth, 3 x 3 + 1
    ("resnet50_v1", "resnetv10_stage3__plus5", (43, 10)),
    ("resnet50_v2", "resnetv20_stage3__plus5", (43, 10)),
    ("resnet18_v1", "resnetv10_stage3__plus1", (15, 5)),
    ("vgg16", "vgg0_relu9_fwd", (10, 3)),  # no sums: its fourth block, of 28 x 28 pixels, whole
])
def test_the_fourth_stage_ends_where_the_last_one_begins(recipe, name, layer, convolutions):
    symbol = trace(build(name))
    assert recipe.end_of_stage_four(symbol, (3, 224, 224)) == layer
    assert frozen_layers(symbol, layer) == convolutions


def test_without_stages_the_flag_is_told(recipe):
    net = mx.sym.Convolution(mx.sym.Variable("data"), kernel=(3, 3), num_filter=2, name="conv0")
    with pytest.raises(InputError, match="expected convolutions on maps of two sizes or more, received 1; .*"
                                        "--freeze-through"):
        recipe.end_of_stage_four(net, (3, 16, 16))


@pytest.mark.data
@pytest.mark.parametrize("path, layer, convolutions", [
    ("symbols/resnet-50-symbol.json", "_plus12", (43, 10)),
    # of MobileNetV2's 17 blocks the first 13 end with the 96 channels of 14 x 14: 1 + 2 + 12 x 3 convolutions; after
    # them come 4 x 3 and the last
    ("models/mobilenet-v2-1.0-symbol.json", "add46", (39, 13)),
])
def test_the_shared_networks(recipe, testdata, path, layer, convolutions):
    symbol = load_symbol(str(testdata / path))
    assert recipe.end_of_stage_four(symbol, (3, 224, 224)) == layer
    assert frozen_layers(symbol, layer) == convolutions


def test_four_stages_stay_and_the_fifth_and_fcn_move(run, here, small, capsys):
    assert run("finetune", *FINETUNE) == 0
    out, err = capsys.readouterr()
    assert without_doubts(err) == "no --weights: resnet50 is random and knows nothing; this only shows that it runs\n"
    assert "new head: fc2 with 2 classes on resnetv10_pool1_fwd in place of resnetv10_dense0_fwd" in out
    assert "frozen through resnetv10_stage3__plus1" in out
    after = load_checkpoint("runs/keras-resnet-stages/model,1")
    before = checkpoint_from_gluon("resnet18_v1", input_size=64)
    assert after.manifest["head"]["layer"] == "fc2" and after.arg_params["fc2_weight"].shape == (2, 512)
    for now, then in ((after.arg_params, before.arg_params), (after.aux_params, before.aux_params)):
        for name in set(now) & set(then):
            assert (now[name] != then[name]).asnumpy().any() == ("stage4" in name), name


def converted(path, size, convert):
    """Return an image as a network takes it, squashed to a square: float32 (1, 3, size, size)."""
    image = cv2.resize(cv2.imread(path), (size, size)).astype(np.float64)  # BGR
    return convert(image).transpose(2, 0, 1)[None].astype(np.float32)


def expected_top5(recipe, name, path, size, weights, convert):
    """Return the five likeliest classes with plain steps: squash, convert, forward, softmax."""
    checkpoint = checkpoint_from_gluon(name, weights, input_size=size)
    executor = InferenceExecutor(checkpoint.symbol, checkpoint.arg_params, checkpoint.aux_params, (3, size, size), 1)
    probabilities = softmax(executor.forward(converted(path, size, convert)))[0]
    order = np.argsort(-probabilities)[:5]
    return [f"  {probabilities[i]:.4f}  class {i}" for i in order]


CONVENTIONS = {  # keras_applications/imagenet_utils.py, _preprocess_numpy_input; gluoncv's transforms
    ("resnet50", "keras"): (lambda bgr: bgr - (103.939, 116.779, 123.68),
                            "(pixel - [123.68, 116.779, 103.939]) x [1, 1, 1]"),
    ("mobilenet", "keras"): (lambda bgr: bgr[:, :, ::-1] / 127.5 - 1,
                             "(pixel - [127.5, 127.5, 127.5]) x [0.00784314, 0.00784314, 0.00784314]"),
    ("mobilenet", "gluon"): (lambda bgr: (bgr[:, :, ::-1] / 255 - (0.485, 0.456, 0.406)) / (0.229, 0.224, 0.225),
                             "(pixel - [123.675, 116.28, 103.53]) x [0.0171248, 0.017507, 0.0174292]"),
}


@pytest.mark.parametrize("network, whose", CONVENTIONS)
def test_the_five_likeliest_in_each_convention(recipe, run, here, small, network, whose, capsys):
    name, size, _ = recipe.NETWORKS[network]
    net = build(name)
    mx.random.seed(7)
    net.initialize(mx.init.Xavier(factor_type="in", magnitude=2))
    path, (convert, told) = "photos/cat/1.png", CONVENTIONS[network, whose]
    logits = net(mx.nd.array(converted(path, size, convert))).asnumpy()
    factor = float(2 / logits.std())  # then the scores are neither all equal nor is one of them 1
    net.output.weight.set_data(factor * net.output.weight.data())
    net.save_parameters("w.params")
    assert run("predict", "--network", network, "--preprocess", whose, "--weights", "w.params", path) == 0
    out, err = capsys.readouterr()
    assert err == "" and out.startswith(f"{network}: 64x64 RGB, {told}\n{path}\n")
    rows = out.splitlines()[2:]
    expected = expected_top5(recipe, name, path, size, "w.params", convert)
    assert len({row.split()[0] for row in expected}) == 5  # of equal ones any order would do
    assert [row.split()[1:] for row in rows] == [row.split()[1:] for row in expected]
    np.testing.assert_allclose([float(row.split()[0]) for row in rows], [float(row.split()[0]) for row in expected],
                               atol=2e-4)


def test_names_come_from_the_synset_and_an_unreadable_image_is_told(run, here, small, capsys):
    with open("synset.txt", "w") as f:
        f.write("".join(f"n{i}, thing\n" for i in range(1000)))
    with open("broken.jpg", "w") as f:
        f.write("no image")
    assert run("predict", "--network", "mobilenet", "--synset", "synset.txt", "photos/dog/0.png",
               "broken.jpg") == 3
    out = capsys.readouterr().out.splitlines()
    assert out[1] == "photos/dog/0.png" and all(row.endswith(", thing") for row in out[2:7])
    assert out[7] == "broken.jpg" and out[8].startswith("  cannot be read: ")


@pytest.mark.parametrize("words, message", [
    (["predict", "--network", "resnet", "a.jpg"], "--network: expected one of "),
    (["predict", "--synset", "short.txt", "a.jpg"], "--synset: expected 1000 class names, received 2 in short.txt"),
    (["predict", "--weights", "none.params", "a.jpg"], "Gluon weights"),
    (["finetune", *FINETUNE, "--model", "net,0", "--weights", "w.params"], "expected no --model beside it, received "
                                                                          "model='net,0'"),
    (["finetune", *FINETUNE, "--freeze-through", "stage3"], "received layer='stage3'"),
    (["finetune", *FINETUNE, "--per-class", "9"], "class too small to split: expected at least 9 images, received "
                                                  "cat=6"),
    ([], "arguments are missing"),
])
def test_what_is_refused_leaves_no_run(run, here, small, words, message, capsys):
    with open("short.txt", "w") as f:
        f.write("a\nb\n")
    assert run(*words) == 2
    assert message in capsys.readouterr().err and not os.path.exists("runs")
