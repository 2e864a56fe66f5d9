"""Every checkpoint and symbol of ../shared, and some GluonCV networks, exported to ONNX: a table of differences.

    python tests/reference/export_parity.py [NAME ...]

Symbols without weights and GluonCV's networks get random ones. The difference is between ONNX Runtime and MXNet on two
images of noise, preprocessed as the manifest says, as a part of the largest output; of a softmax its logits count too.
"""
import os
import sys
import tempfile

import numpy as np

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), os.pardir, os.pardir)
SHARED = os.environ.get("MXFT_TESTDATA") or os.path.join(ROOT, os.pardir, "shared")
sys.path.insert(0, ROOT)

CHECKPOINTS = {"mobilenet-v2-1.0": 224, "mobilenet-v1-0.25": 128, "mobilefacenet-y1/model": 112,
               "gender-age/model": 112}
SYMBOLS = ("inception-bn", "mobilenet-v2-convhead", "resnet-18", "resnet-50")
GLUON = {"resnet18_v2": 224, "resnet50_v1b": 224, "mobilenetv2_1.0": 224, "mobilenetv3_small": 224, "densenet121": 224,
         "vgg16": 224, "squeezenet1.1": 224, "inceptionv3": 299, "se_resnet50_v1": 224}


def _of_symbol(name):
    """Return a shared symbol with random weights, scales near 1."""
    from mxft.compat import mx
    from mxft.network.checkpoint import Checkpoint, load_symbol

    symbol, random = load_symbol(os.path.join(SHARED, "symbols", f"{name}-symbol.json")), np.random.RandomState(0)
    args, _, auxs = symbol.infer_shape(data=(1, 3, 224, 224))

    def numbers(key, shape):
        if key.endswith(("gamma", "var")):
            return mx.nd.array(random.uniform(0.5, 1, shape))
        return mx.nd.array(random.normal(0, np.sqrt(2 / np.prod(shape[1:])) if len(shape) > 1 else 0.1, shape))

    return Checkpoint(symbol, {key: numbers(key, shape) for key, shape in zip(symbol.list_arguments(), args)
                               if key not in ("data", "softmax_label")},
                      {key: numbers(key, shape) for key, shape in zip(symbol.list_auxiliary_states(), auxs)})


def network(name):
    """Return (checkpoint, image size) of one of the names above."""
    from mxft.backbones.gluon import checkpoint_from_gluon
    from mxft.network.checkpoint import load_checkpoint

    if name in CHECKPOINTS:
        return load_checkpoint(os.path.join(SHARED, "models", name + ",0")), CHECKPOINTS[name]
    if name in SYMBOLS:
        return _of_symbol(name), 224
    return checkpoint_from_gluon(name, input_size=GLUON[name]), GLUON[name]


def exported(name, folder):
    """Export one of them and return its OnnxExport."""
    from mxft.deploy.onnx import export_onnx, noise
    from mxft.network.input_spec import InputSpec

    checkpoint, size = network(name)
    spec = checkpoint.input_spec or InputSpec((3, size, size))
    return export_onnx(checkpoint, os.path.join(folder, "net.onnx"), spec.shape, noise(spec))


def main(names):
    """Print the table."""
    print("| network | largest relative difference | batches |\n|---|---|---|")
    for name in names or (*CHECKPOINTS, *SYMBOLS, *GLUON):
        with tempfile.TemporaryDirectory() as folder:
            result = exported(name, folder)
        print(f"| {name} | {result.error:.1e} | {'any' if result.any_batch else '1'} |", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
