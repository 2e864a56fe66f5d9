"""When to fine-tune what: the four cases of the CS231n notes, measured.

    python recipes/four_cases.py --data 256_ObjectCategories.tar \\
        --model mobilenet-v1-0.25,0 --image-shape 3,128,128

Photographs are like what an ImageNet network was trained on, handwritten
digits (scikit-learn's, 8x8 pixels) are not. Few and many:
  photographs, few   40 classes x 12 = 480; 6 a class validate
  photographs, many  8 kinds of 10 or more classes (vehicles, music ...), 130 of
                     a kind = 1,040; the rest validates
  digits, few        10 x 10 = 100; 60 of each validate
  digits, many       10 x 110 = 1,100; 60 of each validate

Each is trained by the commands `mxft advise` gives for all four cases, word for
word (--epochs where they name none; --no-mirror for digits, since a 2 in a
mirror is none), mean of --seeds splits. Then come one standard error of the
best, sqrt(p (1 - p) / images), and advise's own pick, from the pictures.
Advice 2 begins at advice 1's head and keeps its best epoch: where both are
level, training the backbone gained nothing.
"""
import os
import pathlib
import shlex
import statistics
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))

from mxft.command import Terminated, run_command
from mxft.commandline.arguments import Parser, add_device_options, add_input_options, input_spec, whole  # noqa: E402
from mxft.commandline.recipes import recipe_parser  # noqa: E402
from mxft.errors import InputError  # noqa: E402

FEW_CLASSES, DIGITS_HELD_OUT = 40, 60
KINDS = {
    "birds": "cormorant duck goose hummingbird ibis-101 ostrich owl penguin swan bat",
    "buildings": "eiffel-tower golden-gate-bridge light-house minaret pyramid skyscraper smokestack tower-pisa teepee "
                 "windmill telephone-box tombstone",
    "electronics": "boom-box calculator computer-keyboard computer-monitor computer-mouse floppy-disk head-phones ipod "
                   "laptop-101 palm-pilot photocopier vcr video-projector",
    "food": "cake cereal-box fried-egg grapes hamburger hot-dog ice-cream-cone mushroom spaghetti sushi tomato "
            "watermelon",
    "insects": "butterfly centipede cockroach crab-101 grasshopper horseshoe-crab house-fly praying-mantis "
               "scorpion-101 snail spider starfish-101",
    "mammals": "bear camel chimp dog elephant-101 elk giraffe goat gorilla greyhound horse kangaroo-101 leopards-101 "
               "llama-101 porcupine raccoon skunk zebra",
    "music": "electric-guitar-101 french-horn grand-piano-101 guitar-pick harmonica harp harpsichord mandolin "
             "sheet-music tambourine tuning-fork xylophone",
    "vehicles": "airplanes-101 blimp bulldozer canoe car-side-101 covered-wagon fighter-jet fire-truck helicopter-101 "
                "hot-air-balloon kayak ketch-101 motorbikes-101 mountain-bike school-bus segway snowmobile speed-boat",
}
# case of the advice: (folder, training images a class)
CASES = {1: ("photographs-few", 12), 2: ("photographs-many", 130), 3: ("digits-few", 10), 4: ("digits-many", 110)}


def parser():
    """Return the argument parser."""
    p = recipe_parser("four_cases", __doc__)
    p.add_argument("--data", required=True, metavar="PATH", help="Caltech-256: folder or .tar of class folders")
    p.add_argument("--model", required=True, metavar="PREFIX,EPOCH", help="checkpoint, or the folder of a run")
    p.add_argument("--seeds", type=whole(1), default=3, metavar="N", help="splits of each (default: 3)")
    p.add_argument("--epochs", type=whole(1), default=8, metavar="N", help="of SGD (default: 8)")
    p.add_argument("--work", default="data-cache", metavar="DIR", help="for what --data holds (default: data-cache)")
    p.add_argument("--run", metavar="DIR", help="folder for everything (default: runs/four-cases, numbered)")
    add_input_options(p)
    add_device_options(p)
    return p


def make_cases(source, home):
    """Write the four folders of class folders: links to photographs, digits as files."""
    classes = {name.split(".", 1)[1]: os.path.join(source, name) for name in sorted(os.listdir(source))
               if "." in name and "clutter" not in name}
    missing = [name for names in KINDS.values() for name in names.split() if name not in classes]
    if missing:
        raise InputError(f"photographs: expected the class folders of Caltech-256 in {source}, received none called "
                         f"{', '.join(missing[:3])}{f' and {len(missing) - 3} more' if len(missing) > 3 else ''}")
    for name in list(classes)[:FEW_CLASSES]:
        _link([classes[name]], os.path.join(home, "photographs-few", name))
    for kind, names in KINDS.items():
        _link([classes[name] for name in names.split()], os.path.join(home, "photographs-many", kind))
    for name, per_class in CASES.values():
        if _is_digits(name):
            write_digits(os.path.join(home, name), per_class + DIGITS_HELD_OUT)


def _is_digits(folder):
    return os.path.basename(folder).startswith("digits")


def _link(folders, target):
    os.makedirs(target)
    for folder in folders:
        for file in sorted(os.listdir(folder)):
            name = f"{os.path.basename(folder)}-{file}"
            os.symlink(os.path.abspath(os.path.join(folder, file)), os.path.join(target, name))


def write_digits(target, per_class):
    """Write so many of each of scikit-learn's digits, 8x8 values of 0-16, at 64x64 pixels."""
    import cv2
    import numpy as np
    from sklearn.datasets import load_digits

    digits = load_digits()
    for label in range(10):
        folder = os.path.join(target, str(label))
        os.makedirs(folder)
        for number, image in enumerate(digits.images[digits.target == label][:per_class]):
            pixels = cv2.resize(np.uint8(image * 255 / 16), (64, 64), interpolation=cv2.INTER_CUBIC)
            cv2.imwrite(os.path.join(folder, f"{number:04d}.png"), pixels)


def pick(args, checkpoint, spec, folder, per_class):
    """Return the case `mxft advise` picks for a folder by its own evidence, and the layer of features for case 3."""
    from mxft.data.pictures import open_pictures
    from mxft.evaluation.packing import default_resize
    from mxft.features.advice import is_small
    from mxft.features.probe import measure_pictures

    pictures = open_pictures(folder)
    evidence = measure_pictures(checkpoint, spec, pictures, default_resize(spec), threads=args.data_nthreads)
    print(f"{os.path.basename(folder)}:\n{evidence.table()}\n", flush=True)
    small = is_small(per_class * pictures.target.size, pictures.target.size)
    case = {(True, True): 1, (False, True): 2, (True, False): 3, (False, False): 4}[small, evidence.similar]
    return case, evidence.probes[-2:][0].layer if evidence.similar else evidence.best_layer


def train(args, case, folder, per_class, layer, seed, run, spec):
    """Fine-tune by the command of one case's advice; return its Score on the validation images."""
    from mxft.commandline.training_options import add_training_options, recipe_from
    from mxft.data.datasets import prepare_records
    from mxft.evaluation.packing import default_resize
    from mxft.features.advice import advise
    from mxft.workflows.finetune import finetune

    advice = advise(*{1: (100, 10, True), 2: (10000, 10, True), 3: (100, 10, False), 4: (10000, 10, False)}[case],
                    layer=layer)
    words = ["--seed", str(seed), "--epochs", str(args.epochs), *shlex.split(advice.flags),
             *(["--no-mirror"] if _is_digits(folder) else [])]
    prefix = os.path.join(os.path.dirname(folder), f"records-{seed}", os.path.basename(folder), "images")
    records, _ = prepare_records(folder, prefix, per_class, seed, num_thread=args.data_nthreads or os.cpu_count() or 1,
                                 resize=default_resize(spec), show=False)
    flags = Parser(prog="mxft finetune")
    add_training_options(flags)
    recipe = recipe_from(flags.parse_args(words))
    result = finetune(args.model, records, run, recipe, spec, args.gpus, threads=args.data_nthreads)
    if result.fit.interrupted:
        raise Terminated(result.fit.interrupted)
    return result.score


def main(argv=None):
    """Make the data, ask for advice, try all of it, print the table."""
    args = parser().parse_args(argv)
    from mxft.files.archive import folder_of
    from mxft.network.checkpoint import load_checkpoint
    from mxft.network.input_spec import InputSpec
    from mxft.training.run import check_run_folder, free_folder

    checkpoint = load_checkpoint(args.model)
    spec = input_spec(args, checkpoint.input_spec, checkpoint.assumed_spec(InputSpec()))
    home = args.run or free_folder(os.path.join("runs", "four-cases"))
    check_run_folder(home)
    make_cases(folder_of(args.data, args.work), home)
    rows = []
    for case, (name, per_class) in CASES.items():
        folder = os.path.join(home, name)
        picked, earlier = pick(args, checkpoint, spec, folder, per_class)
        reached = {}
        for advised in CASES:
            scores = [train(args, advised, folder, per_class, earlier, seed,
                            os.path.join(home, f"{name}-advice{advised}-seed{seed}"), spec)
                      for seed in range(args.seeds)]
            reached[advised] = statistics.mean(score.top1 for score in scores)
        rows.append((case, name, picked, reached, sum(score.records for score in scores)))
    report(rows, home)
    return 0


def report(rows, home):
    """Print and save the table."""
    from mxft.files.whole import whole_file

    lines = ["| case | data | " + " | ".join(f"advice {case}" for case in CASES) + " | ± | picked by advise |",
             "|---|---|" + "---|" * (len(CASES) + 2)]
    for case, name, picked, reached, judged in rows:
        best = max(reached.values())
        error = (best * (1 - best) / judged) ** 0.5
        cells = [f"**{top1:.3f}**" if top1 == best else f"{top1:.3f}" for top1 in reached.values()]
        lines.append(f"| {case} | {name.replace('-', ', ')} | {' | '.join(cells)} | {error:.3f} | {picked} |")
    with whole_file(os.path.join(home, "table.md"), "w") as f:
        f.write("\n".join(lines) + "\n")
    print("\nvalidation top-1 by the command of each case's advice, best in bold\n" + "\n".join(lines))
    print(f"\ntable: {os.path.abspath(os.path.join(home, 'table.md'))}")


if __name__ == "__main__":
    sys.exit(run_command("four_cases", main))
