"""What every call takes as its model: a checkpoint, the path of one, the folder of a run, or a name of the zoo."""
import dataclasses
import logging
import os
from collections.abc import Sequence
from typing import Any, Optional, Union

from mxft.api.telling import telling
from mxft.devices import inference_context
from mxft.errors import InputError, nearest
from mxft.network import checkpoint as files
from mxft.network.checkpoint import Checkpoint
from mxft.network.input_spec import InputSpec
from mxft.network.locating import parse_model
from mxft.options import PRECISIONS

LOG = logging.getLogger("mxft.progress")
_TOLD: set[tuple[str, str]] = set()
Model = Union[str, "os.PathLike[str]", Checkpoint]


def find_model(text: str) -> str:
    """Return `text`, or ``"prefix,epoch"`` in the zoo's cache where it is a name of the zoo's.

    Parameters
    ----------
    text : str
        As typed: ``resnet-50,0``, ``runs/a``, ``resnet-50``, ``gluon:resnet18_v1``. Whatever is on disk comes first.

    Returns
    -------
    str
        For `mxft.network.checkpoint.load_checkpoint`. What was taken from where is logged.

    Raises
    ------
    InputError
        The zoo knows the name but does not have the files yet: nothing is downloaded here. Or it is no name at all.

    Examples
    --------
    >>> find_model("models/resnet-50,0")
    'models/resnet-50,0'
    """
    if is_local(text):
        return text
    from mxft import zoo

    if not zoo.is_name(text) or not zoo.find(text).is_checkpoint:
        return _model_or_refused(text)
    model: Optional[str] = zoo.cached_model(text)
    if model is None:
        raise InputError(f"model is not in the cache: expected one that was fetched, received model={text!r}; mxft zoo "
                         f"get {text} fetches it")
    LOG.info(f"model {text}: {model}, from the zoo's cache")
    return model


def is_local(text: str) -> bool:
    """Whether `text` names something on disk, or could name nothing else: it has a comma or a folder in it."""
    return "," in text or "/" in text or os.sep in text or os.path.exists(text) or os.path.isfile(text + "-symbol.json")


def _model_or_refused(text: str) -> str:
    """Return `text` if it is a model after all; refuse another with the zoo's nearest names added."""
    from mxft import zoo

    try:
        parse_model(text)
    except InputError as error:
        near = nearest(text.lower(), [name for row in zoo.rows() if row.is_checkpoint
                                           for name in (row.name, *row.aliases)])
        raise InputError(f"{error}; in the zoo {near}" if near.startswith("nearest") else str(error)) from None
    return text


def open_model(model: Model, image_shape: Optional[Sequence[int]] = None) -> Checkpoint:
    """Return the Checkpoint a call was given, by value, by path or by name.

    Parameters
    ----------
    model : str, os.PathLike or Checkpoint
    image_shape : (C, H, W), optional
        Of its input, where that is to be another: what a layer gives may depend on it.

    Returns
    -------
    Checkpoint

    Raises
    ------
    InputError
        See `find_model` and `mxft.network.checkpoint.load_checkpoint`.
    """
    checkpoint = model if isinstance(model, Checkpoint) else load_checkpoint(model)
    return with_image_shape(checkpoint, image_shape) if image_shape else checkpoint


def load_checkpoint(model: Union[str, "os.PathLike[str]"]) -> Checkpoint:
    """Load a checkpoint with its manifest, if it has one, opened as MXNet meant it.

    Parameters
    ----------
    model : str or os.PathLike
        ``"prefix,epoch"``, the folder of a run, an archive of a checkpoint, or a name of the zoo that was fetched.

    Returns
    -------
    Checkpoint
        Symbol, parameters and manifest; a notebook shows what network it is.

    Raises
    ------
    InputError
        A part is missing or cannot be read.

    Examples
    --------
    >>> load_checkpoint("resnet-50,0").anatomy.output().kind           # doctest: +SKIP
    'probabilities'
    """
    loaded: Checkpoint = files.load_checkpoint(find_model(os.fspath(model)))
    return loaded


def with_image_shape(checkpoint: Checkpoint, image_shape: Sequence[int]) -> Checkpoint:
    """Return a checkpoint whose manifest states this ``(C, H, W)``."""
    spec = checkpoint.input_spec
    entry = {"input": dataclasses.replace(spec, shape=tuple(image_shape)).to_dict()} if spec else {
        "shape": list(image_shape)}
    return dataclasses.replace(checkpoint, manifest={**checkpoint.manifest, **entry})


def at_precision(checkpoint: Checkpoint, precision: Optional[str]) -> Checkpoint:
    """Return a checkpoint to be computed in these numbers on a CPU; as it is when None.

    Parameters
    ----------
    checkpoint : Checkpoint
    precision : {"fp32", "bf16", "int8", "auto"} or None

    Raises
    ------
    InputError
        Another name.
    """
    if precision is None:
        return checkpoint
    if precision not in PRECISIONS:
        raise InputError(f"`precision`: expected one of {', '.join(PRECISIONS)}, received `precision={precision!r}`")
    return dataclasses.replace(checkpoint, precision=precision)


def on_device(checkpoint: Checkpoint, gpus: str = "", engine: str = "auto", device: Optional[str] = None,
              precision: Optional[str] = None) -> tuple[Checkpoint, Any]:
    """Return a checkpoint and what it is computed on: see `at_precision` and `mxft.devices.inference_context`.

    On PyTorch's devices the device says the numbers; the checkpoint's are then float32.
    """
    context = inference_context(gpus, engine, device, precision)
    return at_precision(checkpoint, "fp32" if context.device_type == "torch" else precision), context


def input_of(checkpoint: Checkpoint, image_shape: Optional[Sequence[int]] = None,
             rgb_mean: Optional[Sequence[float]] = None, rgb_std: Optional[Sequence[float]] = None,
             default: Optional[InputSpec] = None) -> InputSpec:
    """Return how a network reads images: what is given, else its manifest's, else what the graph tells.

    Parameters
    ----------
    checkpoint : Checkpoint
    image_shape : (C, H, W), optional
    rgb_mean, rgb_std : three numbers, optional
        Subtracted from pixels of 0 to 255, and divided by afterwards.
    default : InputSpec, optional
        Where none of these tell a size.

    Returns
    -------
    InputSpec

    Raises
    ------
    InputError
        No size is known.
    """
    given = {"shape": tuple(image_shape) if image_shape else None, "mean": tuple(rgb_mean) if rgb_mean else None,
             "scale": tuple(1 / value for value in rgb_std) if rgb_std else None}
    known = {name: value for name, value in given.items() if value is not None}
    base = checkpoint.input_spec or checkpoint.assumed_spec(default)
    if base is None and "shape" not in known:
        raise InputError(f"input is not known: expected a manifest beside the checkpoint, received {checkpoint.name} "
                         "without one; say `image_shape=(3, 224, 224)` (and `rgb_mean`, `rgb_std` where it does not "
                         "take raw 0-255 pixels)")
    spec: InputSpec = dataclasses.replace(base or InputSpec(), **known)
    assumed = (checkpoint.name, spec.describe())
    if checkpoint.input_spec is None and assumed not in _TOLD:  # once: a loop over pictures would say it every time
        _TOLD.add(assumed)
        LOG.info(f"no manifest beside {checkpoint.name}: reading images as {spec.describe()}")
    return spec


def fetch(name: str) -> str:
    """Fetch a model or a data set of the zoo, once: every file is verified and kept; as ``mxft zoo get`` does.

    Parameters
    ----------
    name : str
        One that `list_models` gives, or ``caltech256``, the photographs of MXNet's tutorial.

    Returns
    -------
    str
        Of a model ``"prefix,epoch"``, of a data set the path of its file, of a detector that of its folder: what the
        other calls take.

    Raises
    ------
    FetchError
        No address answered; all are listed, and how to give files by hand.
    InputError
        The name is unknown, or a file is not the one it should be.

    Examples
    --------
    >>> fetch("resnet-50")                                              # doctest: +SKIP
    '/home/me/.mxnet/mxft/models/imagenet1k-resnet-50/resnet-50,0'
    """
    from mxft import zoo

    with telling():
        found: str = zoo.get_model(name) if zoo.find(name).is_checkpoint else zoo.get_dataset(name)
    return found


def list_models(pattern: str = "", *, cached: bool = False) -> list[str]:
    """Return the names of the zoo: what can be fetched by ``mxft zoo get NAME`` and then be given as a model.

    Parameters
    ----------
    pattern : str
        Part of a name, or a shell pattern such as ``*resnet50*``.
    cached : bool
        Only what has been fetched.

    Returns
    -------
    list of str

    Examples
    --------
    >>> list_models("*resnet50_v1b")
    ['gluon:resnet50_v1b']
    """
    from mxft import zoo
    from mxft.zoo.listing import matching

    rows = matching(zoo.rows(), pattern, zoo.cache_folder() if cached else None)
    return [row.name for row in rows if row.is_checkpoint]
