"""Command lines as people posted them for MXNet and insightface: they run, or one message says what to type."""
import os
import runpy
import shlex
import sys

import pytest

from mxft.data.labels import scan_labels
from mxft.network.checkpoint import load_checkpoint
from tests.support.images import levelled, write_classes

TRAIN = "recipes/train_softmax.py"


@pytest.fixture
def typed(repository, monkeypatch):
    """A function ``(script, line) -> exit status``: the script run with a posted line's arguments, from this folder."""
    def run(script, line):
        variables, words = [], shlex.split(line)
        while "=" in words[0]:
            variables.append(words.pop(0).split("=", 1))
        assert words[0] == "python"
        arguments = words[words.index(next(word for word in words if word.endswith(".py"))) + 1:]
        path = str(repository / script)
        monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
        for name, value in variables:
            monkeypatch.setenv(name, value)
        monkeypatch.setattr(sys, "argv", [path, *arguments])
        monkeypatch.setattr(sys, "path", list(sys.path))
        with pytest.raises(SystemExit) as ended:
            runpy.run_path(path, run_name="__main__")
        return ended.value.code
    return run


def test_the_tutorials_records_are_packed(typed, here):
    write_classes(here / "256_ObjectCategories", ["001.ak47", "002.flag"], 3, levelled, ".jpg")
    for flags in ("--list --recursive", "--resize 256 --quality 90 --num-thread 16"):
        line = f"python ~/mxnet/tools/im2rec.py {flags} caltech-256-60-val 256_ObjectCategories/"
        assert typed("tools/im2rec.py", line) == 0
    assert sorted(scan_labels("caltech-256-60-val.rec").labels) == [0, 0, 0, 1, 1, 1]


def test_a_face_checkpoint_is_slimmed(typed, here, monkeypatch, make_face_checkpoint):
    os.makedirs("models/model-r34-amf")
    make_face_checkpoint(num_classes=5).save("models/model-r34-amf/model", 0)
    os.mkdir("deploy")
    monkeypatch.chdir("deploy")
    line = "python model_slim.py --model ../models/model-r34-amf/model,0"
    assert typed("tools/model_slim.py", line + " --image-shape 3,16,16") == 0
    assert load_checkpoint("../models/model-r34-amf/models,0").symbol.list_outputs() == ["fc1_output"]


def test_a_checkpoint_is_fine_tuned_as_in_mxnets_example(typed, here, coloured_records, make_checkpoint, capsys):
    coloured_records(8, 4)
    make_checkpoint().save("net", 0)
    line = ("python fine-tune.py --pretrained-model net --load-epoch 0 --gpus '' --data-train train.rec --data-val "
            "val.rec --batch-size 4 --num-classes 3 --num-examples 15240 --image-shape 3,10,10 --num-epochs 2 "
            "--model-prefix runs/caltech")
    assert typed("recipes/fine-tune.py", line) == 0
    out, err = capsys.readouterr()
    assert "num-examples: train.rec holds 8 images, not 15,240" in err and "on flatten0 in place of fc1" in out
    assert os.path.isfile("runs/caltech/report.html") and os.path.isfile("runs/caltech/model-0002.params")


@pytest.mark.parametrize("script, line, message", [
    (TRAIN, "CUDA_VISIBLE_DEVICES='0,1,2,3' python -u train_softmax.py --network r100 --loss-type 4 --margin-m 0.5 "
            "--prefix ../model-r100 --pretrained '../model-r100, 287'",
     "data-dir: expected a folder with property, train.rec and train.idx, received none; mxft face-pack makes one"),
    (TRAIN, "CUDA_VISIBLE_DEVICES='0,1,2,3' python -u train_softmax.py --network r100 --loss-type 4 --margin-m 0.5 "
            "--data-dir ../datasets/faces_emore  --prefix ../model-r100 --per-batch-size 64  --pretrained "
            "../pre_trained_models/model-r100-ii/model,0",
     "to run on the CPU (for faces CUDA_VISIBLE_DEVICES)"),
    (TRAIN, "python -u train_softmax.py --emb-size=128 --pretrained '../models/model-r50-am-lfw/model,0' --network r50 "
            "--loss-type 0 --margin-m 0.5 --data-dir ../datasets/faces_ms1m_112x112 --prefix "
            "../models/model-r50-am-lfw/", "expected ../models/model-r50-am-lfw/model-symbol.json, received model="),
    ("recipes/fine-tune.py", "python fine-tune.py --pretrained-model imagenet11k-resnet-152 --gpus 0,1,2,3,4,5,6,7 "
     "--data-train caltech256-train.rec --data-val caltech256-val.rec --batch-size 128 --num-classes 256 "
     "--num-examples 15240", "received 'caltech256-train.rec'; mxft split FOLDER PREFIX makes PREFIX-train.rec"),
    ("tools/model_slim.py", "python model_slim.py --model ../models/model-r34-amf/model,0",
     "folder ../models/model-r34-amf does not exist")])
def test_what_is_not_there_is_one_message(script, line, message, typed, here, monkeypatch, capsys):
    os.mkdir("src")
    monkeypatch.chdir("src")
    assert typed(script, line) == 2
    err = capsys.readouterr().err
    assert message in err and err.count("\n") == 1
