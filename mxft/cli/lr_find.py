"""``mxft lr-find``: try growing learning rates on a checkpoint before it is fine-tuned."""
import contextlib
import os
import sys

from mxft.commandline.arguments import Parser, add_device_options, add_input_options, input_spec, real, whole
from mxft.commandline.auto_plan import typed_flags
from mxft.commandline.data_options import add_data_options, check_data_flags, pictures_from, records_from, target_of
from mxft.commandline.training_options import add_training_options, check_early, recipe_from
from mxft.files.staging import scratch_folder

DEFAULT_PREFIX = os.path.join("runs", "lr-find")
UNHEARD = ("lr", "lr_schedule", "lr_step_epochs", "lr_factor", "warmup_epochs", "epochs", "patience", "min_delta",
           "head_epochs", "head_lr", "unfreeze_epochs", "cache_budget", "cache_dir", "val")

EXAMPLES = """\
examples:
  mxft lr-find --model resnet-50,0 --records caltech-256-60 --plan head \\
      --run runs/head
  mxft lr-find --model resnet-50,0 --train train.rec --num-classes 256 \\
      --optimizer adam --start-lr 1e-7 --end-lr 1 --run runs/mine

Take the command of the planned `mxft finetune` and change the verb: flags that
change nothing here, such as --epochs, are named. Without --plan it is full. The
rate rises from --start-lr to --end-lr over --batches batches; the suggestion
is where the smoothed loss falls fastest. It is a starting point: the lowest
loss is too late, a rate three times lower or higher may well be better.

DIR-lr.png and DIR-lr.json are written beside the planned run folder, which is
not touched; without --run runs/lr-find.png and .json. The training runs in a
process of its own: no checkpoint changes.
"""


def parser():
    """Return the argument parser."""
    p = Parser(prog="mxft lr-find", description="Find a learning rate for a planned fine-tuning.", epilog=EXAMPLES)
    p.add_argument("--model", required=True, metavar="PREFIX,EPOCH", help="checkpoint, folder of a run, or zoo name")
    p.add_argument("--run", metavar="DIR",
                   help="planned run folder: names the files that are written (default: runs/lr-find)")
    p.add_argument("--start-lr", type=real(above=0), default=1e-6, metavar="R", help="(default: 1e-6)")
    p.add_argument("--end-lr", type=real(above=0), default=10.0, metavar="R", help="(default: 10)")
    p.add_argument("--batches", type=whole(20), default=100, metavar="N", help="updates to try (default: 100)")
    add_data_options(p)
    add_training_options(p)
    add_input_options(p)
    add_device_options(p)
    return p


def main(argv=None):
    """Run ``mxft lr-find``."""
    argv = list(sys.argv[1:] if argv is None else argv)
    args = parser().parse_args(argv)
    prefix = os.path.normpath(args.run) + "-lr" if args.run else DEFAULT_PREFIX
    args.run = args.run or DEFAULT_PREFIX  # names the packed records too
    from mxft.commandline.models import open_model
    from mxft.commandline.preflight import check_resize
    from mxft.files.whole import check_writable
    from mxft.network.input_spec import InputSpec
    from mxft.workflows.lr_finder import check_search, find_learning_rate

    check_data_flags(args)
    recipe = recipe_from(args, target_of(args))
    check_search(recipe, args.start_lr, args.end_lr, args.batches)
    checkpoint = open_model(args, trained=True)
    spec = input_spec(args, checkpoint.input_spec, checkpoint.assumed_spec(InputSpec()))
    pictures = pictures_from(args, checkpoint)
    check_early(args, recipe, checkpoint, spec, pictures)
    check_resize(args.resize, spec)
    check_writable(os.path.dirname(os.path.abspath(prefix)), "--run")
    with _Bar(args.batches) as bar, _named(checkpoint, args.mean_image) as model:
        found = find_learning_rate(model, records_from(args, spec, pictures), recipe, spec, args.gpus, args.cpus,
                                   args.data_nthreads, args.start_lr, args.end_lr, args.batches, bar)
    _say_unheard(argv)
    _report(found, prefix, f"{os.path.basename(args.model)}, {found.stage}: {args.optimizer}, batch "
                          f"{args.batch_size * args.accumulate}", f"--plan {args.plan} --batch-size {args.batch_size}")


def _say_unheard(argv):
    """Name the flags that belong to the training to come and change nothing in a search for its rate."""
    typed = typed_flags(parser(), argv)
    unheard = [f"--{name.replace('_', '-')}" for name in UNHEARD if name in typed]
    if unheard:
        what = "changes" if len(unheard) == 1 else "change"
        print(f"note: {', '.join(unheard)} {what} nothing here", file=sys.stderr)


@contextlib.contextmanager
def _named(checkpoint, altered):
    """Yield a name the search, a process of its own, can load a checkpoint by: one whose graph was altered is saved."""
    if not altered:
        yield checkpoint.name
        return
    with scratch_folder("lr-find") as folder:
        yield checkpoint.save(os.path.join(folder, "model"), 0)


class _Bar:
    """A tqdm bar on a terminal, nothing elsewhere."""

    def __init__(self, batches):
        self._batches, self._bar = batches, None

    def __enter__(self):
        return self

    def __exit__(self, *error):
        if self._bar is not None:
            self._bar.close()

    def __call__(self, done, rate, loss):
        from tqdm import tqdm

        if self._bar is None:
            self._bar = tqdm(total=self._batches, desc="lr-find", unit=" batches", disable=None, dynamic_ncols=True)
        self._bar.set_postfix_str(f"rate {rate:.2g} loss {loss:.4f}", refresh=False)
        self._bar.update(done - self._bar.n)


def _report(found, prefix, title, beside):
    """Write the picture and the numbers, and say the one line people wait for."""
    import dataclasses

    from mxft.files.whole import write_json
    from mxft.report.lr_plot import draw_learning_rates
    from mxft.training.lr_curve import RULE

    draw_learning_rates(found, prefix + ".png", title)
    write_json(prefix + ".json", {"rule": RULE, **dataclasses.asdict(found)})
    print(f"{title}\n{found.table()}")
    if found.diverged:
        print(f"stopped at {found.rates[-1]:.3g}: the loss diverged")
    print(f"wrote {prefix}.png, {prefix}.json")
    if found.suggestion is None:
        print("no suggestion: the loss did not fall; is the range too low, too high, or the data unlearnable?",
              file=sys.stderr)
    else:
        print(f"suggestion: {beside} --lr {found.suggestion:.2g} ({RULE})")
