"""``mxft finetune``: put a new head on a checkpoint and train it on a folder of images or on records."""
import logging
import os
import sys

from mxft.commandline.arguments import Parser, add_device_options, add_input_options, add_tensorboard_option, input_spec
from mxft.commandline.auto_plan import choose_plan, takes_auto
from mxft.commandline.data_options import add_data_options, check_data_flags, pictures_from, records_from, target_of
from mxft.commandline.pages import conclude
from mxft.commandline.training_options import (
    add_keeping_options,
    add_training_options,
    check_early,
    keeping_from,
    recipe_from,
)
from mxft.distributed.serving import serve, serves

EXAMPLES = """\
examples:
  mxft finetune --model resnet-50,0 --data photos/ --run runs/photos
  mxft finetune --model resnet-50,0 --records caltech-256-60 --plan head \\
      --run runs/head
  mxft finetune --model resnet-50,0 --train train.rec --val val.rec \\
      --num-classes 256 --run runs/mine
  mxft finetune --model resnet-50,0 --data photos/ --labels tags.csv \\
      --multi-label --run runs/tags

photos/ is what you have: class folders, train/ and val/ folders, a folder with
a table (--multi-label: several labels each; --regression: numbers), a CSV, a
.lst, a tar or zip of these, records. The run folder holds the checkpoints
(model-best.params and the last epoch), model-manifest.json, transfer.json,
log.jsonl, curves.png and report.html.
Without --plan, what suits the pictures is chosen and the reason said; with
one, the other defaults are the MXNet tutorial's.
"""


def parser():
    """Return the argument parser."""
    p = Parser(prog="mxft finetune", description="Put a new head on a checkpoint and train it.", epilog=EXAMPLES)
    p.add_argument("--model", required=True, metavar="PREFIX,EPOCH", help="checkpoint, folder of a run, or zoo name")
    p.add_argument("--run", required=True, metavar="DIR", help="folder for checkpoints and log: new or empty")
    add_data_options(p)
    add_training_options(p, auto=True)
    add_keeping_options(p)
    add_tensorboard_option(p, "RUN/tensorboard")
    add_input_options(p)
    add_device_options(p)
    return p


def main(argv=None):
    """Run ``mxft finetune``; exit status 130 where Ctrl-C ended it, 143 where SIGTERM did."""
    argv = list(sys.argv[1:] if argv is None else argv)
    args = parser().parse_args(argv)
    if serves():
        return serve()
    from mxft.commandline.models import open_model
    from mxft.commandline.preflight import check_resize, event_folder, join_workers
    from mxft.network.input_spec import InputSpec
    from mxft.training.contradictions import refuse_unkept
    from mxft.training.run import check_run_folder
    from mxft.workflows.finetune import finetune

    check_data_flags(args)
    auto = takes_auto(parser, argv, args)
    recipe = recipe_from(args, target_of(args))
    refuse_unkept(recipe, keeping_from(args))
    checkpoint = open_model(args, trained=True)
    spec = input_spec(args, checkpoint.input_spec, checkpoint.assumed_spec(InputSpec()))
    pictures = pictures_from(args, checkpoint)
    checked = check_early(args, recipe, checkpoint, spec, pictures)
    check_resize(args.resize, spec)
    workers = join_workers(args.kv_store)
    events = None
    if workers.writes:
        check_run_folder(args.run, args.resume)
        events = event_folder(args.tensorboard, os.path.join(args.run, "tensorboard"), args.resume)
    if auto:
        args, said = choose_plan(parser, argv, args, checkpoint, spec, pictures)
        recipe = recipe_from(args, target_of(args))
        checked = check_early(args, recipe, checkpoint, spec, pictures)
        if said:
            logging.getLogger("mxft").info(said)
    records = workers.first_then_others(lambda: records_from(args, spec, pictures, _read_once(args, recipe), checked))
    result = finetune(checkpoint, records, args.run, recipe, spec, args.gpus, args.cpus, args.data_nthreads,
                      keeping_from(args), events, checked)
    return conclude(result)


def _read_once(args, recipe):
    """Return the recipe where its pictures may be read in place of being packed; None of a run that had records."""
    from mxft.training.photographs import began_with_records

    return None if args.resume and began_with_records(args.run) else recipe
