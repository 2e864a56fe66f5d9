"""``mxft finetune``: put a new head on a checkpoint and train it on a folder of images or on records."""
import argparse
import os

from mxft.cli.arguments import add_device_options, add_input_options, input_spec, numbers
from mxft.errors import InputError

EXAMPLES = """\
examples:
  mxft finetune --model resnet-50,0 --data photos/ --per-class 60 --run runs/photos
  mxft finetune --model resnet-50,0 --records data/caltech-256-60 --plan head --run runs/head
  mxft finetune --model resnet-50,0 --train train.rec --val val.rec --num-classes 256 --run runs/mine

photos/ holds one folder of images a class. The run folder holds the checkpoints (model-best.params and the last
epoch), model-manifest.json, transfer.json, log.jsonl and curves.png. The defaults are the MXNet tutorial's.
"""


def parser():
    """Return the argument parser."""
    p = argparse.ArgumentParser(prog="mxft finetune", formatter_class=argparse.RawDescriptionHelpFormatter,
                                description="Fine-tune a checkpoint.", epilog=EXAMPLES)
    p.add_argument("--model", required=True, metavar="PREFIX,EPOCH", help="checkpoint, or the folder of a run")
    p.add_argument("--run", required=True, metavar="DIR", help="folder for checkpoints and log: new or empty")
    _add_data_options(p.add_argument_group("data, one of --data, --records, --train"))
    add_training_options(p)
    add_input_options(p)
    add_device_options(p)
    return p


def _add_data_options(group):
    group.add_argument("--data", metavar="FOLDER", help="one folder of images a class; split and packed beside the run")
    group.add_argument("--per-class", type=int, default=60, metavar="N",
                       help="training images of each class (default: 60)")
    group.add_argument("--resize", type=int, metavar="N",
                       help="short side of packed images (default: input size x 8/7)")
    group.add_argument("--quality", type=int, default=90, metavar="Q",
                       help="JPEG quality of packed images (default: 90)")
    group.add_argument("--exclude", action="append", default=[], metavar="NAME", help="class folder to leave out")
    group.add_argument("--records", metavar="PREFIX", help="what `mxft split FOLDER PREFIX` made")
    group.add_argument("--train", metavar="REC", help="a .rec file")
    group.add_argument("--val", metavar="REC", help="a .rec file to validate on")
    group.add_argument("--classes", metavar="FILE", help="class names of --train, one a line")
    group.add_argument("--num-classes", type=int, metavar="N", help="of --train (default: the highest label + 1)")


def add_training_options(parser, **defaults):
    """Add the flags a training run shares, with `defaults` of the caller's own.

    Parameters
    ----------
    parser : argparse.ArgumentParser
    **defaults
        By destination: ``epochs=8``, ``lr=0.01`` …
    """
    net = parser.add_argument_group("network")
    net.add_argument("--layer", help="feature layer (default: found by graph; mxft layers lists them)")
    net.add_argument("--require-head", action="store_true",
                     help="keep the checkpoint's classifier; refuse one for another number of classes")
    net.add_argument("--plan", default="full", help="full: train everything; head: the new head on a fixed trunk "
                                                    "(default: full)")
    net.add_argument("--bn", metavar="MODE", help="BatchNorm statistics: train or eval (default: eval for head)")
    t = parser.add_argument_group("training")
    t.add_argument("--epochs", "--num-epochs", type=int, default=8, help="(default: %(default)s)")
    t.add_argument("--batch-size", type=int, default=128, help="over all devices (default: %(default)s)")
    t.add_argument("--lr", type=float, default=0.01, help="learning rate (default: %(default)s)")
    t.add_argument("--lr-schedule", default="constant", metavar="NAME",
                   help="constant, step, cosine (default: constant)")
    t.add_argument("--lr-step-epochs", type=numbers(None), default=(), metavar="E,E",
                   help="epochs of the step schedule")
    t.add_argument("--lr-factor", type=float, default=0.1, help="at each step (default: %(default)s)")
    t.add_argument("--warmup-epochs", type=float, default=0.0, help="linear growth of the rate (default: 0)")
    t.add_argument("--optimizer", default="sgd", help="any name mx.optimizer knows (default: sgd)")
    t.add_argument("--mom", type=float, metavar="M",
                   help="momentum, for optimizers that have one (default: %(default)s; None: the optimizer's)")
    t.add_argument("--wd", type=float, default=0.0, help="weight decay (default: 0)")
    t.add_argument("--augment", type=int, default=1, choices=(0, 1, 2, 3),
                   help="0 centre crop; 1 random crop, mirror; 2 and colour; 3 and rotation, shear (default: 1)")
    t.add_argument("--patience", type=int, default=0, metavar="N", help="stop after N epochs without a better one")
    t.add_argument("--min-delta", type=float, default=0.0, metavar="D", help="what counts as better for --patience")
    t.add_argument("--keep-every", type=int, default=0, metavar="N", help="keep every n-th epoch's checkpoint")
    t.add_argument("--seed", type=int, default=0, help="(default: 0)")
    t.add_argument("--kv-store", default="device", help="(default: device)")
    t.add_argument("--cpus", type=int, default=1, metavar="N", help="CPU contexts to divide a batch over (default: 1)")
    parser.set_defaults(**defaults)


def recipe_from(args):
    """Turn the flags of `add_training_options` into a Recipe, refusing numbers that make no sense."""
    from mxft.training.finetune import Recipe
    from mxft.training.fit import FitOptions

    for name, least in (("epochs", 1), ("batch_size", 1), ("patience", 0), ("keep_every", 0)):
        if getattr(args, name) < least:
            raise InputError(f"--{name.replace('_', '-')}: expected at least {least}, received {getattr(args, name)}")
    options = FitOptions(epochs=args.epochs, optimizer=args.optimizer, momentum=args.mom, wd=args.wd,
                         kvstore=args.kv_store, patience=args.patience, min_delta=args.min_delta)
    return Recipe(plan=args.plan, batch_norm=args.bn, layer=args.layer, require_head=args.require_head,
                  batch_size=args.batch_size, learning_rate=args.lr, schedule=args.lr_schedule,
                  lr_steps=args.lr_step_epochs, lr_factor=args.lr_factor, warmup_epochs=args.warmup_epochs,
                  augment=args.augment, seed=args.seed, fit=options)


def main(argv=None):
    """Run ``mxft finetune``; exit status 130 where Ctrl-C ended it."""
    args = parser().parse_args(argv)
    from mxft.checkpoint import load_checkpoint
    from mxft.data.normalization import InputSpec
    from mxft.training.finetune import check_recipe, finetune

    recipe = recipe_from(args)
    checkpoint = load_checkpoint(args.model)
    check_recipe(recipe, checkpoint, args.gpus, args.cpus)
    spec = input_spec(args, checkpoint.input_spec, InputSpec())
    result = finetune(args.model, _records(args, spec), args.run, recipe, spec, args.gpus, args.cpus,
                      args.data_nthreads, args.keep_every)
    return exit_status(result)


def exit_status(result):
    """Return 130 for a run that Ctrl-C ended, otherwise 0."""
    return 130 if (result.fit.stopped or "").startswith("interrupted") else 0


def _records(args, spec):
    """Return the Records the flags name, packing a folder where that is what was given."""
    from mxft.cli.split import say_split
    from mxft.data.classes import read_classes
    from mxft.data.datasets import Records, load_records, prepare_records

    given = [name for name in ("data", "records", "train") if getattr(args, name)]
    if len(given) != 1:
        raise InputError(f"data: expected one of --data, --records, --train, received "
                         f"{' and '.join('--' + name for name in given) or 'none'}")
    if args.records:
        return load_records(args.records)
    if args.train:
        classes = read_classes(args.classes) if args.classes else None
        return Records(args.train, args.val, classes, args.num_classes)
    prefix = os.path.normpath(args.run) + "-records/images"
    records, split = prepare_records(args.data, prefix, args.per_class, args.seed, args.exclude,
                                     num_thread=args.data_nthreads or os.cpu_count() or 1,
                                     resize=args.resize or default_resize(spec), quality=args.quality)
    say_split(split, records)
    return records


def default_resize(spec):
    """Return the short side to pack at: 256 for an input of 224, and in that proportion."""
    return round(max(spec.shape[1:]) * 256 / 224)
