"""Good files of every format mxft reads, tiny: what the damaged ones are made from."""
import contextlib
import io
import json
import os
import shutil
import tarfile

import cv2
import numpy as np

from mxft.cli import main
from mxft.compat import mx
from mxft.network.checkpoint import Checkpoint
from mxft.network.input_spec import InputSpec
from tests.torture import generated_weights

SIDE, CLASSES, IMAGES = 16, 3, 5
CACHED = ("finetune", "--model", "tiny,0", "--train", "t.rec", "--run", "out", "--epochs", "1", "--batch-size", "4",
          "--data-nthreads", "1", "--plan", "head", "--cache", "disk")


def make_specimens(folder):
    """Write into `folder` (str, new): photos, records, checkpoints, faces, pairs, a run, a tar, others' weights."""
    os.makedirs(folder)
    with contextlib.chdir(folder) if hasattr(contextlib, "chdir") else _chdir(folder), \
            contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        _photos()
        _checkpoints()
        _run("im2rec", "--list", "--recursive", "t", "photos")
        _run("im2rec", "--num-thread", "1", "t", "photos")
        _run("face-pack", "people", "faces", "--num-thread", "1", "--size", f"{SIDE},{SIDE}")
        with open("pairs.txt", "w") as f:
            f.writelines(f"{person} 1 2\n{person} 2 {other} {number}\n" for number in (3, 4)  # 10 folds, 1 of each
                         for person, other in ("ab", "bc", "ca", "ac", "cb"))
        _run("pairs-pack", "pairs.txt", "pairs-people", "lfw.bin")
        _run("finetune", "--model", "tiny,0", "--train", "t.rec", "--val", "t.rec", "--run", "run", "--epochs", "1",
             "--plan", "full", "--batch-size", "5", "--data-nthreads", "1")
        _run(*CACHED)
        shutil.rmtree("out")
        for name in ("tiny-manifest.json", "run/model-manifest.json", "run/state/state.json"):
            _without_hashes(name)
        with tarfile.open("photos.tar", "w") as archive:
            archive.add("photos")
        for name, make in (("net.onnx", generated_weights.small_onnx), ("net.h5", generated_weights.good_keras),
                           ("net.safetensors", generated_weights.good_safetensors)):
            with open(name, "wb") as f:
                f.write(make())


@contextlib.contextmanager
def _chdir(folder):
    before = os.getcwd()
    os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(before)


def _without_hashes(path):
    """Take a file its hashes, which would refuse any damage before it comes to what is tested here."""
    with open(path, encoding="utf-8") as f:
        facts = json.load(f)
    with open(path, "w", encoding="utf-8") as f:
        json.dump({name: value for name, value in facts.items() if name not in ("hashes", "checksum")}, f, indent=2)


def _run(*words):
    status = main(list(words))
    if status:
        raise RuntimeError(f"specimen: mxft {' '.join(words)} ended with {status}")


def _photos():
    rng = np.random.RandomState(0)
    for label in range(CLASSES):
        name = "abc"[label]
        for folder in (f"photos/{name}", f"people/{name}", f"pairs-people/{name}"):
            os.makedirs(folder)
        for number in range(IMAGES):
            pixels = cv2.resize(rng.randint(0, 255, (4, 4, 3)).astype(np.uint8), (SIDE + 4, SIDE + 8)) // (label + 1)
            cv2.imwrite(f"photos/{name}/{number}.{'png' if number == 3 else 'jpg'}", pixels)
            cv2.imwrite(f"people/{name}/{number}.jpg", pixels[:SIDE, :SIDE])
            cv2.imwrite(f"pairs-people/{name}/{name}_{number + 1:04d}.jpg", pixels[:SIDE, :SIDE])


def _checkpoints():
    def weights(name, shape):
        spread = np.sqrt(2 / np.prod(shape[1:])) if len(shape) > 1 else 0.1
        return mx.nd.array(rng.uniform(.5, 1, shape) if name.endswith(("gamma", "var")) else rng.normal(0, spread,
                                                                                                        shape))

    rng, sym = np.random.RandomState(1), mx.sym
    backbone = sym.Activation(sym.BatchNorm(sym.Convolution(sym.Variable("data"), kernel=(3, 3), num_filter=4,
                                                            name="conv0"),
                                            name="bn0", fix_gamma=False), act_type="relu", name="relu0")
    flat = sym.Flatten(sym.Pooling(backbone, global_pool=True, kernel=(1, 1), pool_type="avg", name="pool0"),
                       name="flatten0")
    networks = {"tiny": sym.SoftmaxOutput(sym.FullyConnected(flat, num_hidden=CLASSES, name="fc7"), name="softmax"),
                "face": sym.BatchNorm(sym.FullyConnected(flat, num_hidden=4, name="pre_fc1"), name="fc1",
                                      fix_gamma=True)}
    for name, network in networks.items():
        args, _, auxs = network.infer_shape(data=(1, 3, SIDE, SIDE))
        parameters = [{word: weights(word, shape) for word, shape in zip(words, shapes)
                       if word not in ("data", "softmax_label")}
                      for words, shapes in ((network.list_arguments(), args), (network.list_auxiliary_states(), auxs))]
        if name == "face":
            parameters[0]["fc1_gamma"][:] = 1
        manifest = {"format": 1, "input": InputSpec((3, SIDE, SIDE)).to_dict(), "classes": ["a", "b", "c"],
                    "packing": {"resize": SIDE + 2, "quality": 90}, "head": {"layer": "fc7", "feature": "flatten0",
                                                                             "num_classes": 3, "loss": "softmax"},
                    "metrics": {"0": {"val_top1": 0.5}}, "parent": {"model": "x,0", "sha256": "0" * 64}, "data": {}}
        Checkpoint(network, *parameters, manifest if name == "tiny" else {}).save(name, 0)
