"""``mxft score``: the figures of a checkpoint on records, each counted once: top-1, mean average precision or error."""
import dataclasses
import json
import os
import sys

from mxft.commandline.arguments import (
    Parser,
    add_check_option,
    add_device_options,
    add_engine_options,
    add_input_options,
    add_output_option,
    add_precision_option,
    add_rewrite_option,
    input_spec,
    say_assumptions,
    whole,
)
from mxft.errors import InputError

EXAMPLES = """\
examples:
  mxft score --model runs/caltech256 caltech-256-60-val.rec
  mxft score --model runs/photos more-photos/
  mxft score --model resnet-50,0 --image-shape 3,224,224 imagenet-val.rec
  mxft score --model runs/a --with runs/b --crops 10 val.rec \\
      --per-class classes.csv --confusion confusion.csv

Each record is counted once, cut in the centre. The input is what the
checkpoint's manifest says; a checkpoint without one needs --image-shape. Loss
and expected calibration error (ECE, 15 bins) are those of the probabilities as
they are served, --json also has them without the manifest's temperature. With
several checkpoints the mean of their probabilities is evaluated; with ten
crops, corners and centre and their mirror images, the mean over them. A network
of several labels an image is evaluated by mean average precision, and by
precision, recall and F1 of each label at the thresholds chosen when it was
trained; one of numbers by mean absolute error and R2.
"""


def parser():
    """Return the argument parser."""
    p = Parser(prog="mxft score", description="Give top-1, top-5 and loss of a checkpoint on a record file.",
               epilog=EXAMPLES)
    p.add_argument("records", metavar="REC|PICTURES",
                   help="a .rec file, a face set, or pictures as mxft finetune --data takes them")
    p.add_argument("--labels", metavar="TABLE", help="of pictures: the table of their labels")
    p.add_argument("--model", required=True, metavar="PREFIX,EPOCH", help="checkpoint, folder of a run, or zoo name")
    p.add_argument("--batch-size", type=whole(1), default=32, metavar="N", help="images at a time (default: 32)")
    p.add_argument("--resize", type=whole(1), metavar="N",
                   help="short side to resize each record to first (default: as it is packed)")
    p.add_argument("--with", dest="others", action="append", default=[], metavar="PREFIX,EPOCH",
                   help="a further checkpoint of an ensemble (as often as wanted)")
    add_output_option(p)
    p.add_argument("--crops", type=int, choices=(1, 10), default=1, help="crops of each image (default: 1)")
    p.add_argument("--per-class", metavar="FILE", help="write images, recall, precision and F1 of each class, as CSV")
    p.add_argument("--confusion", metavar="FILE", help="write the confusion matrix, as CSV")
    add_check_option(p)
    p.add_argument("--json", action="store_true", help="print one JSON object instead of a line")
    add_input_options(p)
    add_device_options(p)
    add_precision_option(p)
    add_engine_options(p)
    add_rewrite_option(p)
    return p


def main(argv=None):
    """Run ``mxft score``."""
    args = parser().parse_args(argv)
    from mxft.commandline.models import context_of, open_model
    from mxft.evaluation.scoring import average
    from mxft.files.whole import check_writable

    context = context_of(args)
    checkpoints = [open_model(args, model) for model in (args.model, *args.others)]
    for path in filter(None, (args.per_class, args.confusion)):
        check_writable(os.path.dirname(os.path.abspath(path)), "tables")
    scores = [_score(checkpoint, args, context) for checkpoint in checkpoints]
    if args.others:
        for checkpoint, (score, _) in zip(checkpoints, scores):
            print(f"{checkpoint.name}: {score}", file=sys.stderr)
    score = average([score for score, _ in scores]) if args.others else scores[0][0]
    _write_tables(score, checkpoints[0], args)
    print(json.dumps({**score.to_dict(), **_uncalibrated([each for each, _ in scores], args),
                      "rewrites": scores[0][1]}) if args.json else score)
    if not args.json:
        _print_each(score, checkpoints[0])
    _note_other_classes(score)


def _note_other_classes(score):
    """Say that labels and outputs may be of different classes, where few of many classes occur and few are right."""
    if hasattr(score, "columns"):
        return
    outputs, labels = score.logits.shape[1], int(score.labels.max()) + 1
    if 2 * labels <= outputs and score.top1 < 0.5:
        print(f"note: the labels are 0 to {labels - 1}, the network tells {outputs:,} classes apart: the figures hold "
              "only where label n is the network's class n; mxft finetune trains it on classes of your own",
              file=sys.stderr)


def _uncalibrated(scores, args):
    """Return log loss and ECE without the temperatures of the manifests; nothing where there are no such figures."""
    from mxft.evaluation.scoring import average

    if args.crops != 1 or not all(getattr(score, "ece", None) is not None for score in scores):
        return {}
    own = [score.at_temperature(1.0) for score in scores]
    own = average(own) if len(own) > 1 else own[0]
    return {"temperature": [score.temperature for score in scores] if len(scores) > 1 else scores[0].temperature,
            "uncalibrated": {"loss": own.loss, "ece": own.ece}}


def _print_each(score, checkpoint):
    """Print a line for each label or number."""
    columns = getattr(score, "columns", None)
    if not columns:
        return
    names = _names(score, checkpoint)
    width = max(map(len, (columns[0], *names)))
    print("  ".join([f"  {columns[0]:<{width}}", *(f"{column:>9}" for column in columns[1:])]))
    for name, *cells in score.report(names):
        print("  ".join([f"  {name:<{width}}", *(f"{_cell(cell):>9}" for cell in cells)]))


def _cell(value):
    if value is None:
        return "-"
    return str(value) if isinstance(value, int) else f"{value:.4f}" if abs(value) < 1e4 else f"{value:.4g}"


def _names(score, checkpoint):
    """Return the names of what is scored: the manifest's, or numbers."""
    if not hasattr(score, "columns"):
        return checkpoint.classes or [f"class {number}" for number in range(score.logits.shape[1])]
    size, (word, *_) = score.labels.shape[1], score.columns
    if checkpoint.classes and len(checkpoint.classes) == size:
        return list(checkpoint.classes)
    return [f"{word} {number}" for number in range(size)]


def _score(checkpoint, args, context):
    """Return (Score, rewrites) of one checkpoint."""
    from mxft.data.labels import scan_labels
    from mxft.data.validation import check_images
    from mxft.evaluation.answer import answering_outputs
    from mxft.evaluation.scoring import score_records
    from mxft.network.transfer import check_fits
    from mxft.workflows.scoring import scored_records

    judged = answering_outputs(checkpoint, args.output_name)[0]
    spec = input_spec(args, checkpoint.input_spec, checkpoint.assumed_spec(), checkpoint.proposed_shape)
    crop_from = _crop_from(args, checkpoint, spec) if args.crops == 10 else None
    if args.resize:
        spec = dataclasses.replace(spec, resize=args.resize)
    check_fits(checkpoint, spec)
    say_assumptions(checkpoint, spec)
    with scored_records(args.records, checkpoint, spec, args.labels, args.resize, args.data_nthreads) as records:
        packed = isinstance(records, str)
        scan = scan_labels(records) if packed else records.scan
        target = _target(checkpoint, judged, scan, args)
        if packed:
            check_images(records, spec, several_labels=target is not None)
        return score_records(checkpoint, spec, scan if packed else records, args.batch_size, context,
                             args.data_nthreads, args.rewrite, crop_from, args.check, args.output_name)


def _target(checkpoint, judged, scan, args):
    """Return what records are judged as, refusing a confusion matrix of what is not one of N classes."""
    from mxft.evaluation.scoring import scored_target

    target = scored_target(checkpoint, judged, scan)
    if target is not None and args.confusion:
        raise InputError(f"--confusion: expected one of several classes an image, received {target.describe()}; "
                         "--per-class writes the figures of each")
    return target


def _crop_from(args, checkpoint, spec):
    """Return the side in pixels of the square that ten crops are taken of."""
    side = args.resize or spec.resize or (checkpoint.manifest.get("packing") or {}).get("resize")
    if not side or side < max(spec.shape[1:]):
        raise InputError(f"--crops 10: expected to know the images' short side, at least {max(spec.shape[1:])}, "
                         f"received resize={side}; say --resize 256")
    return side


def _write_tables(score, checkpoint, args):
    """Write the CSV files that were asked for, whole or not at all."""
    import csv

    from mxft.evaluation.classification import confusion_matrix
    from mxft.files.whole import whole_file

    names = _names(score, checkpoint)
    if hasattr(score, "columns"):
        tables = {args.per_class: lambda: [score.columns, *score.report(names)]}
    else:
        confusion = confusion_matrix(score.logits.argmax(axis=1), score.labels, score.logits.shape[1])
        tables = {args.per_class: lambda: [("class", "images", "recall", "precision", "F1"),
                                           *score.report(names)],
                  args.confusion: lambda: [("true / predicted", *names),
                                           *((name, *row) for name, row in zip(names, confusion.tolist()))]}
    for path, rows in tables.items():
        if path:
            with whole_file(path, "w") as f:
                csv.writer(f, lineterminator="\n").writerows(rows())
            print(f"wrote {path}", file=sys.stderr)
