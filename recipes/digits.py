"""Digits 0-4 to 5-9: the whole workflow on data that comes with scikit-learn.

    make demo
    python recipes/digits.py --per-class 5 --seeds 3

A small network learns the digits 0-4 from 150 images each, and is then
fine-tuned to 5-9 from a handful. The same functions as in caltech256.py do it:
split and pack, cut and new head, fit, score through the inference executor.
The arithmetic: 5 classes x 5 images = 25 training images, batch 5, so 5
updates an epoch and 25 in 5 epochs; the other 871 images of 5-9 validate.
Chance is 0.20.

Expected (3 seeds, CPU): from scratch 0.715, head 0.780, full 0.760. What the
pretrained backbone saves is updates: with --epochs 20 all three meet near 0.9,
as the problem is so small.
"""
import os
import pathlib
import statistics
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))

from mxft.command import run_command
from mxft.commandline.arguments import whole  # noqa: E402
from mxft.commandline.recipes import recipe_parser  # noqa: E402
from mxft.errors import DependencyError  # noqa: E402

SIZE = 32


def parser():
    """Return the argument parser."""
    p = recipe_parser("digits", __doc__)
    p.add_argument("--per-class", type=whole(1, 150), default=5, metavar="N",
                   help="images of each new digit to learn from (default: 5)")
    p.add_argument("--seeds", type=whole(1), default=3, metavar="N", help="runs of each kind (default: 3)")
    p.add_argument("--epochs", type=whole(1), default=5, metavar="N", help="of fine-tuning (default: 5)")
    p.add_argument("--run", metavar="DIR", help="folder for everything (default: runs/digits, numbered)")
    return p


def load_digits():
    """Return scikit-learn's digits, or say how to get them."""
    try:
        from sklearn import datasets
    except ImportError as error:
        raise DependencyError(f"the digits are missing: expected scikit-learn, received {error}; "
                              "pip install scikit-learn") from None
    return datasets.load_digits()


def write_digits(folder):
    """Write scikit-learn's 1,797 digits (8x8, 0-16) as 32x32 images, a folder a digit, in two halves of the classes."""
    import cv2
    import numpy as np

    digits = load_digits()
    for number, (image, label) in enumerate(zip(digits.images, digits.target)):
        place = os.path.join(folder, "0-4" if label < 5 else "5-9", str(label))
        os.makedirs(place, exist_ok=True)
        pixels = cv2.resize(np.uint8(image * 255 / 16), (SIZE, SIZE), interpolation=cv2.INTER_CUBIC)
        cv2.imwrite(os.path.join(place, f"{number:04d}.png"), pixels)


def small_network(num_classes):
    """Return three convolutions with BatchNorm, average pooling, ``flatten0`` and ``fc1``: 104,000 numbers."""
    from mxft.compat import mx

    net = mx.sym.Variable("data")
    for number, channels in enumerate((32, 64, 128)):
        net = mx.sym.Convolution(net, num_filter=channels, kernel=(3, 3), stride=(1 + (number > 0),) * 2, pad=(1, 1),
                                 no_bias=True, name=f"conv{number}")
        net = mx.sym.Activation(mx.sym.BatchNorm(net, fix_gamma=False, name=f"bn{number}"), act_type="relu")
    net = mx.sym.Pooling(net, kernel=(2, 2), stride=(2, 2), pool_type="avg", name="pool")
    net = mx.sym.FullyConnected(mx.sym.Flatten(net, name="flatten0"), num_hidden=num_classes, name="fc1")
    return mx.sym.SoftmaxOutput(net, name="softmax")


def random_checkpoint(num_classes, seed):
    """Return the small network with Xavier weights, as a checkpoint that any verb would take."""
    from mxft.compat import mx
    from mxft.network.checkpoint import Checkpoint
    from mxft.training.fit import seed_everything

    seed_everything(seed)
    module = mx.mod.Module(small_network(num_classes))
    module.bind([("data", (1, 3, SIZE, SIZE))], [("softmax_label", (1,))])
    module.init_params(mx.init.Xavier(rnd_type="gaussian", factor_type="in", magnitude=2))
    return Checkpoint(module.symbol, *module.get_params(), name="small network, random weights")


def main(argv=None):
    """Train on 0-4, fine-tune to 5-9 in three ways and several seeds, print the table."""
    args = parser().parse_args(argv)
    from mxft.network.input_spec import InputSpec
    from mxft.training.run import check_run_folder, free_folder

    home = args.run or free_folder(os.path.join("runs", "digits"))
    check_run_folder(home)
    photographs = os.path.join(home, "digits")
    write_digits(photographs)
    spec = InputSpec((3, SIZE, SIZE), mean=(127.5,) * 3, scale=(1 / 127.5,) * 3)
    print("1. a network for the digits 0-4\n")
    base = train(random_checkpoint(5, seed=0), os.path.join(photographs, "0-4"), 150, os.path.join(home, "base"), spec,
                 "full", epochs=12, batch_size=25, seed=0)
    print(f"\n2. from {args.per_class} images of each of the digits 5-9\n")
    kinds = {"from scratch": (None, "full"), "head": (base.fit.best, "head"), "full": (base.fit.best, "full")}
    results = {kind: [] for kind in kinds}
    for seed in range(args.seeds):
        for kind, (model, plan) in kinds.items():
            print(f"--- {kind}, seed {seed}")
            run = os.path.join(home, f"{kind.replace(' ', '-')}-seed{seed}")
            results[kind].append(train(model or random_checkpoint(5, seed), os.path.join(photographs, "5-9"),
                                       args.per_class, run, spec, plan, args.epochs, 5, seed))
            print()
    report(results, home)
    return 0


def train(model, folder, per_class, run, spec, plan, epochs, batch_size, seed):
    """Split, pack, fine-tune and score: the library's own functions, as the other recipes call them."""
    from mxft.data.datasets import prepare_records
    from mxft.training.fit import FitOptions
    from mxft.training.recipe import Recipe
    from mxft.workflows.finetune import finetune

    records, _ = prepare_records(folder, f"{run}-records/digits", per_class, seed, encoding=".png", show=False)
    recipe = Recipe(plan=plan, batch_size=batch_size, learning_rate=0.02, schedule="cosine", augment=0, seed=seed,
                    fit=FitOptions(epochs=epochs, momentum=0.9, wd=1e-4))
    return finetune(model, records, run, recipe, spec)


def report(results, home):
    """Print and save the table, and draw the curves of the first seed of each kind."""
    from mxft.files.whole import whole_file, write_json
    from mxft.report.curves import draw_runs

    lines = ["| way | validation top-1, mean | spread | runs |", "|---|---|---|---|"]
    for kind, runs in results.items():
        scores = [run.score.top1 for run in runs]
        spread = f"{min(scores):.3f}-{max(scores):.3f}"
        lines.append(f"| {kind} | {statistics.mean(scores):.3f} | {spread} | {len(scores)} |")
    with whole_file(os.path.join(home, "table.md"), "w") as f:
        f.write("\n".join(lines) + "\n")
    write_json(os.path.join(home, "results.json"), {kind: statistics.mean(run.score.top1 for run in runs)
                                                    for kind, runs in results.items()})
    draw_runs({kind: runs[0].fit.history for kind, runs in results.items()}, os.path.join(home, "curves.png"))
    print("digits 5-9, best epoch of each run (chance 0.200)\n" + "\n".join(lines))
    print(f"\ncurves: {os.path.abspath(os.path.join(home, 'curves.png'))}\ntable:  {os.path.join(home, 'table.md')}")


if __name__ == "__main__":
    sys.exit(run_command("digits", main))
