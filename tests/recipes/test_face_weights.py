"""recipes/face_weights.md: the way from a weight file to a network that train_softmax.py has trained."""
import os

import numpy as np
import pytest

from mxft.cli import run_verb
from mxft.command import run_command
from mxft.network.checkpoint import load_checkpoint
from mxft.training.run import read_log
from tests.support import numpy_faces
from tests.support.images import banded

PIXELS = np.random.RandomState(3).randint(0, 256, (1, 3, 112, 112)).astype(np.float32)


@pytest.fixture
def train(load_recipe, make_records, tmp_path, capsys):
    """A function (*flags) -> (exit status, stdout) of three steps on 4 people of 6 images."""
    folder = tmp_path / "faces"
    folder.mkdir()
    records = make_records("faces.rec", np.repeat(np.arange(4), 6),
                           lambda number, label: banded(number, label, (112, 112), 28, 28))
    os.rename(records, folder / "train.rec")
    main = load_recipe("train_softmax").main

    def command(*flags):
        status = run_command("train_softmax", main, [
            "--data-dir", str(folder / "train.rec"), "--prefix", f"{tmp_path}/run/model", "--per-batch-size", "4",
            "--max-steps", "3", "--lr", "0.001", "--frequent", "1", "--target", "", *flags])
        return status, capsys.readouterr().out
    return command


def test_an_onnx_face_network_is_imported_and_fine_tuned(here, train, capsys):
    """Its graph takes 127.5 less and by 127.5; what is trained takes raw pixels and begins with the same embedding."""
    pytest.importorskip("onnxruntime")
    pytest.importorskip("onnx")
    from tests.support.onnx_faces import formula, save

    save(here / "net.onnx", flat=(1, -1))
    assert run_verb("import", ["--from", "onnx", "--weights", "net.onnx", "--prefix", "net"]) == 0
    told = capsys.readouterr().out
    assert "; BatchNormalization_y0 is the embedding of a face: train_softmax.py takes it with --network pretrained " \
        "--pretrained net,0\n" in told
    assert "input: 112x112 RGB, (pixel - [127.5, 127.5, 127.5]) x [0.00784314, 0.00784314, 0.00784314]\n" in told
    status, said = train("--network", "pretrained", "--pretrained", "net,0", "--lr", "0")
    assert status == 0 and "epoch 1 step 3: " in said
    saved = load_checkpoint(str(here / "run/model,last"))
    assert saved.input_spec.is_raw and len(read_log(here / "run/model-log.jsonl")) > 3
    from mxft.faces.evaluation.embedding import embedding_executor
    saved.aux_params = load_checkpoint("net,0").aux_params  # the moving statistics have moved
    np.testing.assert_allclose(embedding_executor(saved, 1).forward(PIXELS), formula((PIXELS - 127.5) / 127.5),
                               rtol=1e-4, atol=1e-4)


def test_folded_batch_norms_are_told_with_the_rate_that_spares_the_weights(here, capsys):
    """y1 with its BatchNorms folded lost what it knew within 24 steps at 0.01: recipes/face_weights.md."""
    pytest.importorskip("onnxruntime")
    pytest.importorskip("onnx")
    from tests.support.onnx_faces import save

    save(here / "net.onnx", bias=True)
    assert run_verb("import", ["--from", "onnx", "--weights", "net.onnx", "--prefix", "net"]) == 0
    assert ("--network pretrained --pretrained net,0 --lr 0.001, or lower: BatchNorms are folded into 1 of its 1 "
            "convolutions, and do not steady training any more\n") in capsys.readouterr().out


@pytest.mark.long
@pytest.mark.parametrize("arch, flags", [
    ("r18", ["--network", "r18", "--version-output", "I", "--emb-size", "64"]),
    ("r18", ["--network", "r18", "--emb-size", "64"]), ("r18", ["--network", "pretrained"]),
    ("mbf", ["--network", "pretrained"])])
def test_a_state_dict_is_imported_and_fine_tuned(here, train, capsys, arch, flags):
    from safetensors.numpy import save_file

    net = numpy_faces.Plain()
    if arch == "mbf":
        numpy_faces.mbf(net, PIXELS, 64)
    else:
        numpy_faces.iresnet(net, PIXELS, numpy_faces.UNITS[arch], 64)
    save_file(net.state, "backbone.safetensors")
    assert run_verb("import", ["--from", "arcface-torch", "--arch", arch, "--weights", "backbone.safetensors",
                               "--prefix", "net"]) == 0
    wanted = "--network r18 --version-output I --emb-size 64" if arch == "r18" else "--network pretrained"
    assert f"fc1 is the embedding of a face: train_softmax.py takes it with {wanted} --pretrained net,0\n" in (
        capsys.readouterr().out)
    status, said = train(*flags, "--pretrained", "net,0")
    assert status == 0 and " loaded, 1 new, 0 dropped, 0 mismatched" in said and "epoch 1 step 3: " in said
    assert run_verb("slim", ["--model", "run/model,last", "--output", "slim"]) == 0
