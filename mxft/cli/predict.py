"""``mxft predict``: the likeliest classes of image files, by name."""
import collections
import contextlib
import dataclasses
import json
import os
import sys

from mxft.commandline.arguments import (
    Parser,
    add_device_options,
    add_engine_options,
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
from mxft.files.staging import scratch_folder

TOP = 5  # classes an image

EXAMPLES = """\
examples:
  mxft predict --model runs/caltech256 --top 5 cat.jpg dog.jpg
  mxft predict --model runs/caltech256 --csv answers.csv holidays/
  mxft predict --model mobilenet,0 --image-shape 3,224,224 --resize 256 \\
      --synset imagenet-synset.txt cat.jpg

A network of several labels an image (mxft finetune --multi-label) gives those
that reach their thresholds, one of numbers (--regression) its numbers.

Behind the name of an image that is far from everything the network was trained
on it is said so: its classes may not fit (--json and --csv have the distance).

An image is packed as the manifest says the training records were and read as
they are, so that a validation image gets the very scores its record gets. An
image that cannot be read is reported, the others are answered (exit status 3).
"""


def parser():
    """Return the argument parser."""
    p = Parser(prog="mxft predict", description="Name the likeliest classes of image files.", epilog=EXAMPLES)
    p.add_argument("images", nargs="+", metavar="IMAGE",
                   help="image files, folders, tars and zips of them, tables that name them, .rec files, face sets")
    p.add_argument("--model", required=True, metavar="PREFIX,EPOCH", help="checkpoint, folder of a run, or zoo name")
    p.add_argument("--top", type=whole(1), metavar="K",
                   help=f"classes an image (default: {TOP}; of several labels those that reach their thresholds)")
    add_output_option(p)
    p.add_argument("--synset", metavar="FILE", help="class names, one a line (default: the manifest's)")
    p.add_argument("--resize", type=whole(1), metavar="N",
                   help="short side before the centre crop (default: the manifest's)")
    p.add_argument("--batch-size", type=whole(1), default=32, metavar="N", help="images at a time (default: 32)")
    p.add_argument("--json", action="store_true", help="print one JSON object a line and image")
    p.add_argument("--csv", metavar="FILE", help="write a table, a row an image, and print a summary alone")
    add_input_options(p)
    add_device_options(p)
    add_precision_option(p)
    add_engine_options(p)
    add_rewrite_option(p)
    return p


def main(argv=None):
    """Run ``mxft predict``; exit status 3 where some of the images could not be read."""
    args = parser().parse_args(argv)
    from mxft.commandline.image_sources import opened_images
    from mxft.commandline.models import context_of
    from mxft.files.whole import check_writable

    context = context_of(args)
    if args.csv and args.json:
        raise InputError("output: expected one of --csv, --json, received both")
    if args.csv:
        check_writable(os.path.dirname(os.path.abspath(args.csv)), "--csv")
    with opened_images(args.images) as images:
        return _answer(args, images, context)


def _answer(args, images, context):
    """Say what the network says of each image; return the exit status."""
    from mxft.commandline.models import open_model
    from mxft.evaluation.answer import answering_outputs, names_of, thresholds_of
    from mxft.network.transfer import check_fits

    checkpoint = open_model(args)
    outputs = answering_outputs(checkpoint, args.output_name)
    spec = input_spec(args, checkpoint.input_spec, checkpoint.assumed_spec(), checkpoint.proposed_shape)
    packing = None if all(image.packed for image in images) else packing_of(args, checkpoint, spec)
    check_fits(checkpoint, spec)
    names = [class_names(args.synset, checkpoint, outputs[0]), *map(names_of, outputs[1:])]
    thresholds = thresholds_of(checkpoint, outputs[0])
    if args.csv and args.top and (thresholds or not outputs[0].names_classes):
        raise InputError(f"--top: expected one of several classes an image, received --csv of {outputs[0].kind}, which "
                         "has them all")
    say_assumptions(checkpoint, spec)
    say_calibration(checkpoint, outputs[0])
    predictions = _predicted(args, checkpoint, spec, packing, images, context)
    for prediction in predictions:
        _require_a_name_for_each_number(prediction, names)
        if not args.csv:
            _print(prediction, names, args, thresholds)
    if args.csv:
        write_answers(args.csv, predictions, names[0], args.top or TOP, thresholds)
    unread = sum(p.problem is not None for p in predictions)
    if unread:
        print(f"{unread} of {len(predictions)} images could not be read", file=sys.stderr)
    return 3 if unread else 0


def _predicted(args, checkpoint, spec, packing, images, context):
    """Return a Prediction for each image, records read as they are packed and photographs packed first."""
    from mxft.evaluation.prediction import predict_files

    predictions = [None] * len(images)
    for packed in sorted({image.packed for image in images}):
        numbers = [number for number, image in enumerate(images) if image.packed == packed]
        own = dataclasses.replace(spec, resize=args.resize) if packed and args.resize else spec
        with _listable([images[number].path for number in numbers]) as paths:
            found = predict_files(checkpoint, paths, own, {"pass_through": True} if packed else packing,
                                  args.batch_size, context, args.data_nthreads, rewrite=args.rewrite,
                                  output=args.output_name)
        for number, prediction in zip(numbers, found):
            predictions[number] = dataclasses.replace(prediction, path=images[number].name)
    return predictions


def write_answers(path, predictions, names, count, thresholds):
    """Write a CSV with a row for each image, and say what is in it.

    Of one of N classes the likeliest with their probabilities; of labels those that reach their thresholds, and every
    label's probability; of numbers each.
    """
    import csv

    from mxft.files.whole import whole_file

    read = [prediction for prediction in predictions if prediction.answers]
    is_list = bool(thresholds) or any(p.answers[0].output.kind == "values" for p in read)
    count = min(count, len(names))
    header = [*(["labels"] * bool(thresholds)), *names] if is_list else [
        word for place in range(1, count + 1) for word in ((f"class {place}", f"probability {place}") if place > 1
                                                           else ("class", "probability"))]
    has_novelty = any(prediction.novelty for prediction in read)
    with whole_file(path, "w") as f:
        table = csv.writer(f, lineterminator="\n")
        table.writerow(["image", *header, *["far", "distance"] * has_novelty, "problem"])
        for prediction in predictions:
            table.writerow([prediction.path, *_cells(prediction, names, count, thresholds, is_list, len(header)),
                            *_distance(prediction.novelty) * has_novelty, prediction.problem or ""])
    print(f"wrote {path}: {len(read)} of {len(predictions)} images")
    far = sum(bool(prediction.novelty and prediction.novelty.far) for prediction in read)
    if far:
        print(f"{far:6d}  far from the training images")
    if not is_list:
        tally = collections.Counter(names[prediction.top(1)[0][0]] for prediction in read)
        for name, number in tally.most_common(10):
            print(f"{number:6d}  {name}")


def _cells(prediction, names, count, thresholds, is_list, width):
    """Return the cells of one image's row between its path and its problem."""
    if not prediction.answers:
        return [""] * width
    answer = prediction.answers[0]
    if is_list:
        said = ["|".join(names[i] for i, _ in answer.said(thresholds))] if thresholds else []
        return [*said, *(f"{value:.6g}" for value in answer.shown)]
    return [cell for i, value in answer.top(count) for cell in (names[i], f"{value:.6f}")]


def _distance(novelty):
    """Return the cells that say how far an image is from the training images."""
    return ["yes" if novelty.far else "no", f"{novelty.distance:.4f}"] if novelty else ["", ""]


def packing_of(args, checkpoint, spec):
    """Return what a photograph goes through before the iterator: ``--resize``, the manifest's, or its input's."""
    packing = checkpoint.manifest.get("packing")
    resize = args.resize or (spec.resize if packing is None else None)
    if resize:
        return {**(packing or {"encoding": ".png"}), "resize": resize}
    if packing is None:
        from mxft.evaluation.packing import default_resize

        raise InputError(f"resizing is not known: expected packing facts in the manifest, received model="
                         f"{args.model!r} without; say --resize {default_resize(spec)}, the usual short side before "
                         f"the centre crop of {spec.shape[2]}, or the one it was trained with")
    return packing


@contextlib.contextmanager
def _listable(paths):
    """Give paths an image list can hold: a name with a tab or a line end in it is reached through a link."""
    with scratch_folder("predict") as folder:
        listable = []
        for number, path in enumerate(paths):
            if any(c in os.path.abspath(path) for c in "\t\r\n"):
                link = os.path.join(folder, str(number))
                os.symlink(os.path.abspath(path), link)
                path = link
            listable.append(path)
        yield listable


def class_names(synset, checkpoint, output):
    """Return a name for each number of an output, in order: the file's, the manifest's, or numbers."""
    from mxft.evaluation.answer import check_classes, names_of
    from mxft.files.whole import require_file

    if not synset:
        check_classes(checkpoint, output)
        return names_of(output, checkpoint.classes)
    try:
        with open(require_file(synset, "synset"), encoding="utf-8") as f:
            names = [line.strip() for line in f if line.strip()]
    except UnicodeDecodeError:
        raise InputError(f"synset cannot be read: expected class names in UTF-8 text, one a line, received "
                         f"synset={synset!r}, which is no text") from None
    if len(names) not in ({output.size, 2} if output.size == 1 else {output.size}):
        raise InputError(f"synset: expected {output.size} class names, one for each output, received {len(names)} in "
                         f"{synset}")
    return names_of(output, names)


def _require_a_name_for_each_number(prediction, names):
    for answer, own in zip(prediction.answers, names):
        if len(own) != len(answer.scores):
            raise InputError(f"network does not answer by class: expected {len(own)} numbers of {answer.output.name}, "
                             f"received {len(answer.scores)}")


def _print(prediction, names, args, thresholds):
    if args.json:
        print(json.dumps(_as_json(prediction, names, args.top or TOP, thresholds), ensure_ascii=False))
        return
    print(prediction.path)
    if prediction.problem:
        print(f"  cannot be read: {prediction.problem}")
        return
    if prediction.novelty and prediction.novelty.far:
        print(f"  {prediction.novelty.describe()}")
    for answer, own in zip(prediction.answers, names):
        if len(prediction.answers) > 1:
            print(f"  {answer.output.name}, {answer.output.kind}:")
        is_main = answer is prediction.answers[0]
        chosen = is_main and thresholds and not args.top
        for line in _labels(answer, own, thresholds) if chosen else _top(answer, own, args.top or TOP):
            print(f"{'  ' * (len(prediction.answers) > 1)}  {line}")


def _top(answer, names, count):
    """Return a line for each of the likeliest classes, or each number."""
    figure = "{:.6g}" if answer.output.kind == "values" else "{:.4f}"
    return [f"{figure.format(value)}  {names[i]}" for i, value in answer.top(count)]


def _labels(answer, names, thresholds):
    """Return a line for each label that is said, or what comes nearest."""
    said = answer.said(thresholds)
    if said:
        return [f"{value:.4f}  {names[i]}" for i, value in said]
    (i, value), = answer.top(1)
    return [f"no label reaches its threshold; the likeliest: {value:.4f}  {names[i]} (from {thresholds[i]:.4f} on)"]


def _as_json(prediction, names, count, thresholds):
    """Return a prediction as JSON has it: the main output's top, and every output where it is not one of N classes."""
    rows = [{"output": answer.output.name, "kind": answer.output.kind,
             "top": [{"class": own[i], "label": i, _measure(answer): round(value, 6)}
                     for i, value in answer.top(count)]} for answer, own in zip(prediction.answers, names)]
    said = {"image": prediction.path, "top": rows[0]["top"] if rows else None, "problem": prediction.problem}
    if prediction.novelty:
        said["novelty"] = prediction.novelty.to_dict()
    if thresholds and prediction.answers:
        said["labels"] = [names[0][i] for i, _ in prediction.answers[0].said(thresholds)]
    plain = len(rows) < 2 and (not rows or prediction.answers[0].output.names_classes)
    return said if plain else {**said, "outputs": rows}


def _measure(answer):
    return "probability" if answer.output.has_probabilities else "value"
