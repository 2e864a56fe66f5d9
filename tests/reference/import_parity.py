"""Networks of other frameworks, with random weights, against what is imported from their files: a table.

    python tests/reference/import_parity.py [--from torchvision] [--arch resnet50]
    python tests/reference/import_parity.py --write-names tests/reference/import_names.json.gz

Needs torch, torchvision, timm, efficientnet_pytorch, keras and h5py, each for its own rows. BatchNorm's statistics and
scales are random too; weights are drawn so that maps keep their size. The error is the largest difference of two
scores of two random images, divided by the largest score. --write-names records what each framework calls its arrays,
and their shapes, which tests/unit/importing/test_importing.py holds the tables to without those frameworks.
"""
import argparse
import gzip
import importlib
import json
import os
import sys
import tempfile

import numpy as np

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), os.pardir, os.pardir))

os.environ.setdefault("KERAS_BACKEND", "torch")
CLASSES = 7


def _torch_network(source, arch):
    """Return a PyTorch network in eval mode, of random numbers in every place."""
    import torch

    torch.manual_seed(0)
    if source == "torchvision":
        import torchvision
        network = getattr(torchvision.models, arch)(weights=None, num_classes=CLASSES)
    elif source == "timm":
        import timm
        network = timm.create_model(arch, num_classes=CLASSES)
    else:
        from efficientnet_pytorch import EfficientNet
        network = EfficientNet.from_name(arch, num_classes=CLASSES)
    for name, value in network.state_dict().items():
        if name.endswith("running_var"):
            value.uniform_(0.5, 1.5)
        elif name.endswith("running_mean"):
            value.normal_(0, 0.1)
        elif value.is_floating_point() and value.ndim == 1:
            value.add_(0.1 * torch.randn_like(value))
    return network.eval()


def torch_pair(source, arch, size, folder, ending):
    """Return (weight file, function from normalised images to scores)."""
    import torch

    network = _torch_network(source, arch)
    path = os.path.join(folder, arch + ending)
    if ending == ".safetensors":
        from safetensors.torch import save_file
        save_file({name: value.contiguous() for name, value in network.state_dict().items()}, path)
    else:
        torch.save(network.state_dict(), path)

    def run(images):
        with torch.no_grad():
            return network(torch.from_numpy(images)).numpy()
    return path, run


def keras_pair(arch, size, folder):
    """The same of Keras; its networks get what they would after their own preprocessing."""
    import keras

    keras.utils.set_random_seed(0)
    named = {"vgg16": "VGG16", "mobilenetv2": "MobileNetV2", "resnet50": "ResNet50", "resnet101": "ResNet101",
             "resnet152": "ResNet152"}.get(arch, arch.replace("efficientnetb", "EfficientNetB"))
    network = getattr(keras.applications, named)(weights=None, classes=CLASSES, classifier_activation=None)
    random = np.random.RandomState(0)
    for layer in network.layers:
        if "normalization" in layer.name and "batch" not in layer.name:
            continue
        values = layer.get_weights()
        if len(values) == 4:  # BatchNorm: gamma, beta, moving mean, moving variance
            values = [*(value + 0.1 * random.randn(*value.shape) for value in values[:3]),
                      random.uniform(0.5, 1.5, values[3].shape)]
        elif len(values) == 2:
            values = [values[0], values[1] + 0.1 * random.randn(*values[1].shape)]
        layer.set_weights(values)
    path = os.path.join(folder, arch + ".h5")
    network.save(path)

    def run(images):
        images = images.transpose(0, 2, 3, 1)
        if arch.startswith("efficientnet"):
            images = images * 255  # its own first layer divides; its Normalization is the identity without weights
        elif arch != "mobilenetv2":
            images = images[..., ::-1]
        return np.asarray(network.predict(images, verbose=0))
    return path, run


def parity(source, arch, folder, ending=".pth"):
    """Return the largest difference of scores, as a part of the largest score."""
    from mxft.importing import import_weights
    from mxft.inference.executor import InferenceExecutor

    table = importlib.import_module("mxft.importing." + source.replace("-", "_")).ARCHITECTURES
    size = table[arch].size
    path, run = keras_pair(arch, size, folder) if source == "keras" else torch_pair(source, arch, size, folder, ending)
    checkpoint = import_weights(source, path, arch)
    images = np.random.RandomState(1).randn(2, 3, size, size).astype(np.float32)
    expected = run(np.ascontiguousarray(images))
    executor = InferenceExecutor(checkpoint.symbol, checkpoint.arg_params, checkpoint.aux_params, images.shape[1:], 2)
    received = executor.forward(images)
    os.unlink(path)
    return float(abs(received - expected).max() / abs(expected).max())


def write_names(path, rows):
    """Write {"source arch": [[name, shape], …]} of what the frameworks save."""
    from mxft.importing.weight_files import read_weights

    found = {}
    for source, arch, size, ending in rows:
        with tempfile.TemporaryDirectory() as folder:
            pair = keras_pair(arch, size, folder) if source == "keras" else torch_pair(source, arch, size, folder,
                                                                                       ending)
            found[f"{source} {arch}"] = [[name, list(array.shape)] for name, array in read_weights(pair[0]).items()]
    with gzip.GzipFile(path, "wb", mtime=0) as f:
        f.write(json.dumps(found, separators=(",", ":")).encode())


def main():
    """Print the table."""
    from mxft.importing import SOURCES

    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--from", dest="source", default="", help="one source only")
    p.add_argument("--arch", default="", help="one architecture only")
    p.add_argument("--write-names", metavar="FILE", help="record names and shapes instead")
    args = p.parse_args()
    rows = []
    for source in SOURCES[:4]:  # those of classifiers; faces: tests/reference/face_import_parity.py
        table = importlib.import_module("mxft.importing." + source.replace("-", "_")).ARCHITECTURES
        ending = {"keras": ".h5", "timm": ".safetensors"}.get(source, ".pth")
        rows += [(source, arch, table[arch].size, ending) for arch in table
                 if args.source in ("", source) and args.arch in ("", arch)]
    if args.write_names:
        write_names(args.write_names, rows)
        return
    print("| source | architecture | file | largest relative error |\n|---|---|---|---|", flush=True)
    for source, arch, _, ending in rows:
        with tempfile.TemporaryDirectory() as folder:
            print(f"| {source} | {arch} | {ending} | {parity(source, arch, folder, ending):.1e} |", flush=True)


if __name__ == "__main__":
    main()
