"""Calibration and novelty, measured on the features of a frozen backbone.

    mxft extract-features --model mobilenet-v2-1.0,0 \\
        --image-shape 3,224,224 256_ObjectCategories.tar codes.npz
    python recipes/calibration.py codes.npz
    python recipes/calibration.py codes.npz --classes 8 --heads ridge
    python recipes/calibration.py codes.npz --novelty --classes 2,5,10

The features are those of a frozen backbone. Of each class --per-class images
train and the others are held out. First table: log loss (nats) and expected
calibration error (15 bins) of heads on held-out images. A fitted head is judged
with the classifier's own scores, and with their scale chosen by
cross-validation of the training images. The head trained by SGD (8 epochs at
0.05, batch 32, momentum 0.9, weight decay 1e-4, cosine) is judged as it is, and
with its temperature: each half of the held-out images at that of the other.
"frequencies" is the log loss of a classifier that knows only how frequent each
class is. With --novelty: the part of the held-out images, of so many classes
chosen at random, that is marked as far from the training images (aim: 0.05),
and that of the images of all other classes, in the mean over --draws choices.
"""
import collections
import pathlib
import sys

import numpy as np

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))

from mxft.command import run_command  # noqa: E402
from mxft.commandline.arguments import names_of, numbers, whole  # noqa: E402
from mxft.commandline.recipes import recipe_parser  # noqa: E402
from mxft.options import SOLVERS  # noqa: E402

SGD = "sgd"
HEADS = (*SOLVERS, SGD)


def parser():
    """Return the argument parser."""
    p = recipe_parser("calibration", __doc__)
    p.add_argument("features", metavar="FILE", help="of mxft extract-features, with the labels of class folders")
    p.add_argument("--classes", type=numbers(None, int), default=(8, 40, 256), metavar="N,N",
                   help="the first so many, or chosen for --novelty (default: 8,40,256)")
    p.add_argument("--heads", default=",".join(HEADS), metavar="A,B", help=f"(default: {','.join(HEADS)})")
    p.add_argument("--per-class", type=whole(1), default=12, metavar="N", help="training images (default: 12)")
    p.add_argument("--seed", type=whole(0), default=0, metavar="N", help="of the choice of images (default: 0)")
    p.add_argument("--novelty", action="store_true", help="measure what is marked as far")
    p.add_argument("--draws", type=whole(1), default=20, metavar="N", help="of --novelty (default: 20)")
    return p


def main(argv=None):
    """Print the tables."""
    args = parser().parse_args(argv)
    heads = names_of(args.heads, HEADS, "--heads")
    from mxft.features.files import read_features

    found = read_features(args.features)
    features = found.features.reshape(len(found.features), -1).astype(np.float32)
    labels = found.labels.astype(int)
    print("| classes | false alarms | marked |\n|---|---|---|" if args.novelty else
          "| head | classes | top-1 | frequencies | log loss | ECE | log loss, scaled | ECE, scaled |\n"
          "|---|---|---|---|---|---|---|---|")
    for classes in args.classes:
        if args.novelty:
            print(novelty_row(features, labels, classes, args), flush=True)
            continue
        for head in heads:
            print(head_row(features, labels, classes, head, args), flush=True)


def divided(labels, classes, per_class, seed):
    """Return the numbers of the training and of the held-out images of these classes."""
    parts = collections.defaultdict(list)
    for label in classes:
        members = np.random.RandomState([seed, label]).permutation(np.flatnonzero(labels == label))
        parts["train"].append(members[:per_class])
        parts["held out"].append(members[per_class:])
    return np.concatenate(parts["train"]), np.concatenate(parts["held out"])


def head_row(features, labels, classes, name, args):
    """Return a line of the first table."""
    from mxft.evaluation.calibration import calibrate, expected_calibration_error
    from mxft.evaluation.classification import cross_entropy, softmax, top_k
    from mxft.features.solvers import solve_head

    train, held_out = divided(labels, range(classes), args.per_class, args.seed)
    truth = labels[held_out]
    if name == SGD:
        logits = sgd_logits(features[train], labels[train], features[held_out], classes, args.seed)
        told = calibrate(logits, truth)
        figures = [told.loss, told.ece, told.calibrated_loss, told.calibrated_ece]
    else:
        head = solve_head(name, features[train], labels[train], classes, args.seed)
        logits = features[held_out] @ head.weight.T + head.bias
        figures = [figure for scores in (logits / np.float32(head.scale), logits)
                   for figure in (cross_entropy(scores, truth), expected_calibration_error(softmax(scores), truth))]
    shares = np.bincount(truth) / len(truth)
    figures = [top_k(logits, truth), -np.sum(shares * np.log(shares)), *figures]
    return f"| {name} | {classes} | " + " | ".join(f"{figure:.3f}" for figure in figures) + " |"


def sgd_logits(features, labels, held_out, classes, seed):
    """Train a head by MXNet's own ``Module.fit``; return its logits of the held-out features."""
    from mxft.compat import mx
    from mxft.training.fit import seed_everything

    epochs, batch = 8, min(32, len(features))
    logits = mx.sym.FullyConnected(mx.sym.Variable("data"), num_hidden=classes, name="head")
    module = mx.mod.Module(mx.sym.SoftmaxOutput(logits, name="softmax"))
    seed_everything(seed)
    images = mx.io.NDArrayIter(features, labels.astype(np.float32), batch, shuffle=True, last_batch_handle="discard")
    steps = epochs * (len(features) // batch)
    schedule = mx.lr_scheduler.CosineScheduler(steps, base_lr=0.05)
    module.fit(images, num_epoch=epochs, initializer=mx.init.Normal(0.01), eval_metric="ce", optimizer_params={
        "learning_rate": 0.05, "momentum": 0.9, "wd": 1e-4, "lr_scheduler": schedule})
    weight, bias = (module.get_params()[0][f"head_{name}"].asnumpy() for name in ("weight", "bias"))
    return held_out @ weight.T + bias


def novelty_row(features, labels, classes, args):
    """Return a line of the second table."""
    from mxft.evaluation.novelty import make_reference

    rates = []
    for draw in range(args.draws):
        chosen = np.random.RandomState([args.seed, draw]).choice(labels.max() + 1, classes, replace=False)
        train, held_out = divided(labels, chosen, args.per_class, draw)
        unknown = np.flatnonzero(~np.isin(labels, chosen))
        reference = make_reference("features", features[train], pretrained=True)
        rates.append([np.mean([one.far for one in reference.judge(features[rows])]) for rows in (held_out, unknown)])
    return f"| {classes} | " + " | ".join(f"{rate:.3f}" for rate in np.mean(rates, axis=0)) + " |"


if __name__ == "__main__":
    sys.exit(run_command("calibration", main))
