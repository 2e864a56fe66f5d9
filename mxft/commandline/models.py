"""What ``--model`` takes: a checkpoint's ``prefix,epoch``, the folder of a run, or a name of the zoo that is cached."""
import dataclasses


def open_model(args, model=None, trained=False):
    """Return the Checkpoint of ``--model``, or `model`, with ``--mean-image`` written into its graph where given.

    Parameters
    ----------
    args : argparse.Namespace
        With ``model`` and the flags of `mxft.commandline.arguments.add_input_options`.
    model : str, optional
    trained : bool
        Whether ``--precision`` is a setting of a training, which asks for it itself.

    Returns
    -------
    mxft.network.checkpoint.Checkpoint

    Raises
    ------
    InputError
        See `mxft.api.models.open_model` and `mxft.network.normalisation.with_mean_image`.
    """
    from mxft.api import models
    from mxft.network.normalisation import with_mean_image

    checkpoint = models.open_model(model or args.model, args.image_shape)
    checkpoint = with_mean_image(checkpoint, args.mean_image) if args.mean_image else checkpoint
    return checkpoint if trained else at_precision(args, checkpoint)


def at_precision(args, checkpoint):
    """Return a checkpoint to be computed as ``--precision`` says, and say on stderr in what, where it is not float32.

    On a CPU that is decided here: whoever binds the network later is given what was found.

    Raises
    ------
    InputError
        See `mxft.inference.precision.precision_of`.
    """
    import sys

    from mxft.api import models
    from mxft.inference.precision import precision_of

    if not hasattr(args, "precision"):
        return checkpoint
    checkpoint = models.at_precision(checkpoint, args.precision)
    if getattr(args, "gpus", ""):
        return checkpoint
    found = precision_of(checkpoint)
    if not found.is_exact or args.precision == "auto":
        print(f"computing in {found.describe()}", file=sys.stderr)
    return dataclasses.replace(checkpoint, precision=found)


def __getattr__(name):
    """Give the names that moved to `mxft.api.models`."""
    if name in ("find_model", "is_local"):
        from mxft.api import models

        return getattr(models, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
