"""Faces: insightface's recognition/train.py, successor of its train_softmax.py.

    CUDA_VISIBLE_DEVICES='0,1,2,3' python -u recipes/train_faces.py \\
        --network r100 --loss arcface --dataset emore
    python recipes/train_faces.py --network m05 --loss cosface --dataset mine \\
        --config mine.yaml --models-root runs --lr 0.01
    python recipes/train_faces.py --network r100 --loss triplet --lr 0.005 \\
        --dataset emore --pretrained ./models/r100-arcface-emore/model

Names and defaults are those of upstream's sample_config.py: networks r100
r100fc r50 r50v1 y1 y2 m1 m05 (d169 d201 mnas mnas05 mnas025 vargfacenet are
known and not built); datasets emore, retina; losses softmax nsoftmax arcface
cosface combined subcenter triplet atriplet. A YAML file adds and changes rows:

    dataset:
      mine: {dataset_path: faces, val_targets: [lfw]}
    network:
      r34: {net_name: fresnet, num_layers: 34}
    loss:
      arcface: {loss_s: 32}
    default: {per_batch_size: 64}

The names become flags of train_softmax.py, which trains; the command is printed
first. Whatever other flag train_softmax has may be given too and wins. Files:
MODELS_ROOT/NETWORK-LOSS-DATASET/model-symbol.json and so on.

Other than upstream: arcface past θ + m = π falls on with θ (--loss-type 4);
the whole network is saved and not the embedding alone (mxft slim cuts it);
property says how many classes there are.

Published: LFW 99.77 %, CFP-FP 98.27, AgeDB-30 98.28 (r100, arcface, emore).
"""
import os
import pathlib
import runpy
import shlex
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))

from mxft.command import run_command  # noqa: E402
from mxft.commandline.arguments import whole  # noqa: E402
from mxft.commandline.recipes import recipe_parser, typed_command  # noqa: E402
from mxft.commandline.sample_config import TABLES, read_tables, settings_of, train_softmax_flags  # noqa: E402

OVERRIDES = {"lr": "--lr", "lr_steps": "--lr-steps", "wd": "--wd", "mom": "--mom", "ckpt": "--ckpt",
             "verbose": "--verbose", "frequent": "--frequent", "per_batch_size": "--per-batch-size",
             "kvstore": "--kv-store", "end_epoch": "--end-epoch"}
FLAGS = {"lr_steps": "--lr-steps"}  # as train_softmax


def parser():
    """Return the argument parser; what it does not know goes to train_softmax."""
    p, default = recipe_parser("train_faces", __doc__), TABLES["default"]
    for name in ("network", "loss", "dataset"):
        p.add_argument(f"--{name}", metavar="NAME", help=f"row of the table (default: {default[name]})")
    p.add_argument("--config", metavar="FILE", help="YAML with rows of one's own")
    p.add_argument("--models-root", metavar="DIR", help=f"of the files (default: {default['models_root']})")
    p.add_argument("--pretrained", metavar="PREFIX", help="checkpoint to begin from")
    p.add_argument("--pretrained-epoch", type=whole(0), metavar="N",
                   help=f"of that checkpoint (default: {default['pretrained_epoch']})")
    p.add_argument("--kvstore", metavar="NAME", help=f"of train_softmax (default: {default['kvstore']})")
    for name in ("lr", "lr_steps", "wd", "mom", "ckpt", "verbose", "frequent", "per_batch_size"):
        p.add_argument(OVERRIDES[name], dest=name, metavar="N",
                       help=f"of train_softmax (default: {default[name]}, or the row's)")
    return p


def translate(argv):
    """Return the arguments of train_softmax that a command line of recognition/train.py stands for.

    Raises
    ------
    InputError
        A name that no table has, or a network or loss that is not built.
    """
    args, further = parser().parse_known_args(argv)
    tables = read_tables(args.config)
    names = {name: getattr(args, name) or tables["default"][name] for name in ("network", "loss", "dataset")}
    config, default = settings_of(tables, **names)
    default.update({name: value for name, value in vars(args).items() if value is not None and name in default})
    prefix = os.path.join(default["models_root"], "{network}-{loss}-{dataset}".format(**names), "model")
    flags = [*train_softmax_flags(config, names["network"]), ("--prefix", prefix),
             *((flag, str(default[name])) for name, flag in OVERRIDES.items())]
    if default["pretrained"]:
        flags.append(("--pretrained", f"{default['pretrained']},{default['pretrained_epoch']}"))
    return [word for flag, value in _needed(flags) for word in _words(flag, value)] + further


def _words(flag, value):
    return [flag] if value is None else [f"{flag}={value}"] if value.startswith("-") else [flag, value]


def _needed(flags):
    """Return the flags that say something else than train_softmax's default."""
    own = _train_softmax()["parser"]()
    default = vars(own.parse_args([]))
    return [(flag, value) for flag, value in flags
            if vars(own.parse_args([flag] if value is None else [f"{flag}={value}"])) != default]


def _train_softmax():
    """Return the names of the recipe beside this one."""
    return runpy.run_path(str(pathlib.Path(__file__).with_name("train_softmax.py")), run_name="train_softmax")


def main(argv=None):
    """Translate, say what was translated, and train."""
    words = translate(list(sys.argv[1:] if argv is None else argv))
    print(f"this is {typed_command('train_softmax')} {shlex.join(words)}", flush=True)
    return _train_softmax()["main"](words)


if __name__ == "__main__":
    sys.exit(run_command("train_faces", main, flags=FLAGS))
