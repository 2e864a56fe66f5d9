"""``mxft score``: top-1, top-5 and loss of a checkpoint on records, each counted once."""
import argparse
import json

from mxft.cli.arguments import add_device_options, add_input_options, input_spec, say_assumptions

EXAMPLES = """\
examples:
  mxft score --model runs/caltech256,best data/caltech-256-60-val.rec
  mxft score --model resnet-50,0 --image-shape 3,224,224 imagenet-val.rec
"""


def parser():
    """Return the argument parser."""
    p = argparse.ArgumentParser(prog="mxft score", formatter_class=argparse.RawDescriptionHelpFormatter,
                                description="Score a classifier on a record file.", epilog=EXAMPLES)
    p.add_argument("records", help="a .rec file")
    p.add_argument("--model", required=True, metavar="PREFIX,EPOCH", help="checkpoint, or the folder of a run")
    p.add_argument("--batch-size", type=int, default=32, metavar="N", help="(default: 32)")
    p.add_argument("--resize", type=int, metavar="N", help="resize the short side of each record to this first")
    p.add_argument("--json", action="store_true", help="print one JSON object instead of a line")
    add_input_options(p)
    add_device_options(p)
    return p


def main(argv=None):
    """Run ``mxft score``."""
    import dataclasses

    args = parser().parse_args(argv)
    from mxft.checkpoint import load_checkpoint
    from mxft.data.iterators import RecordIterator
    from mxft.data.labels import check_labels
    from mxft.data.progress import progress
    from mxft.devices import contexts
    from mxft.evaluation.scoring import score_iterator
    from mxft.files import require_file
    from mxft.inference import InferenceExecutor

    context = contexts(args.gpus)[0]
    checkpoint = load_checkpoint(args.model)
    spec = input_spec(args, checkpoint.input_spec)
    if args.resize:
        spec = dataclasses.replace(spec, resize=args.resize)
    say_assumptions(checkpoint, spec)
    records = require_file(args.records, "records")
    executor = InferenceExecutor(checkpoint.symbol, checkpoint.arg_params, checkpoint.aux_params, spec.shape,
                                 args.batch_size, context)
    scan = check_labels(records, executor.output_shape[-1])
    iterator = RecordIterator(records, spec, args.batch_size, len(scan.ids), threads=args.data_nthreads)
    with progress(len(scan.ids), "scoring") as advance:
        score = score_iterator(executor, iterator, advance)
    print(json.dumps(score.to_dict()) if args.json else score)
