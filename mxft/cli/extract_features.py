"""``mxft extract-features``: any layer's output for pictures or a record file, into .npz or .npy."""
import os
import sys
import time

from mxft.commandline.arguments import (
    Parser,
    add_device_options,
    add_engine_options,
    add_input_options,
    add_precision_option,
    add_rewrite_option,
    input_spec,
    say_assumptions,
    whole,
)
from mxft.errors import InputError

COMMIT = 512  # images between two points an extraction can be taken up from

EXAMPLES = """\
examples:
  mxft extract-features --model runs/caltech256 photos codes.npz
  mxft extract-features --model mobilenet-v2-1.0,0 --image-shape 3,224,224 \\
      --layer flatten0 --float16 caltech-256-60-val.rec codes.npy

A .npz holds features, labels, names and, of class folders, classes; a .npy
has them beside it (-labels.npy, -names.txt, -classes.txt). Names are paths
below the folder, or those in the list beside a .rec, else its ids. Images are
resized and cut in the centre as for scoring. One that cannot be read is
reported and left out (exit status 3).
"""


def parser():
    """Return the argument parser."""
    p = Parser(prog="mxft extract-features", epilog=EXAMPLES,
               description="Write any layer's output for a folder of images or a record file.")
    p.add_argument("source", metavar="PICTURES|REC",
                   help="pictures as mxft finetune --data takes them or without labels, a .rec file, a face set, or a "
                        "verification set (.bin)")
    p.add_argument("out", metavar="OUT", help="file to write, .npz or .npy")
    p.add_argument("--model", required=True, metavar="PREFIX,EPOCH", help="checkpoint, folder of a run, or zoo name")
    p.add_argument("--layer", metavar="NAME", help="any layer mxft layers lists (default: the feature layer)")
    p.add_argument("--float16", action="store_true", help="half the size, three digits")
    p.add_argument("--resume", action="store_true", help="continue an extraction of the same that was ended")
    p.add_argument("--batch-size", type=whole(1), default=32, metavar="N", help="images at a time (default: 32)")
    p.add_argument("--resize", type=whole(1), metavar="N",
                   help="short side before the centre crop (default: of a folder the manifest's, else input x 8/7; "
                        "of records as they are packed)")
    add_input_options(p)
    add_device_options(p)
    add_precision_option(p)
    add_engine_options(p)
    add_rewrite_option(p)
    return p


def main(argv=None):
    """Run ``mxft extract-features``; exit status 3 where some of the images could not be read."""
    args = parser().parse_args(argv)
    from mxft.commandline.models import context_of, open_model
    from mxft.features.files import check_feature_path
    from mxft.inference.executor import InferenceExecutor
    from mxft.inference.precision import precision_of
    from mxft.network.input_spec import InputSpec
    from mxft.surgery import cut_at

    check_feature_path(args.out)
    context = context_of(args)
    checkpoint = open_model(args)
    spec = input_spec(args, checkpoint.input_spec, checkpoint.assumed_spec(InputSpec() if args.resize else None),
                      checkpoint.proposed_shape)
    layer = args.layer or checkpoint.anatomy.require_feature().name
    network = cut_at(checkpoint.symbol, layer)
    source, spec = _source(args, checkpoint, spec)
    say_assumptions(checkpoint, spec)
    executor = InferenceExecutor(network, checkpoint.arg_params, checkpoint.aux_params, spec.shape, args.batch_size,
                                 context, args.rewrite, precision=precision_of(checkpoint))
    return _extract(args, checkpoint, spec, layer, source, executor)


def _source(args, checkpoint, spec):
    """Return the images and the InputSpec they are read with."""
    import dataclasses

    from mxft.commandline.preflight import check_resize
    from mxft.commandline.splitting import say_pictures
    from mxft.data.pictures import open_pictures
    from mxft.data.validation import check_images
    from mxft.evaluation.packing import folder_packing
    from mxft.faces.data.plain_records import FaceSetImages, PairSetImages, is_face_set
    from mxft.features.image_chunks import FolderImages, RecordImages

    path = os.path.expanduser(args.source)
    if is_face_set(path):
        return FaceSetImages(path), dataclasses.replace(spec, resize=args.resize)
    if path.lower().endswith(".bin") and not os.path.isdir(path):
        return PairSetImages(path), dataclasses.replace(spec, resize=args.resize)
    if not path.endswith(".rec"):
        check_resize(args.resize, spec)
        pictures = open_pictures(path, keep_clutter=True)
        say_pictures(pictures, file=sys.stderr)
        packing = folder_packing(checkpoint, spec)
        if args.resize:
            packing["resize"], spec = args.resize, dataclasses.replace(spec, resize=None)
        return FolderImages(pictures, packing, args.data_nthreads or os.cpu_count() or 1), spec
    if args.resize:
        spec = dataclasses.replace(spec, resize=args.resize)
    check_images(path, spec)
    return RecordImages(path), spec


def _extract(args, checkpoint, spec, layer, source, executor):
    """Run the network over the images and write the file; return the exit status."""
    from mxft.data.progress import progress
    from mxft.features.file_writer import FeatureWriter
    from mxft.network.checkpoint import parent_entry

    facts = {"model": parent_entry(checkpoint), "layer": layer, "input": spec.to_dict(), **source.facts}
    began, total = time.perf_counter(), len(source.names)
    with FeatureWriter(args.out, facts, "float16" if args.float16 else "float32", args.resume) as writer:
        _require_space(writer, executor, total)
        before = _say_resumed(args, writer, total)
        executor.expect(total)  # of all, not of what is left: the same kernels after --resume
        try:
            with progress(total - before, f"extracting {layer}") as advance:
                _run(args, spec, source, executor, writer, advance)
            left_out = dict(writer.left_out)
            kept = [number for number in range(total) if number not in left_out]
            if not kept:
                raise InputError(f"no image can be read in {args.source!r}: expected at least one, received "
                                 f"{source.names[0]}: {left_out[0]}")
            written = writer.finish([source.names[n] for n in kept], source.labels[kept], source.classes)
        except BaseException:
            if writer.rows:
                print(f"{writer.done} of {total} images are done; --resume continues from there", file=sys.stderr)
            raise
    seconds = time.perf_counter() - began
    shape = "x".join(map(str, executor.output_shape[1:]))
    print(f"{len(kept)} images, {layer} ({shape}) in {seconds:.1f} s "
          f"({(total - before) / max(seconds, 1e-9):.0f} images/s): {', '.join(written)}")
    for number, reason in left_out.items():
        print(f"left out {source.names[number]}: {reason}", file=sys.stderr)
    return 3 if left_out else 0


def _run(args, spec, source, executor, writer, advance):
    """Append what is still to do, a chunk at a time."""
    from mxft.data.iterators import RecordIterator

    for chunk in source.chunks(writer.done):
        before, rows = writer.done, 0
        if chunk.records:
            iterator = RecordIterator(chunk.path, spec, args.batch_size, chunk.records, threads=args.data_nthreads)
            for output, _ in executor.over(iterator, advance):
                writer.append(executor.outputs[0].link(output))  # of a softmax probabilities, not what enters it
                rows += len(output)
                if rows % COMMIT < len(output) and not chunk.left_out:  # image and row count alike
                    writer.commit(before + rows)
        writer.commit(before + chunk.records + len(chunk.left_out), chunk.left_out)


def _require_space(writer, executor, total):
    import math

    from mxft.files.whole import require_space

    size = total * math.prod(executor.output_shape[1:]) * writer.dtype.itemsize
    require_space(size * (2 if writer.path.endswith(".npz") else 1), os.path.dirname(writer.path), "for the features")


def _say_resumed(args, writer, total):
    """Say on stderr where an extraction begins that was to be resumed; return that number."""
    if args.resume and writer.stale:
        print(f"starting again: of the extraction that was ended, {writer.stale}", file=sys.stderr)
    elif args.resume and writer.done:
        print(f"resuming after {writer.done} of {total} images", file=sys.stderr)
    return writer.done
