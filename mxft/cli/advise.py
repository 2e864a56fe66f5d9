"""``mxft advise``: which plan suits a data set, the command, and why."""
import os
from shlex import quote

from mxft.commandline.arguments import Parser, add_device_options, add_input_options, input_spec, whole
from mxft.commandline.data_options import add_target_options, names, target_kind
from mxft.errors import InputError

EXAMPLES = """\
examples:
  mxft advise --images 500 --classes 10 --similar yes
  mxft advise --data photos/ --model resnet-50,0
  mxft advise --data photos/ --labels tags.csv --multi-label --similar yes

The four cases: few or many images, like or unlike those the network was
trained on. Without --similar a linear classifier on each stage's features of
a sample tells: where an earlier stage's separate better than the last's, the
pictures are unlike.
"""


def parser():
    """Return the argument parser."""
    p = Parser(prog="mxft advise", description="Say which plan suits a data set, with the command and the reason.",
               epilog=EXAMPLES)
    p.add_argument("--images", type=whole(1), metavar="N",
                   help="for training (default: those of --data that mxft finetune trains on)")
    p.add_argument("--classes", type=whole(2), metavar="N", help="(default: those of --data)")
    p.add_argument("--similar", choices=("yes", "no"),
                   help="like what the network was trained on (default: probed on --data with --model)")
    p.add_argument("--data", metavar="PATH", help="pictures, as mxft finetune --data takes them")
    p.add_argument("--exclude", action="append", default=[], metavar="NAME",
                   help="of --data: leave a class folder out; may be repeated")
    p.add_argument("--labels", metavar="TABLE", help="of --data: images and their class, labels or numbers")
    p.add_argument("--label-columns", type=names, default=(), metavar="NAME,NAME",
                   help="of a table: the columns that are labels")
    add_target_options(p, "the targets are")
    p.add_argument("--model", metavar="PREFIX,EPOCH", help="checkpoint, folder of a run, or zoo name")
    p.add_argument("--seed", type=whole(0, 2**31 - 1), metavar="N", help="of the sample (default: 0)")
    add_input_options(p)
    add_device_options(p)
    return p


def main(argv=None):
    """Run ``mxft advise``."""
    args = parser().parse_args(argv)
    from mxft.commandline.splitting import say_pictures
    from mxft.features.advice import advise
    from mxft.training.run import free_folder
    from mxft.workflows.auto_plan import class_ratio, training_images

    kind = target_kind(args) or "classes"
    for flag in ("labels", "label_columns", "exclude"):
        if getattr(args, flag) and not args.data:
            raise InputError(f"--{flag.replace('_', '-')}: expected --data beside it, received none")
    for flag in ("seed", "data_nthreads"):
        if getattr(args, flag) is not None and args.similar:
            raise InputError(f"--{flag.replace('_', '-')}: expected a sample to be probed, received --similar "
                             f"{args.similar}, which says what it would find")
    pictures = _pictures(args)
    images, classes = args.images or (pictures and training_images(pictures)), args.classes or (
        pictures and pictures.target.size)
    if kind == "regression":
        classes = classes or 1
    for flag, value in (("images", images), ("classes", classes)):
        if not value:
            raise InputError(f"advice: expected --{flag} or --data FOLDER, received neither")
    if not args.similar and kind != "classes":
        raise InputError(f"advice: expected --similar yes or no beside --{kind}, received none; it is probed on "
                         "pictures of one class each alone")
    if not args.similar and not (args.data and args.model):
        raise InputError("advice: expected --similar yes or no, or --data and --model to find out, received none")
    advise(images, classes, True, target=kind)
    evidence = None if args.similar else _evidence(args, pictures)
    similar = args.similar == "yes" if args.similar else evidence.similar
    advice = advise(images, classes, similar, None if similar or not evidence else evidence.best_layer, kind,
                    ratio=class_ratio(pictures) if pictures else 1.0)
    if pictures:
        say_pictures(pictures)
    if evidence:
        print(f"similarity, a linear classifier on {evidence.images} images (chance {evidence.chance:.3f}, "
              f"{evidence.seconds:.0f} s):\n{evidence.table()}\n  the last layer's features are "
              f"{'the best, or as good' if similar else f'not the best, those of {evidence.best_layer} are'}: "
              f"{'similar' if similar else 'not similar'} to what the network was trained on")
    print(f"case {advice.case}: {'few' if advice.case in (1, 3) else 'many'} images, "
          f"{'similar' if similar else 'not similar'}\nplan: {advice.plan}\nwhy: {advice.reason}\ncommand:\n"
          f"  mxft finetune --model {quote(args.model or 'PREFIX,EPOCH')} --data {quote(args.data or 'FOLDER')} \\\n"
          f"{stated_flags(args, kind)}    --run {free_folder(os.path.join('runs', 'mine'))} {advice.flags}")


def stated_flags(args, kind):
    """Return the lines of the command that hand on what was said of the table and of the network's input."""
    def listed(values):
        return ",".join(f"{value:g}" for value in values)

    said = {"labels": args.labels or (None if args.data or kind == "classes" else "TABLE"),
            "label-columns": ",".join(args.label_columns), "exclude": args.exclude,
            "image-shape": args.image_shape and listed(args.image_shape),
            "rgb-mean": args.rgb_mean and listed(args.rgb_mean), "rgb-std": args.rgb_std and listed(args.rgb_std),
            "mean-image": args.mean_image, "gpus": args.gpus}
    return "".join(f"    --{flag} {quote(value)} \\\n" for flag, values in said.items() if values
                   for value in (values if isinstance(values, list) else [values]))


def _pictures(args):
    """Return the Pictures under ``--data``, which must have labels."""
    from mxft.data.pictures import open_pictures

    if not args.data:
        return None
    pictures = open_pictures(args.data, target_kind(args), args.labels, args.label_columns or None,
                             exclude=args.exclude)
    pictures.require_every_class()
    return pictures


def _evidence(args, pictures):
    """Probe the checkpoint's layers on a sample of the pictures."""
    from mxft.commandline.models import open_model
    from mxft.devices import contexts
    from mxft.evaluation.packing import default_resize
    from mxft.features.probe import measure_pictures
    from mxft.network.input_spec import InputSpec
    from mxft.network.transfer import check_fits

    context = contexts(args.gpus)[0]
    checkpoint = open_model(args, trained=True)
    spec = input_spec(args, checkpoint.input_spec, checkpoint.assumed_spec(InputSpec()))
    check_fits(checkpoint, spec)
    return measure_pictures(checkpoint, spec, pictures, default_resize(spec), args.seed or 0, args.data_nthreads,
                            context)
