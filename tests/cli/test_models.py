"""``--model`` of the verbs: what is on disk, and names of the zoo that are cached."""
import pytest

from mxft.cli import main
from mxft.commandline.models import find_model


@pytest.fixture
def cached(mirror, make_checkpoint, here):
    """The prefix of a tiny checkpoint in the cache, under the name of the zoo's resnet-50."""
    prefix = str(mirror.cache / "models" / "imagenet1k-resnet-50" / "resnet-50")
    make_checkpoint().save(prefix, 0)
    return prefix


@pytest.mark.parametrize("text", ["resnet-50,0", "runs/a", "./resnet-50", " model-r100, 287"])
def test_what_can_only_be_on_disk_is_left_as_it_is(text):
    assert find_model(text) == text


@pytest.mark.parametrize("name", ["resnet-50", "imagenet1k-resnet-50", "ResNet-50"])
def test_a_name_that_is_cached_is_used_and_told(cached, name, capsys):
    assert find_model(name) == f"{cached},0"
    assert capsys.readouterr() == ("", f"model {name}: {cached},0, from the zoo's cache\n")


def test_a_substitute_of_an_earlier_run_is_used_and_told(mirror, make_checkpoint, capsys):
    from mxft import zoo
    other, checkpoint = zoo.find_model("mxnet:resnet50_v2").prefix(str(mirror.cache)), make_checkpoint()
    checkpoint.manifest["source"] = "a test"
    checkpoint.save(other, 0)
    mirror.put("../home/mxft/models/imagenet1k-resnet-50/substitute.json", '{"name": "mxnet:resnet50_v2"}')
    assert find_model("resnet-50") == f"{other},0"
    said = capsys.readouterr().err.splitlines()
    assert said[0].startswith("imagenet1k-resnet-50: no mirror gave it; using other weights instead: mxnet:resnet50_v2")
    assert said[1] == f"model resnet-50: {other},0, from the zoo's cache"


def test_a_checkpoint_of_that_name_on_disk_comes_first(cached, make_checkpoint):
    make_checkpoint().save("resnet-50", 0)
    assert find_model("resnet-50") == "resnet-50"


VERBS = [["layers"], ["score", "val.rec", "--model"], ["predict", "a.jpg", "--model"],
         ["finetune", "--data", "photos", "--run", "runs/a", "--model"], ["advise", "--data", "photos", "--model"],
         ["lr-find", "--data", "photos", "--run", "runs/a", "--model"],
         ["extract-features", "photos", "f.npz", "--model"],
         ["export", "--to", "onnx", "--output", "a.onnx", "--model"], ["verify", "--bin", "lfw.bin", "--model"],
         ["slim", "--output", "slim", "--model"]]


@pytest.fixture
def inputs(here, make_records):
    """What the verbs look at before the model."""
    import cv2
    import numpy as np

    for name in ("a", "b"):
        (here / "photos" / name).mkdir(parents=True)
        for number in range(3):
            cv2.imwrite(str(here / "photos" / name / f"{number}.jpg"), np.zeros((9, 9, 3), np.uint8))
    make_records("val.rec", [0, 1])
    (here / "lfw.bin").write_bytes(b"")


@pytest.mark.parametrize("words", VERBS, ids=[words[0] for words in VERBS])
def test_a_name_that_is_not_cached_is_refused_with_the_command_that_fetches_it(words, mirror, inputs, capsys):
    assert main([*words, "gluon:resnet18_v1"]) == 2
    out, err = capsys.readouterr()
    assert (out, err) == ("", f"mxft {words[0]}: model is not in the cache: expected one that was fetched, received "
                              "model='gluon:resnet18_v1'; mxft zoo get gluon:resnet18_v1 fetches it\n")


def test_a_verb_takes_the_cached_network(cached, capsys):
    assert main(["layers", "resnet-50", "--image-shape", "3,8,8"]) == 0
    out, err = capsys.readouterr()
    assert "feature layer: flatten0, classifier fc1" in out and err.endswith("from the zoo's cache\n")


def test_a_misspelled_name_is_told_the_zoos_nearest(mirror, here, capsys):
    assert main(["layers", "gluon:resnet18_b"]) == 2
    assert capsys.readouterr().err == (
        "mxft layers: model: expected 'prefix,epoch', received model='gluon:resnet18_b'; checkpoints in .: there are "
        "none; in the zoo nearest: gluon:resnet18_v1b, gluon:resnet18_v2, gluon:resnet18_v1\n")


def test_a_data_set_is_no_model(mirror, here, capsys):
    assert main(["layers", "caltech256"]) == 2
    assert "model: expected 'prefix,epoch', received model='caltech256'" in capsys.readouterr().err


def test_slim_does_not_write_into_the_cache(cached, capsys):
    assert main(["slim", "--model", "resnet-50"]) == 2
    assert capsys.readouterr().err.endswith(
        "mxft slim: output name: expected --output PREFIX beside a model of the zoo, received model='resnet-50' alone; "
        "the cache keeps what was published\n")
