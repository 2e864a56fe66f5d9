"""Embeddings of imported face networks against PyTorch's, as a table: the one of recipes/face_weights.md.

    python tests/reference/face_import_parity.py
    python tests/reference/face_import_parity.py --arch r50 mbf

Needs torch, onnx, onnxruntime and onnxscript. The networks are those of tests/support/torch_faces.py: random weights,
and BatchNorm statistics near those of noise, each wrong by up to half. The error is the largest difference of a number
of the embedding of two random images, as a part of the largest number; beside it that of PyTorch's own float32 against
float64, which is what rounding alone makes.
"""
import argparse
import os
import pathlib
import sys
import tempfile
import warnings

import numpy as np
import torch

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2]))

from mxft.faces.evaluation.embedding import embedding_executor  # noqa: E402
from mxft.importing import import_weights  # noqa: E402
from tests.support import torch_faces  # noqa: E402

ARCHITECTURES = (*torch_faces.UNITS, "mbf", "mbf_large")
PIXELS = np.random.RandomState(0).randint(0, 256, (2, 3, 112, 112)).astype(np.float32)


def apart(received, wanted):
    """Return the largest difference as a part of the largest number."""
    return np.abs(received - wanted).max() / np.abs(wanted).max()


def errors(arch, folder):
    """Yield the error of each way of importing one network, that of PyTorch's float32 first."""
    net = torch_faces.network(arch)
    wanted = torch_faces.embed(net, PIXELS)
    paths = [("arcface-torch", os.path.join(folder, "backbone.pth"))]
    torch.save(net.state_dict(), paths[0][1])
    for exporter in ("legacy", "dynamo"):
        for free in (False, True):
            paths.append(("onnx", os.path.join(folder, f"{exporter}-{free}.onnx")))
            torch_faces.export(net, paths[-1][1], exporter, free)
    exact = net.double()(torch.from_numpy(PIXELS).double().div(255).sub(0.5).div(0.5)).detach().numpy()
    yield apart(wanted, exact)
    for source, path in paths:
        checkpoint = import_weights(source, path, arch if source != "onnx" else None)
        yield apart(embedding_executor(checkpoint, 2).forward(PIXELS), wanted)


def main():
    """Print the table."""
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--arch", nargs="+", default=ARCHITECTURES, choices=ARCHITECTURES)
    args = p.parse_args()
    warnings.filterwarnings("ignore")
    print("| network | float32 of PyTorch | state dict | ONNX, old exporter, batch of one | open batch | new exporter, "
          "batch of one | open batch |\n|---|---|---|---|---|---|---|", flush=True)
    for arch in args.arch:
        with tempfile.TemporaryDirectory() as folder:
            print(f"| {arch} | {' | '.join(f'{error:.1e}' for error in errors(arch, folder))} |", flush=True)


if __name__ == "__main__":
    main()
