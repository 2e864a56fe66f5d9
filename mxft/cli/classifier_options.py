"""The flags that say how a checkpoint names pictures, shared by ``mxft bundle`` and ``mxft serve``."""
import os
import shlex

from mxft.commandline.arguments import (
    add_input_options,
    add_output_option,
    add_precision_option,
    add_rewrite_option,
    input_spec,
    say_assumptions,
    say_calibration,
    whole,
)
from mxft.errors import InputError


def add_classifier_options(parser):
    """Add ``--synset``, ``--resize``, the network's input and ``--no-rewrite``."""
    parser.add_argument("--synset", metavar="FILE", help="class names, one a line (default: the manifest's)")
    add_output_option(parser)
    parser.add_argument("--resize", type=whole(1), metavar="N",
                        help="short side before the centre crop (default: the manifest's)")
    add_input_options(parser)
    add_precision_option(parser)
    add_rewrite_option(parser)


def classifier_from(args, checkpoint, name):
    """Combine flags and manifest into a Classifier.

    Parameters
    ----------
    args : argparse.Namespace
        With ``model`` and the flags of `add_classifier_options`.
    checkpoint : mxft.network.checkpoint.Checkpoint
    name : str

    Returns
    -------
    mxft.evaluation.classifier.Classifier

    Raises
    ------
    InputError
        Input, resizing or the parameters are not complete, or it is a face network as it was trained.
    """
    from mxft.cli.predict import class_names, packing_of
    from mxft.evaluation.answer import answering_outputs
    from mxft.evaluation.classifier import Classifier
    from mxft.network.transfer import check_fits

    if checkpoint.anatomy.is_face_training:
        raise InputError(f"model: expected a network that gives class scores, received {checkpoint.name}, a face "
                         f"network as it was trained; mxft export --to onnx --model {shlex.quote(checkpoint.name)} "
                         "--output embedding.onnx writes its embedding")
    outputs = answering_outputs(checkpoint, args.output_name)
    spec = input_spec(args, checkpoint.input_spec, checkpoint.assumed_spec(), checkpoint.proposed_shape)
    packing = packing_of(args, checkpoint, spec)
    check_fits(checkpoint, spec)
    names = class_names(args.synset, checkpoint, outputs[0])
    say_assumptions(checkpoint, spec)
    say_calibration(checkpoint, outputs[0])
    return Classifier(checkpoint, spec, packing, names, name, outputs)


def model_name(checkpoint):
    """Return what people call a checkpoint: its run folder's name where it is ``model``, else its prefix's."""
    prefix = os.path.abspath(checkpoint.name.rpartition(",")[0])
    name = os.path.basename(prefix)
    return os.path.basename(os.path.dirname(prefix)) or name if name == "model" else name
