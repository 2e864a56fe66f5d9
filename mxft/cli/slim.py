"""``mxft slim``: a face checkpoint without its training head; the flags of insightface's deploy/model_slim.py."""
from mxft.commandline.arguments import Parser, image_shape

FEW = 6  # layers that are named one by one

EXAMPLES = """\
examples:
  mxft slim --model ../models/model-r34-amf/model,0
  mxft slim --model runs/faces/model,best --output deploy/faces

Writes PREFIXs-symbol.json and PREFIXs-0000.params (upstream's name: the prefix
with an s behind it, epoch 0), whose output is the embedding. What it drops is
what the embedding does not depend on. A checkpoint that is slim already is left
as it is.
"""


def parser():
    """Return the argument parser."""
    p = Parser(prog="mxft slim", description="Drop the layers after a face checkpoint's embedding.", epilog=EXAMPLES)
    p.add_argument("--model", required=True, metavar="PREFIX,EPOCH", help="checkpoint, folder of a run, or zoo name")
    p.add_argument("--output", metavar="PREFIX", help="of the files to write (default: the model's prefix and an s)")
    p.add_argument("--layer", metavar="NAME",
                   help="what to keep as the output (default: the embedding, found by graph; mxft layers lists them)")
    p.add_argument("--image-shape", type=image_shape, metavar="C,H,W",
                   help="of the probe (default: the manifest's, or 3,112,112)")
    p.add_argument("--force", action="store_true", help="replace a checkpoint of the output's name")
    return p


def main(argv=None):
    """Run ``mxft slim``."""
    args = parser().parse_args(argv)
    from mxft.api.models import find_model
    from mxft.deploy.slim import require_new_prefix, save_slim, slim, slim_prefix
    from mxft.errors import InputError
    from mxft.network.checkpoint import load_checkpoint, params_path, parse_model

    model = find_model(args.model)
    if model != args.model and not args.output:
        raise InputError("output name: expected --output PREFIX beside a model of the zoo, received "
                         f"model={args.model!r} alone; the cache keeps what was published")
    checkpoint = load_checkpoint(model)
    prefix, epoch = parse_model(model)
    output = args.output or slim_prefix(prefix)
    result = slim(checkpoint, args.layer)
    if result.was_slim:
        print(f"{prefix},{epoch} is slim already: {result.feature.name} is its output; nothing was written")
        return
    require_new_prefix(output, checkpoint, args.force)
    shape = args.image_shape or (checkpoint.input_spec.shape if checkpoint.input_spec else (3, 112, 112))
    model, difference = save_slim(result, checkpoint, output, shape, args.force)
    print(f"kept the network up to {result.feature.name}; dropped {_listed(result)}")
    print(f"parameters: {_megabytes(params_path(prefix, epoch))} before, {_megabytes(params_path(output, 0))} after")
    print(f"embedding of the files written against the original's on a probe: largest difference {difference:g}")
    print(f"wrote {model}: {output}-symbol.json, {params_path(output, 0)}")


def _listed(result):
    """Return what went as text: every parameter, and the layers by number where they are many."""
    parameters = ", ".join(f"{name} {shape}" for name, shape in result.dropped.items()) or "no parameters"
    named = ", ".join(result.layers) if len(result.layers) <= FEW else f"{len(result.layers)} after the embedding"
    return f"{parameters}; layers: {named}" if result.layers else parameters


def _megabytes(path):
    import os

    return f"{os.path.getsize(path) / 1e6:.1f} MB"
