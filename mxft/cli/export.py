"""``mxft export``: a checkpoint as a file of ONNX or PyTorch that was compared with it."""
from mxft.commandline.arguments import Parser, add_input_options, input_spec, real, say_assumptions, whole
from mxft.errors import InputError

MOST = 16  # images to compare on
MOST_INT8 = 256  # to calibrate and compare on

EXAMPLES = """\
examples:
  mxft export --to onnx --model runs/photos --output photos.onnx
  mxft export --to onnx --model runs/photos --output photos.onnx \\
      --images cat.jpg dog.jpg
  mxft export --to onnx --model runs/faces/model,best --output embedding.onnx
  mxft export --to onnx --model runs/photos --layer flatten0 \\
      --output features.onnx
  mxft export --to onnx --model runs/photos --precision int8 \\
      --images photos --output photos-int8.onnx
  mxft export --to torch --model runs/photos --output photos.pt2

Every output an image alone gives is written, under its own name: classes,
tags, numbers, maps; a loss becomes the softmax, sigmoid or scores it is for
inference. Of a face network with its training head the embedding is exported,
with --layer any layer. The file is written only if ONNX Runtime computes from
it what the unaltered checkpoint does, on --images or on noise, to 1e-4 of the
largest output; otherwise the first layer that differs is named. The file takes
what the checkpoint takes: pixels less the mean, times the scale, which are
printed and noted in the file; mxft import reads them again. Its probabilities
are the network's own: --calibrated writes the manifest's temperature into it.

With --precision int8 ONNX Runtime's own quantizer makes an int8 file of it. The
ranges and the layers left in float32 are those mxft quantize found; without it
the ranges are measured on --images. The file is written only if its scores are
like the checkpoint's in float32 on --images: --min-cosine says how much.

--to torch writes a program of PyTorch (pip install 'mxft[torch]') in the same
way, compared with the same outputs. torch.export.load("photos.pt2").module() is
the network, without mxft and mxnet; its arrays have the checkpoint's names, and
mxft import --from torch-mxft takes them back. To train it with its moving
statistics and its losses: mxft.to_torch("runs/photos") in Python.
"""


def parser():
    """Return the argument parser."""
    p = Parser(prog="mxft export", description="Write a checkpoint as ONNX or for PyTorch, checked.", epilog=EXAMPLES)
    p.add_argument("--to", required=True, choices=("onnx", "torch"), help="the format")
    p.add_argument("--model", required=True, metavar="PREFIX,EPOCH", help="checkpoint, folder of a run, or zoo name")
    p.add_argument("--output", required=True, metavar="FILE",
                   help="the file to write, NAME.onnx or NAME.pt2")
    p.add_argument("--layer", metavar="NAME", help="end the network at this layer, one mxft layers lists")
    p.add_argument("--calibrated", action="store_true",
                   help="divide the logits by the temperature of the manifest, as mxft predict does")
    p.add_argument("--images", nargs="+", default=[], metavar="IMAGE",
                   help=f"images to compare on, as mxft predict takes them; of many {MOST}, for int8 {MOST_INT8}, "
                        "spread over all")
    p.add_argument("--precision", dest="of_file", choices=("fp32", "int8"), default="fp32",
                   help="of the file (default: fp32)")
    p.add_argument("--min-cosine", type=real(least=0, most=1), metavar="C",
                   help="of --precision int8: between its scores and those in float32, on average (default: 0.99)")
    p.add_argument("--resize", type=whole(1), metavar="N",
                   help="short side before the crop, of --images and for who reads the file (default: the "
                        "manifest's)")
    p.add_argument("--force", action="store_true", help="replace a file of that name")
    add_input_options(p)
    return p


def main(argv=None):
    """Run ``mxft export``."""
    args = parser().parse_args(argv)
    import os

    from mxft.api.conversion import cut_checkpoint, write_export
    from mxft.commandline.models import open_model
    from mxft.deploy.exported import is_training_network
    from mxft.deploy.slim import slim
    from mxft.network.calibration import with_temperature
    from mxft.network.transfer import check_fits

    if args.layer and args.calibrated:
        raise InputError(f"--calibrated: expected the whole network, received --layer {args.layer} beside it; leave "
                         "one of them out")
    if os.path.lexists(args.output) and not args.force:
        raise InputError(f"output: expected a name that is free, received {args.output!r}; --force replaces it")
    _check_int8(args)
    checkpoint = open_model(args)
    if args.layer:
        checkpoint = cut_checkpoint(checkpoint, args.layer)
    elif args.calibrated:
        checkpoint = with_temperature(checkpoint)
    elif is_training_network(checkpoint):
        result = slim(checkpoint)
        checkpoint = result.checkpoint
        print(f"a face network as it was trained: exporting it up to its embedding, {result.feature.name}")
    spec = input_spec(args, checkpoint.input_spec, checkpoint.assumed_spec(), checkpoint.proposed_shape)
    check_fits(checkpoint, spec)
    say_assumptions(checkpoint, spec)
    if args.resize:
        checkpoint = _packed_at(args, checkpoint, spec)
    probe = _probe(args, checkpoint, spec)
    result = write_export(checkpoint, args.output, spec, probe, args.to, args.of_file, args.min_cosine)
    batch = "N" if result.any_batch else "1"
    print(f"input {result.input} ({batch}, {', '.join(map(str, spec.shape))}): {spec.describe()}")
    for output, (name, shape) in zip(checkpoint.anatomy.served, result.outputs.items()):
        print(f"output {name} ({', '.join(map(str, (batch, *shape)))}): {output.kind}")
    _say_probabilities(checkpoint)
    if args.of_file == "int8":
        print(f"ranges {result.calibration}")
    runner = "PyTorch" if args.to == "torch" else "ONNX Runtime"
    print(f"{runner} on {len(probe)} {'images' if args.images else 'images of noise'}: {result.describe()}\n"
          f"wrote {result.path}: {os.path.getsize(result.path) / 1e6:.1f} MB")


def _check_int8(args):
    """Refuse int8 without images or for PyTorch, and what is asked of int8 alone."""
    if args.of_file == "int8" and args.to != "onnx":
        raise InputError(f"--precision: expected --to onnx beside int8, received --to {args.to}; leave --precision out")
    if args.of_file == "int8" and not args.images:
        raise InputError("--precision: expected --images beside int8, which is calibrated and compared on them, "
                         "received none; --images photos, say")
    if args.of_file != "int8" and args.min_cosine is not None:
        raise InputError(f"--min-cosine: expected --precision int8 beside it, received --min-cosine "
                         f"{args.min_cosine:g} alone; leave it out")


def _say_probabilities(checkpoint):
    """Say whether the file's probabilities are calibrated, where the checkpoint's are."""
    found = checkpoint.calibration
    if found and found.in_graph:
        print(f"probabilities are {found.describe()}, in the file")
    elif found and found.temperature != 1:
        print(f"probabilities in the file are not calibrated, as those of mxft predict are; --calibrated divides its "
              f"logits by {found.temperature:.4g}")


def _packed_at(args, checkpoint, spec):
    """Return the checkpoint with ``--resize`` in its manifest, which the file keeps."""
    import dataclasses

    from mxft.cli.predict import packing_of
    from mxft.commandline.preflight import check_resize

    check_resize(args.resize, spec)
    return dataclasses.replace(checkpoint, manifest={**checkpoint.manifest,
                                                     "packing": packing_of(args, checkpoint, spec)})


def _probe(args, checkpoint, spec):
    """Return preprocessed images, float32 (n, C, H, W): the files', or noise."""
    from mxft.cli.predict import packing_of
    from mxft.commandline.image_sources import opened_images
    from mxft.deploy.exported import noise
    from mxft.evaluation.prediction import image_iterator
    from mxft.files.whole import require_file

    if not args.images:
        return noise(spec)
    with opened_images(args.images) as images:
        images = images[::-(-len(images) // (MOST_INT8 if args.of_file == "int8" else MOST))]
        paths = [require_file(image.path, "image") for image in images]
        packed = all(image.packed for image in images)
        packing = {"pass_through": True} if packed else packing_of(args, checkpoint, spec)
        with image_iterator(paths, spec, packing, len(paths)) as (iterator, problems):
            if problems:
                number, reason = next(iter(problems.items()))
                raise InputError(f"image cannot be read: expected a picture, received {images[number].name}: {reason}")
            batch = iterator.next()
            return batch.data[0].asnumpy()[:len(paths)]
