"""MXNet's example/image-classification/fine-tune.py: its flags and its defaults.

    python recipes/fine-tune.py --pretrained-model imagenet11k-resnet-152 \\
        --gpus 0,1,2,3,4,5,6,7 --data-train caltech256-train.rec \\
        --data-val caltech256-val.rec --batch-size 128 --num-classes 256 \\
        --num-examples 15240

Published with this command: 87.3 % on Caltech-256 (example's README). The
arithmetic: 15,240 / 128 = 119 batches an epoch, 30 epochs, 3,572 updates; the
rate is 0.01, and 0.001 from epoch 20 on; no momentum, no weight decay.

--pretrained-model is a name mxft zoo list shows (fetched where it is not
cached), or a prefix with --load-epoch, or prefix,epoch. --model-prefix is the
run folder here: PREFIX/model-0030.params, PREFIX/model-best.params and the
page, PREFIX/report.html.

Two things differ from the example's script. It subtracts 123.68, 116.779,
103.939 whatever the network; here the network's own mean is subtracted (none
from these ResNets, which normalise by themselves), or that of --rgb-mean. Its
head is called fc, and every parameter with fc in its name is dropped; here the
classifier is found in the graph, and the new one has its name.
"""
import os
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))

from mxft.api.models import is_local  # noqa: E402
from mxft.command import run_command
from mxft.commandline.arguments import (  # noqa: E402
    add_device_options,
    add_input_options,
    input_spec,
    numbers,
    real,
    whole,
)
from mxft.commandline.pages import conclude  # noqa: E402
from mxft.commandline.recipes import recipe_parser  # noqa: E402
from mxft.distributed.serving import serve, serves  # noqa: E402
from mxft.errors import InputError  # noqa: E402

FLAGS = {"epochs": "--num-epochs", "layer": "--layer-before-fullc"}  # what messages call these fields


def parser():
    """Return the argument parser; names and defaults are the example's."""
    p = recipe_parser("fine-tune", __doc__)
    p.add_argument("--pretrained-model", required=True, metavar="NAME", help="zoo name, prefix or prefix,epoch")
    p.add_argument("--load-epoch", type=whole(0), metavar="N", help="of a prefix")
    p.add_argument("--layer-before-fullc", default="flatten0", metavar="NAME",
                   help="the layer the new classifier goes on (default: flatten0)")
    p.add_argument("--data-train", required=True, metavar="REC", help="training records")
    p.add_argument("--data-val", metavar="REC", help="validation records")
    p.add_argument("--num-classes", type=whole(2), metavar="N", help="classes (default: the highest label + 1)")
    p.add_argument("--num-examples", type=whole(1), metavar="N", help="training images; they are counted here")
    p.add_argument("--model-prefix", default=os.path.join("runs", "fine-tune"), metavar="PREFIX",
                   help="folder of the run, new or empty (default: runs/fine-tune)")
    p.add_argument("--num-epochs", type=whole(1), default=30, metavar="N", help="(default: 30)")
    p.add_argument("--batch-size", type=whole(1), default=128, metavar="N", help="over all devices (default: 128)")
    p.add_argument("--lr", type=real(least=0), default=0.01, metavar="R", help="learning rate (default: 0.01)")
    p.add_argument("--lr-step-epochs", type=numbers(None), default=(20,), metavar="E,E",
                   help="epochs after which it falls (default: 20)")
    p.add_argument("--lr-factor", type=real(above=0, most=1), default=0.1, metavar="F", help="by this (default: 0.1)")
    p.add_argument("--optimizer", default="sgd", metavar="NAME", help="(default: sgd)")
    p.add_argument("--mom", type=real(least=0, below=1), default=0.0, metavar="M", help="momentum (default: 0)")
    p.add_argument("--wd", type=real(least=0), default=0.0, metavar="W", help="weight decay (default: 0)")
    p.add_argument("--kv-store", default="device", metavar="NAME", help="(default: device)")
    p.add_argument("--seed", type=whole(0), default=0, metavar="N", help="of order, crops and new weights (default: 0)")
    add_input_options(p)
    add_device_options(p)
    return p


def find_model(args):
    """Return ``prefix,epoch`` of the flags, a zoo model fetched where it is not cached."""
    from mxft import zoo

    name = args.pretrained_model
    if args.load_epoch is not None:
        return f"{name},{args.load_epoch}"
    return name if is_local(name) else zoo.get_model(name)


def recipe_of(args):
    """Return the Recipe of the flags: everything trains, by steps of the rate."""
    from mxft.training.fit import FitOptions
    from mxft.training.recipe import Recipe

    fit = FitOptions(epochs=args.num_epochs, optimizer=args.optimizer, momentum=args.mom or None, wd=args.wd,
                     kvstore=args.kv_store)
    steps = tuple(step for step in args.lr_step_epochs if step < args.num_epochs)
    schedule = {"schedule": "step", "lr_steps": steps, "lr_factor": args.lr_factor} if steps else {}
    return Recipe(plan="full", layer=args.layer_before_fullc, batch_size=args.batch_size, learning_rate=args.lr,
                  seed=args.seed, fit=fit, **schedule)


def main(argv=None):
    """Load the checkpoint, replace its classifier, train, score."""
    args = parser().parse_args(argv)
    if serves():
        return serve()
    from mxft.commandline.preflight import join_workers
    from mxft.data.datasets import Records
    from mxft.data.validation import check_images
    from mxft.network.checkpoint import load_checkpoint
    from mxft.network.input_spec import InputSpec
    from mxft.training.preparation import check_recipe
    from mxft.training.run import check_run_folder
    from mxft.workflows.finetune import finetune

    recipe = recipe_of(args)
    for path in filter(None, (args.data_train, args.data_val)):
        if not os.path.isfile(path):
            raise InputError(f"records are missing: expected a .rec file, received {path!r}; mxft split FOLDER PREFIX "
                             "makes PREFIX-train.rec and PREFIX-val.rec of photographs")
    checkpoint = load_checkpoint(find_model(args))
    spec = input_spec(args, checkpoint.input_spec, checkpoint.assumed_spec(InputSpec()))
    checked = check_recipe(recipe, checkpoint, spec, args.gpus, 1)
    if join_workers(args.kv_store).writes:
        check_run_folder(args.model_prefix)
    for path in filter(None, (args.data_train, args.data_val)):
        check_images(path, spec, True, False)
    say_examples(args)
    records = Records(args.data_train, args.data_val, None, args.num_classes)
    return conclude(finetune(checkpoint, records, args.model_prefix, recipe, spec, args.gpus,
                             threads=args.data_nthreads, checked=checked))


def say_examples(args):
    """Say where ``--num-examples`` is not what the records hold: the example's schedule counts on it, this one not."""
    from mxft.data.labels import scan_labels

    count = len(scan_labels(args.data_train).ids)
    if args.num_examples not in (None, count):
        print(f"num-examples: {args.data_train} holds {count:,} images, not {args.num_examples:,}; an epoch is all of "
              "them", file=sys.stderr)


if __name__ == "__main__":
    sys.exit(run_command("fine-tune", main, flags=FLAGS))
