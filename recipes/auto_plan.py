"""What `--plan auto` reaches, beside plans that were chosen by hand.

    python recipes/auto_plan.py --data 256_ObjectCategories.tar \\
        --model mobilenet-v2-1.0,0
    python recipes/auto_plan.py --data 256_ObjectCategories.tar \\
        --model mobilenet-v2-1.0,0 --sets photographs-256 --splits 1
    python recipes/auto_plan.py --data 256_ObjectCategories.tar \\
        --model mobilenet-v1-0.25,0 --image-shape 3,128,128 \\
        --sets digits-few,digits-many

The sets, other images for each of --splits:
  photographs-8    8 classes chosen at random x 12; all others validate
  photographs-256  256 classes x 12; all others validate
  digits-few       scikit-learn's digits, 10 x 10; 60 of each validate
  digits-many      10 x 110; 60 of each validate
  uneven           1,000 photographs of 60 classes together against 3 of one
                   more; all others of these classes validate

`auto` is given nothing but the data and the network. The other ways are those
of freezing_plans.py, with its settings and without its slower twins of one
result. The table has the mean over the splits of the top-1 and of the mean
recall of the classes, each with its standard error.
"""
import collections
import os
import pathlib
import statistics
import sys
import time

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent), str(HERE)]  # mxft, and the recipes this one stands on

from mxft.command import Terminated, run_command  # noqa: E402
from mxft.commandline.arguments import add_device_options, add_input_options, input_spec, names_of, whole  # noqa: E402
from mxft.commandline.recipes import recipe_parser  # noqa: E402
from mxft.errors import InputError  # noqa: E402

AUTO = "auto"
WAYS = (AUTO, "head, cached", "logistic", "two-stage", "full")
PHOTOGRAPHS, DIGITS = 12, {"digits-few": 10, "digits-many": 110}
SETS = ("photographs-8", "photographs-256", *DIGITS, "uneven")
MANY, RARE, MANY_CLASSES = 1000, 3, 60


def parser():
    """Return the argument parser."""
    p = recipe_parser("auto_plan", __doc__)
    p.add_argument("--data", required=True, metavar="PATH", help="Caltech-256: folder or .tar of class folders")
    p.add_argument("--model", required=True, metavar="PREFIX,EPOCH", help="checkpoint, or the folder of a run")
    p.add_argument("--sets", default="photographs-8", metavar="A,B",
                   help=f"of {', '.join(SETS)} (default: photographs-8)")
    p.add_argument("--ways", default="; ".join(WAYS), metavar="LIST",
                   help=f"separated by semicolons (default: {'; '.join(WAYS)})")
    p.add_argument("--splits", type=whole(1), default=5, metavar="N", help="of each set (default: 5)")
    p.add_argument("--work", default="data-cache", metavar="DIR", help="for what --data holds (default: data-cache)")
    p.add_argument("--run", metavar="DIR", help="folder for everything (default: runs/auto-plan, numbered)")
    add_input_options(p)
    add_device_options(p)
    return p


def make_set(name, source, folder, split):
    """Write ``train/`` and ``val/`` of one set, links to its images."""
    import numpy as np
    from four_cases import DIGITS_HELD_OUT, write_digits

    rng = np.random.RandomState([SETS.index(name), split])
    if name in DIGITS:
        whole_set = f"{folder}-all"
        write_digits(whole_set, DIGITS[name] + DIGITS_HELD_OUT)
        return _divide(_classes(whole_set), DIGITS[name], DIGITS_HELD_OUT, folder, rng)
    classes = _classes(source)
    wanted = {"photographs-8": 8, "uneven": MANY_CLASSES + 1}.get(name, 256)
    if len(classes) < wanted:
        raise InputError(f"photographs: expected {wanted} class folders for {name}, received {len(classes)} in "
                         f"{source}; name the folder or archive of Caltech-256")
    names = list(classes) if name == "photographs-256" else sorted(rng.choice(list(classes), wanted, replace=False))
    if name != "uneven":
        return _divide({key: classes[key] for key in names}, PHOTOGRAPHS, None, folder, rng)
    rare, *many = rng.permutation(names).tolist()
    together = [file for key in sorted(many) for file in classes[key]]
    if len(together) <= MANY or len(classes[rare]) <= RARE:
        raise InputError(f"photographs: expected over {MANY:,} of {MANY_CLASSES} classes for uneven, received "
                         f"{len(together):,} in {source}; name the folder or archive of Caltech-256")
    _divide({"many": together}, MANY, None, folder, rng)
    return _divide({"rare": classes[rare]}, RARE, None, folder, rng)


def _classes(folder):
    """Return {class: paths of its images} of a folder of class folders, without Caltech-256's clutter."""
    from mxft.data.picture_folders import class_folders
    from mxft.data.pictures import CLUTTER

    return {name: [os.path.join(folder, path) for path in paths]
            for name, paths in class_folders(folder, (CLUTTER,)).items()}


def _divide(classes, train, held_out, folder, rng):
    """Write so many files of each class for training, and the others, or so many of them, for validation."""
    for name, files in classes.items():
        files = [files[place] for place in rng.permutation(len(files))]
        parts = {"train": files[:train], "val": files[train:][:held_out]}
        for part, members in parts.items():
            target = os.path.join(folder, part, name)
            os.makedirs(target)
            for number, file in enumerate(members):
                os.symlink(os.path.abspath(file), os.path.join(target, f"{number:04d}-{os.path.basename(file)}"))


def train(args, way, checkpoint, spec, records, run):
    """Fine-tune in one way; return top-1 and mean recall on the validation images, the seconds, and how many images."""
    import freezing_plans
    import numpy as np

    import mxft
    from mxft.evaluation.classification import confusion_matrix, per_class_recall

    began = time.perf_counter()
    recipe = None
    if way != AUTO:
        defaults = freezing_plans.parser().parse_args(["--data", args.data, "--model", args.model])
        recipe = freezing_plans.recipes(defaults)[way]
    result = mxft.finetune(checkpoint, records, run, recipe=recipe, image_shape=spec.shape, rgb_mean=spec.mean,
                           rgb_std=[1 / scale for scale in spec.scale], gpus=args.gpus, threads=args.data_nthreads)
    if result.fit.interrupted:
        raise Terminated(result.fit.interrupted)
    seconds, score = time.perf_counter() - began, result.score
    confusion = confusion_matrix(score.logits.argmax(axis=1), score.labels, score.logits.shape[1])
    return score.top1, float(np.nanmean(per_class_recall(confusion))), seconds, score.records


def main(argv=None):
    """Make the sets, train in every way, print the table."""
    args = parser().parse_args(argv)
    sets = names_of(args.sets, SETS, "--sets")
    ways = names_of(args.ways, WAYS, "--ways", ";")
    from mxft.data.datasets import prepare_pictures
    from mxft.data.pictures import open_pictures
    from mxft.evaluation.packing import default_resize
    from mxft.files.archive import folder_of
    from mxft.network.checkpoint import load_checkpoint
    from mxft.network.input_spec import InputSpec
    from mxft.training.run import check_run_folder, free_folder

    checkpoint = load_checkpoint(args.model)
    spec = input_spec(args, checkpoint.input_spec, checkpoint.assumed_spec(InputSpec()))
    home = args.run or free_folder(os.path.join("runs", "auto-plan"))
    check_run_folder(home)
    source = folder_of(args.data, args.work)
    rows = []
    for name in sets:
        found = collections.defaultdict(list)
        for split in range(args.splits):
            folder = os.path.join(home, f"{name}-{split}")
            make_set(name, source, os.path.join(folder, "images"), split)
            records, _ = prepare_pictures(open_pictures(os.path.join(folder, "images")),
                                          os.path.join(folder, "records", "images"), resize=default_resize(spec),
                                          num_thread=args.data_nthreads or os.cpu_count() or 1)
            for way in ways:
                print(f"\n--- {name}, split {split}, {way}", flush=True)
                found[way].append(train(args, way, checkpoint, spec, records,
                                        os.path.join(folder, way.replace(", ", "-"))))
        rows += [(name, way, list(zip(*figures))) for way, figures in found.items()]
    report(rows, home)
    return 0


def report(rows, home):
    """Print and save the table."""
    from mxft.files.whole import whole_file
    from mxft.report.ways import told

    lines = ["| set | way | top-1 | mean recall of the classes | seconds | validation images |",
             "|---|---|---|---|---|---|"]
    lines += [f"| {name} | {way} | {told(top1)} | {told(recall)} | {statistics.mean(seconds):.1f} | {sum(images):,} |"
              for name, way, (top1, recall, seconds, images) in rows]
    with whole_file(os.path.join(home, "table.md"), "w") as f:
        f.write("\n".join(lines) + "\n")
    print("\n" + "\n".join(lines) + f"\n\ntable: {os.path.abspath(os.path.join(home, 'table.md'))}")


if __name__ == "__main__":
    sys.exit(run_command("auto_plan", main))
