"""What ``--model`` takes: a checkpoint's ``prefix,epoch``, the folder of a run, or a name of the zoo that is cached."""
import dataclasses
import os
import sys

from mxft.errors import InputError, nearest


def find_model(text):
    """Return `text`, or ``"prefix,epoch"`` in the zoo's cache where it is a name of the zoo's.

    Parameters
    ----------
    text : str
        As typed: ``resnet-50,0``, ``runs/a``, ``resnet-50``, ``gluon:resnet18_v1``. Whatever is on disk comes first.

    Returns
    -------
    str
        For `mxft.network.checkpoint.load_checkpoint`. What was taken from where is told on stderr.

    Raises
    ------
    InputError
        The zoo knows the name but does not have the files yet: no verb downloads by itself. Or it is no name at all.

    Examples
    --------
    >>> find_model("models/resnet-50,0")
    'models/resnet-50,0'
    """
    if is_local(text):
        return text
    from mxft import zoo

    if not zoo.is_name(text) or isinstance(zoo.find(text), zoo.Dataset):
        return _in_its_own_words(text)
    model = zoo.cached_model(text)
    if model is None:
        raise InputError(f"model is not in the cache: expected one that was fetched, received model={text!r}; mxft zoo "
                         f"get {text} fetches it")
    print(f"model {text}: {model}, from the zoo's cache", file=sys.stderr)
    return model


def open_model(args, model=None):
    """Return the Checkpoint of ``--model``, or `model`, with ``--mean-image`` written into its graph where given.

    Parameters
    ----------
    args : argparse.Namespace
        With ``model`` and the flags of `mxft.commandline.arguments.add_input_options`.
    model : str, optional

    Returns
    -------
    mxft.network.checkpoint.Checkpoint

    Raises
    ------
    InputError
        See `find_model`, `mxft.network.checkpoint.load_checkpoint` and `mxft.network.normalisation.with_mean_image`.
    """
    from mxft.network.checkpoint import load_checkpoint
    from mxft.network.normalisation import with_mean_image

    checkpoint = load_checkpoint(find_model(model or args.model))
    if args.image_shape:  # what a layer gives may depend on it
        spec = checkpoint.input_spec
        entry = {"input": dataclasses.replace(spec, shape=args.image_shape).to_dict()} if spec else {
            "shape": list(args.image_shape)}
        checkpoint = dataclasses.replace(checkpoint, manifest={**checkpoint.manifest, **entry})
    return with_mean_image(checkpoint, args.mean_image) if args.mean_image else checkpoint


def is_local(text):
    """Whether `text` names something on disk, or could name nothing else: it has a comma or a folder in it."""
    return "," in text or "/" in text or os.sep in text or os.path.exists(text) or os.path.isfile(text + "-symbol.json")


def _in_its_own_words(text):
    """Return `text` if it is a model after all; refuse another with the zoo's nearest names added."""
    from mxft import zoo
    from mxft.network.checkpoint import parse_model

    try:
        parse_model(text)
    except InputError as error:
        near = nearest(text.lower(), [name for row in zoo.rows() for name in (row.name, *row.aliases)])
        raise InputError(f"{error}; in the zoo {near}" if near.startswith("nearest") else str(error)) from None
    return text
