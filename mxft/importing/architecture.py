"""A network that other frameworks publish weights for: how it is built here, and what its parameters are called there.

Each source's module has a table of these.
"""
import dataclasses
from typing import Callable

import numpy as np

from mxft.backbones.gluon import MEAN, SCALE, build, checkpoint_from_gluon
from mxft.errors import InputError, last_line


@dataclasses.dataclass(frozen=True)
class Architecture:
    """One network of one source.

    Parameters
    ----------
    build : callable
        ``build(classes)`` gives the Gluon network.
    rename : callable
        From {their name: array} to {structural name in the network: array}, with whatever must be transposed or
        folded.
    classifier : str
        Their name of the last layer's bias, whose length is the number of classes.
    size, resize : int
        Pixels: the crop, and the short side it is cut from.
    mean, scale : tuple of float
        Of the input, as in `mxft.network.input_spec.InputSpec`.
    """

    build: Callable
    rename: Callable
    classifier: str
    size: int = 224
    resize: int = 256
    mean: tuple = MEAN
    scale: tuple = SCALE

    def checkpoint(self, entries, what, classes=None):
        """Return the Checkpoint of these weights: see `import_into`."""
        return import_into(self, entries, what, classes)


def gluon(name, store):
    """Return what builds a network of a Gluon store with so many classes."""
    return lambda classes: build(name, classes=classes, store=store)


def with_gluon_names(entries):
    """Return PyTorch's entries with BatchNorm's ``weight`` and ``bias`` called gamma and beta."""
    called = {"weight": "gamma", "bias": "beta"}
    renamed = {}
    for name, array in entries.items():
        layer, _, kind = name.rpartition(".")
        if f"{layer}.running_mean" in entries:
            kind = called.get(kind, kind)
        renamed[f"{layer}.{kind}" if layer else kind] = array
    return renamed


def with_layers_called(entries, layers):
    """Return entries whose layer (the name up to its last dot) is called ``layers(layer)``; the same where None."""
    renamed = {}
    for name, array in entries.items():
        layer, _, kind = name.rpartition(".")
        renamed[f"{layers(layer) or layer}.{kind}"] = array
    return renamed


def import_into(architecture, entries, what, classes=None):
    """Return the Checkpoint of an architecture with these weights.

    Parameters
    ----------
    architecture : Architecture
    entries : dict of str to numpy.ndarray
        As `mxft.importing.weight_files.read_weights` gives them.
    what : str
        For messages and the manifest: ``timm resnet50, resnet50.safetensors``.
    classes : list of str, optional
        Names of the outputs.

    Returns
    -------
    mxft.network.checkpoint.Checkpoint
        Scores without a softmax.

    Raises
    ------
    InputError
        Parameters are missing, left over or of another shape, or the class names are not as many as the outputs.
    """
    outputs = entries.get(architecture.classifier)
    if outputs is None:
        raise InputError(f"{what}: expected the classifier's {architecture.classifier}, received {len(entries)} arrays "
                         f"without it ({', '.join(list(entries)[:3])}, …); is `arch` right?")
    if outputs.ndim != 1 or not len(outputs):
        raise InputError(f"{what}: expected one number for each class in {architecture.classifier}, received shape "
                         f"{outputs.shape}; is `arch` right?")
    if classes is not None and len(classes) != len(outputs):
        raise InputError(f"{what}: expected the names of {len(outputs)} classes, received {len(classes)}")
    renamed = _renamed(architecture, entries, what)
    network = architecture.build(len(outputs))
    _fill(network, renamed, what)
    return checkpoint_from_gluon(network, classes=classes, input_size=architecture.size, resize=architecture.resize,
                                 mean=architecture.mean, scale=architecture.scale, source=what)


def _renamed(architecture, entries, what):
    """Return the entries under the network's names; refuse those it cannot be done with, as in another network's."""
    try:
        return architecture.rename(entries)
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
        missing = f"{error} missing" if isinstance(error, KeyError) else last_line(error)
        raise InputError(f"{what}: expected the arrays of that network, received {len(entries)} that cannot be brought "
                         f"into its names and axes ({missing}); is `arch` right?") from None


def _fill(network, entries, what):
    """Give every parameter of a Gluon network its array; refuse what is missing, left over or does not fit."""
    from mxft.compat import mx

    parameters = network._collect_params_with_prefix()  # what save_parameters writes under
    require_same_arrays({name: parameter.shape for name, parameter in parameters.items()}, entries, what)
    for name, parameter in parameters.items():
        parameter.shape = entries[name].shape
        parameter.initialize(ctx=mx.cpu())
        parameter.set_data(mx.nd.array(np.ascontiguousarray(entries[name]), dtype="float32"))


def require_same_arrays(shapes, entries, what, advice="is `arch` right?"):
    """Refuse (InputError) entries of which one is missing, left over or of another shape.

    Parameters
    ----------
    shapes : dict of str to tuple of int
        What is wanted; 0 for an axis that is not known.
    entries : dict of str to numpy.ndarray
        What a file has; BatchNorm's ``num_batches_tracked`` may be among them.
    what, advice : str
        Beginning and end of the message.
    """
    entries = {name: array for name, array in entries.items() if not name.endswith("num_batches_tracked")}
    missing = [name for name in shapes if name not in entries]
    surplus = [name for name in entries if name not in shapes]
    unlike = [f"{name} {_shape_text(shape)}, received {entries[name].shape}" for name, shape in shapes.items()
              if name in entries and not _fits(shape, entries[name].shape)]
    if missing or surplus or unlike:
        wrong = {"missing": missing, "left over": surplus, "of another shape": unlike}
        parts = [f"{len(names)} {word} ({'; '.join(names[:3])}{', …' if len(names) > 3 else ''})"
                 for word, names in wrong.items() if names]
        raise InputError(f"{what}: expected the {len(shapes)} arrays of that network, received {len(entries)}: "
                         f"{', '.join(parts)}; {advice}")


def _shape_text(shape):
    """Return a shape as text; an axis Gluon does not know yet is a ?."""
    return f"({', '.join(str(size or '?') for size in shape)})"


def _fits(wanted, received):
    """Whether shapes agree; 0 is Gluon's word for an axis it does not know yet."""
    return len(wanted) == len(received) and all(a in (0, b) for a, b in zip(wanted, received))
