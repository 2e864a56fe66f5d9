"""``mxft ijb``: a face checkpoint on IJB-B, IJB-C or lists like theirs; insightface's ``_evaluation_/ijb``."""
from mxft.commandline.arguments import (
    Parser,
    add_device_options,
    add_engine_options,
    add_precision_option,
    add_rewrite_option,
    face_size,
    whole,
)

EXAMPLES = """\
examples:
  mxft ijb --model r100-arcface/model,0 --meta IJBC/meta
  mxft ijb --model runs/faces --meta IJBB --protocol 1:N --json ijbb.json

META has the lists of insightface's archives, NAME being ijbb, ijbc or your own:
  NAME_face_tid_mid.txt         image template medium
  NAME_name_5pts_score.txt      image x1 y1 ... x5 y5 score, the same images
  NAME_template_pair_label.txt  template template 0|1                     (1:1)
  NAME_1N_gallery_G1.csv, _G2   template,subject,... (or _S1, _S2)        (1:N)
  NAME_1N_probe_mixed.csv       template,subject,...                      (1:N)
Faces are aligned by their landmarks. A template is the mean within each medium,
summed over media. Nothing but template features is held: 205 MB for 100,000
of 512 numbers.
"""


def parser():
    """Return the argument parser."""
    p = Parser(prog="mxft ijb", description="Compare templates of faces, 1:1 or 1:N, by IJB's lists.", epilog=EXAMPLES)
    p.add_argument("--model", required=True, metavar="PREFIX,EPOCH", help="checkpoint, folder of a run, or zoo name")
    p.add_argument("--meta", required=True, metavar="DIR", help="folder of the lists, or the one with meta in it")
    p.add_argument("--images", metavar="DIR", help="folder of the images (default: loose_crop beside META)")
    p.add_argument("--protocol", choices=("1:1", "1:N"), default="1:1", help="pairs, or search (default: 1:1)")
    p.add_argument("--no-flip", action="store_true", help="leave the mirror images out: half the time")
    p.add_argument("--no-detector-score", action="store_true", help="let each face weigh the same, whatever its score")
    p.add_argument("--unit-length", action="store_true",
                   help="normalise each face's embedding first (default: its length weighs it)")
    p.add_argument("--aligned", action="store_true", help="the images are aligned crops of the network's size")
    p.add_argument("--batch-size", type=whole(1), default=32, metavar="N", help="images at a time (default: 32)")
    p.add_argument("--image-size", type=face_size, metavar="H,W",
                   help="what the network takes (default: the manifest's, or 112,112)")
    p.add_argument("--json", metavar="FILE", help="write the numbers")
    p.add_argument("--plots", metavar="DIR", help="write NAME-roc.png, or NAME-tpir.png of 1:N")
    p.add_argument("--scores", metavar="FILE.npy", help="write the similarity of each pair, in the list's order (1:1)")
    add_device_options(p)
    add_precision_option(p)
    add_engine_options(p)
    add_rewrite_option(p)
    return p


def main(argv=None):
    """Run ``mxft ijb``."""
    args = parser().parse_args(argv)
    from mxft.api.models import find_model
    from mxft.commandline.models import at_precision, context_of
    from mxft.faces.evaluation.embedding import embedding_executor, input_size
    from mxft.faces.evaluation.ijb.files import find_lists
    from mxft.faces.evaluation.ijb.protocol import check_faces, read_protocol
    from mxft.faces.evaluation.ijb.run import embed_templates, evaluate_protocol
    from mxft.faces.evaluation.ijb.templates import Pooling
    from mxft.network.checkpoint import load_checkpoint

    _check(args)
    lists = find_lists(args.meta)
    pooling = Pooling(not args.no_flip, not args.no_detector_score, args.unit_length)
    checkpoint = at_precision(args, load_checkpoint(find_model(args.model)))
    protocol = read_protocol(lists, args.protocol, pooling.detector_score or not args.aligned)
    check_faces(protocol.faces, args.images or lists.images, args.aligned)
    _print_lists(lists.name, protocol, pooling)
    size = args.image_size or input_size(checkpoint)
    executor = embedding_executor(checkpoint, args.batch_size, size, context_of(args), args.rewrite)
    _, features = embed_templates(executor, protocol.faces, args.images or lists.images, size, pooling, args.aligned,
                                  args.data_nthreads)
    result = evaluate_protocol(protocol, features)
    _print_numbers(lists.name, result)
    _write(args, lists.name, checkpoint, protocol, pooling, result)


def _check(args):
    """Refuse before any work what cannot be written."""
    import os

    from mxft.errors import InputError
    from mxft.files.whole import check_writable
    from mxft.machine.packages import require_packages

    if args.scores and args.protocol != "1:1":
        raise InputError(f"--scores: expected --protocol 1:1 beside it, received scores={args.scores!r} with "
                         f"{args.protocol}; --json has the numbers of 1:N")
    if args.plots:
        require_packages("matplotlib", what="--plots")
        check_writable(args.plots, "--plots")
    for flag, path in (("--json", args.json), ("--scores", args.scores)):
        if path:
            check_writable(os.path.dirname(os.path.abspath(path)), flag)


def _print_lists(name, protocol, pooling):
    faces = f"[{name}]{len(protocol.faces.names):,} faces of {protocol.templates:,} templates"
    if protocol.kind == "1:1":
        issame = protocol.pairs[2]
        same = int(issame.sum())
        print(f"{faces}, {len(issame):,} pairs ({same:,} same, {len(issame) - same:,} different)")
    else:
        galleries = ", ".join(f"{len(subjects):,} in gallery {gallery}"
                              for gallery, (_, subjects) in protocol.galleries.items())
        print(f"{faces}, {len(protocol.probes[1]):,} probes, {galleries}")
    print(f"[{name}]{pooling}", flush=True)


def _print_numbers(name, result):
    verification = result.verification
    if verification:
        for far in verification.tar:
            print(f"[{name}]TAR@FAR {far:g}: {verification.tar_text(far)}")
        print(f"[{name}]AUC: "
              + ("needs same and different pairs" if verification.auc is None else f"{verification.auc:.5f}"))
    for gallery, found in result.identification.items():
        top = ("needs probes whose person is in the gallery" if not found.mated
               else ", ".join(f"top-{k} {share:.5f}" for k, share in found.top.items()))
        print(f"[{name}][{gallery}]{top}")
        for rate in found.tpir:
            print(f"[{name}][{gallery}]TPIR@FPIR {rate:g}: {found.tpir_text(rate)}")
    for note in result.notes:
        print(f"[{name}]note: {note}")


def _write(args, name, checkpoint, protocol, pooling, result):
    """Write the files that were asked for, and say where."""
    import dataclasses
    import os

    import numpy as np

    from mxft.files.whole import whole_file, write_json

    if args.plots:
        from mxft.faces.report.template_plots import draw_identification, draw_template_roc

        path = os.path.join(args.plots, f"{name}-{'roc' if result.verification else 'tpir'}.png")
        if result.verification:
            draw_template_roc(name, result.verification, path)
        else:
            draw_identification(name, result.identification, path)
        print(f"plot: {path}")
    if args.scores:
        with whole_file(args.scores) as f:
            np.save(f, result.scores)
        print(f"scores: {args.scores}")
    if args.json:
        numbers = (result.verification.to_dict() if result.verification
                   else {gallery: found.to_dict() for gallery, found in result.identification.items()})
        write_json(args.json, {"model": checkpoint.name, "set": name, "protocol": protocol.kind,
                               "faces": len(protocol.faces.names), "templates": protocol.templates,
                               "pooling": dataclasses.asdict(pooling), "numbers": numbers,
                               "notes": list(result.notes)})
        print(f"numbers: {args.json}")
