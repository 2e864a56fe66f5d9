"""``mxft score``: top-1, top-5 and loss of a checkpoint on records, each counted once."""
import json

from mxft.cli.arguments import (
    Parser,
    add_device_options,
    add_input_options,
    add_rewrite_option,
    input_spec,
    say_assumptions,
    whole,
)

EXAMPLES = """\
examples:
  mxft score --model runs/caltech256 caltech-256-60-val.rec
  mxft score --model resnet-50,0 --image-shape 3,224,224 imagenet-val.rec

Each record is counted once, cut in the centre. The input is what the
checkpoint's manifest says; a checkpoint without one needs --image-shape.
"""


def parser():
    """Return the argument parser."""
    p = Parser(prog="mxft score", description="Give top-1, top-5 and loss of a checkpoint on a record file.",
               epilog=EXAMPLES)
    p.add_argument("records", metavar="REC", help="a .rec file")
    p.add_argument("--model", required=True, metavar="PREFIX,EPOCH", help="checkpoint, or the folder of a run")
    p.add_argument("--batch-size", type=whole(1), default=32, metavar="N", help="images at a time (default: 32)")
    p.add_argument("--resize", type=whole(1), metavar="N",
                   help="short side to resize each record to first (default: as it is packed)")
    p.add_argument("--json", action="store_true", help="print one JSON object instead of a line")
    add_input_options(p)
    add_device_options(p)
    add_rewrite_option(p)
    return p


def main(argv=None):
    """Run ``mxft score``."""
    import dataclasses

    args = parser().parse_args(argv)
    from mxft.checkpoint import load_checkpoint
    from mxft.cli.preflight import check_fits, check_images
    from mxft.devices import contexts
    from mxft.evaluation.scoring import score_records

    context = contexts(args.gpus)[0]
    checkpoint = load_checkpoint(args.model)
    spec = input_spec(args, checkpoint.input_spec)
    if args.resize:
        spec = dataclasses.replace(spec, resize=args.resize)
    check_fits(checkpoint, spec)
    say_assumptions(checkpoint, spec)
    check_images(args.records, spec)
    score, applied = score_records(checkpoint, spec, args.records, args.batch_size, context, args.data_nthreads,
                                   args.rewrite)
    print(json.dumps({**score.to_dict(), "rewrites": applied}) if args.json else score)
