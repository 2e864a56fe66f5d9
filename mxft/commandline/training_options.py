"""The flags of a training run, and the Recipe, the Keeping and the early check that are made of them."""
import inspect

from mxft.commandline.arguments import (
    add_engine_options,
    add_memory_options,
    add_resume_options,
    add_setting,
    given_settings,
    numbers,
    typed,
    whole,
)
from mxft.commandline.plan_options import add_plan_options, plan_settings
from mxft.options import STEP_FACTOR, FitOptions, Keeping
from mxft.settings import default_of, kind_of
from mxft.training.recipe import LEVEL, Recipe


def add_training_options(parser, momentum=None, auto=False):
    """Add the flags a training run shares.

    Parameters
    ----------
    parser : argparse.ArgumentParser
    momentum : float, optional
        What ``--mom`` stands at where it is not typed and the optimizer has a momentum; it is never a reason to refuse
        one that has none.
    auto : bool
        Whether a plan may be chosen: see `mxft.commandline.auto_plan`.
    """
    net = parser.add_argument_group("network")
    net.add_argument("--layer", metavar="NAME", help="feature layer (default: found by graph; mxft layers lists them)")
    net.add_argument("--require-head", action="store_true",
                     help="keep the checkpoint's classifier; refuse one for another number of classes")
    net.add_argument("--initializer", metavar="NAME",
                     help="of the new head, any name mx.init knows (default: the tutorial's Xavier)")
    add_plan_options(parser, auto)
    t = parser.add_argument_group("training")
    t.add_argument("--epochs", "--num-epochs", type=typed(kind_of(FitOptions, "epochs")), metavar="N",
                   default=default_of(FitOptions, "epochs"), help="(default: %(default)s)")
    add_setting(t, Recipe, "batch_size", "images over all devices of a process; workers x N make an update of "
                "dist_sync", metavar="N")
    add_memory_options(t, "--batch-size")
    add_setting(t, Recipe, "learning_rate", "learning rate", "--lr", metavar="R")
    add_setting(t, Recipe, "schedule", "constant, step or cosine", "--lr-schedule")
    t.add_argument("--lr-step-epochs", type=numbers(None), metavar="E,E",
                   help="epochs after which the step schedule lowers the rate")
    add_setting(t, Recipe, "lr_factor", "of the step schedule", metavar="F", default=STEP_FACTOR)
    add_setting(t, Recipe, "warmup_epochs", "of linear growth of the rate", metavar="E")
    add_setting(t, FitOptions, "optimizer", "any name mx.optimizer knows")
    add_setting(t, FitOptions, "momentum", "momentum (default: " + (
        "the optimizer's)" if momentum is None else f"{momentum:g} for an optimizer that has one)"), "--mom",
        metavar="M")
    add_setting(t, FitOptions, "wd", "weight decay", metavar="W")
    t.add_argument("--augment", type=int, choices=(0, 1, 2, 3),
                   help="0 centre crop; 1 random crop, mirror; 2 and colour; 3 and rotation, shear (default: "
                        f"{LEVEL}; 0 where --cache keeps one view)")
    t.add_argument("--no-mirror", action="store_true",
                   help="never from left to right: for digits, text and images with a fixed left and right")
    add_setting(t, FitOptions, "patience", "stop after N epochs without a better one; 0 for never", metavar="N")
    add_setting(t, FitOptions, "min_delta", "what counts as better, for --patience", metavar="D", default=0)
    add_setting(t, Recipe, "seed", "of order, augmentation and new weights", metavar="N")
    add_setting(t, FitOptions, "kvstore", "local, device or nccl on one machine; dist_sync, dist_device_sync or "
                "dist_async under mxft launch", "--kv-store")
    add_engine_options(parser, compiles=False)
    t.add_argument("--cpus", type=whole(1), default=1, metavar="N",
                   help="CPU contexts to divide a batch over (default: 1)")
    parser.set_defaults(momentum=momentum)


def add_keeping_options(parser):
    """Add the flags that say what a run keeps, and whether it resumes."""
    k = parser.add_argument_group("keeping", "a state is written at the end of every epoch too")
    add_resume_options(k, "--run")
    add_setting(k, Keeping, "last", "keep the checkpoints of the last K epochs, beside the best", "--keep-last",
                metavar="K")
    add_setting(k, Keeping, "every", "keep every n-th epoch's checkpoint too; 0 for none", "--keep-every", metavar="N")


def keeping_from(args):
    """Turn the flags of `add_keeping_options` into a Keeping."""
    return Keeping(args.keep_every, args.keep_last, args.save_batches, args.save_minutes, args.resume)


def recipe_from(args, target="classes"):
    """Turn the flags of `add_training_options` into a Recipe, which refuses those that contradict each other.

    Parameters
    ----------
    args : argparse.Namespace
    target : {"classes", "multi-label", "regression"}

    Returns
    -------
    mxft.training.recipe.Recipe
    """
    fit = given_settings(args, "epochs", "optimizer", "wd", "initializer", "patience", "min_delta", "label_smoothing",
                         "mixup", "accumulate", "fp16", "precision", "rewrite", "engine", "device", kvstore="kv_store",
                         momentum="mom")
    if args.momentum is not None and _has_momentum(fit.get("optimizer", default_of(FitOptions, "optimizer"))):
        fit.setdefault("momentum", args.momentum)
    recipe = given_settings(args, "layer", "require_head", "batch_size", "lr_factor", "warmup_epochs", "augment",
                            "seed", learning_rate="lr", schedule="lr_schedule", lr_steps="lr_step_epochs")
    return Recipe(**plan_settings(args), **recipe, target=target, mirror=not args.no_mirror, fit=FitOptions(**fit))


def _has_momentum(optimizer):
    """Whether an optimizer takes ``momentum``; an unknown one is refused later, with the nearest names."""
    from mxft.compat import mx

    found = mx.optimizer.Optimizer.opt_registry.get(optimizer.lower())
    return found is not None and "momentum" in inspect.signature(found.__init__).parameters


def check_early(args, recipe, checkpoint, spec, pictures=None):
    """Refuse before anything is packed what cannot be trained; return the CheckedRecipe to continue from."""
    from mxft.training.preparation import check_before_packing

    return check_before_packing(recipe, checkpoint, spec, pictures and pictures.target, args.gpus, args.cpus)
