"""Weights of PyTorch, timm, insightface, Keras and ONNX as ordinary MXNet checkpoints, and those that came from one."""
import importlib
import os
from collections.abc import Mapping

from mxft.errors import InputError, nearest
from mxft.plugins import IMPORTERS, installed, load

SOURCES = ("torchvision", "timm", "efficientnet-pytorch", "keras", "arcface-torch", "onnx", "torch-mxft")
WITHOUT_TABLE = ("onnx", "torch-mxft")  # their networks are in the file, or in the checkpoint they came from


def sources():
    """Return the names of the sources: mxft's own, and those of installed packages (see `mxft.plugins`)."""
    return (*SOURCES, *(name for name in installed(IMPORTERS) if name not in SOURCES))


def architectures(source):
    """Return the table {name: Architecture} of a source; those of `WITHOUT_TABLE` have none.

    Raises
    ------
    InputError
        There is no such source, or what a package offers as one is no table.
    DependencyError
        A package's table cannot be imported.
    """
    names = sources()
    if source not in names or source in WITHOUT_TABLE:
        raise InputError(f"import: expected one of {', '.join(names)}, received source={source!r}; "
                         f"{nearest(source, names)}")
    if source not in SOURCES:
        table = load(IMPORTERS, source)
        if not isinstance(table, Mapping):
            raise InputError(f"{IMPORTERS} {source}: expected a dict of name to "
                             f"mxft.importing.architecture.Architecture, received a {type(table).__name__}")
        return table
    return importlib.import_module("mxft.importing." + source.replace("-", "_")).ARCHITECTURES


def import_weights(source, weights, arch=None, classes=None, input_size=None):
    """Return another framework's weights as a Checkpoint.

    Parameters
    ----------
    source : {"torchvision", "timm", "efficientnet-pytorch", "keras", "arcface-torch", "onnx", "torch-mxft"}
        Whose names the file has; or a source of an installed package.
    weights : str or os.PathLike
        See `mxft.importing.weight_files.read_weights` and `mxft.importing.onnx.import_onnx`.
    arch : str
        As the source calls the network; of timm's ``resnet50.tv_in1k`` what is behind the dot does not matter. None
        for ONNX, which holds the network; ``"prefix,epoch"`` for ``torch-mxft``: the checkpoint whose module was
        trained in PyTorch.
    classes : list of str, optional
        Names of the outputs.
    input_size : int, optional
        Pixels, where an ONNX network leaves them open.

    Returns
    -------
    mxft.network.checkpoint.Checkpoint
        Scores without a softmax; ResNets in GluonCV's v1b layout (of Keras in Gluon's v1). Of ``arcface-torch`` an
        embedding, under the names of insightface's MXNet networks.

    Raises
    ------
    InputError
        Unknown source or network, or weights that are not its.

    Notes
    -----
    The manifest has the input convention the network is usually published with; weights trained with another one need
    ``--image-shape``, ``--rgb-mean`` and their like. Dropout is not there: attach it with the new head.

    Examples
    --------
    >>> import_weights("timm", "model.safetensors", "resnet50.tv_in1k").save("resnet-50", 0)    # doctest: +SKIP
    'resnet-50,0'
    """
    if source == "onnx":
        from mxft.importing.onnx import import_onnx
        return import_onnx(weights, classes, input_size)
    if source == "torch-mxft":
        return _trained_in_torch(weights, arch, classes)
    from mxft.importing.arcface_torch import NOT_IMPORTED
    from mxft.importing.weight_files import read_weights

    table = architectures(source)
    name = arch.split(".")[0] if source == "timm" else arch
    if name not in table:
        why = NOT_IMPORTED.get(name) if source == "arcface-torch" else None
        raise InputError(f"import from {source}: expected one of {', '.join(table)}, received arch={arch!r}"
                         f"{f', {why}' if why else f'; {nearest(name, table)}'}")
    return table[name].checkpoint(read_weights(weights), f"{source} {arch}, {os.path.basename(weights)}", classes)


def _trained_in_torch(weights, model, classes):
    """Return the checkpoint `model` with the arrays of a file in place of its own."""
    import dataclasses

    from mxft.importing.weight_files import read_weights
    from mxft.network.checkpoint import load_checkpoint
    from mxft.torch import from_torch

    checkpoint = from_torch(read_weights(weights), load_checkpoint(model))
    found = {"source": f"torch-mxft {model}, {os.path.basename(weights)}", **({"classes": classes} if classes else {})}
    return dataclasses.replace(checkpoint, manifest={**checkpoint.manifest, **found})
