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
    from mxft.network.quantization import Quantization

    if not hasattr(args, "precision"):
        return checkpoint
    if uses_torch(args):
        if args.precision is None and Quantization.of(checkpoint.manifest):
            print("computing in float32: int8 is MXNet's", file=sys.stderr)
        return models.at_precision(checkpoint, "fp32")  # the device says in what PyTorch computes
    checkpoint = models.at_precision(checkpoint, args.precision)
    if getattr(args, "gpus", ""):
        return checkpoint
    found = precision_of(checkpoint)
    if not found.is_exact or args.precision == "auto":
        print(f"computing in {found.describe()}", file=sys.stderr)
    return dataclasses.replace(checkpoint, precision=found)


def uses_torch(args):
    """Whether the flags of `mxft.commandline.arguments.add_engine_options` choose PyTorch."""
    from mxft.devices import computed_by_torch

    return hasattr(args, "engine") and computed_by_torch(args.gpus, args.engine, args.device)


def context_of(args):
    """Return what a network is computed on, of ``--gpus``, ``--engine`` and ``--device``; of PyTorch it is logged."""
    from mxft.devices import contexts, inference_context

    if not hasattr(args, "engine"):
        return contexts(args.gpus)[0]
    return inference_context(args.gpus, args.engine, args.device, args.precision, getattr(args, "compile", False))


def __getattr__(name):
    """Give the names that moved to `mxft.api.models`."""
    if name in ("find_model", "is_local"):
        from mxft.api import models

        return getattr(models, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
