"""What freezing pays: the same photographs by every plan, in one table.

    python recipes/freezing_plans.py --data 256_ObjectCategories.tar \\
        --model mobilenet-v2-1.0,0
    python recipes/freezing_plans.py --data photos/ --model resnet-50,0 \\
        --ways "head, cached; logistic" --epochs 4

The ways, each a `mxft finetune` of its own:
  head, lr_mult   every gradient computed, the backbone's multiplied by 0
  head, fixed     no gradient below the head
  head, backbone  the backbone on the inference executor
  head, cached    its features computed once
  logistic        no SGD: logistic regression on the features
  two-stage       logistic, then everything at a lower rate
  full            everything, from a random head

The arithmetic on the Caltech-256 subset: 256 classes x 12 = 3,072 training
images, 6 a class validate. A head takes --epochs at --lr (8 at 0.05, batch 32);
full takes --full-epochs (4) at --full-lr (0.01), two-stage an epoch less, which
is about what its head takes, at --second-lr (0.003) and on the centre crops its
head was fitted on. Momentum 0.9, weight decay 1e-4, cosine.
"""
import dataclasses
import os
import pathlib
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))

from mxft.command import run_command
from mxft.commandline.arguments import add_device_options, add_input_options, input_spec, names_of, real, whole  # noqa: E402
from mxft.commandline.pages import conclude  # noqa: E402
from mxft.commandline.recipes import recipe_parser  # noqa: E402

WAYS = ("head, lr_mult", "head, fixed", "head, backbone", "head, cached", "logistic", "two-stage", "full")


def parser():
    """Return the argument parser."""
    p = recipe_parser("freezing_plans", __doc__)
    p.add_argument("--data", required=True, metavar="PATH", help="folder or .tar of class folders")
    p.add_argument("--model", required=True, metavar="PREFIX,EPOCH", help="checkpoint, or the folder of a run")
    p.add_argument("--ways", default="", metavar="LIST", help="of them, separated by semicolons (default: all)")
    p.add_argument("--per-class", type=whole(1), default=12, metavar="N", help="training images of each (default: 12)")
    p.add_argument("--epochs", type=whole(1), default=8, metavar="N", help="of a head (default: 8)")
    p.add_argument("--full-epochs", type=whole(1), default=4, metavar="N", help="of everything (default: 4)")
    p.add_argument("--lr", type=real(above=0), default=0.05, metavar="R", help="of a head (default: 0.05)")
    p.add_argument("--full-lr", type=real(above=0), default=0.01, metavar="R", help="of everything (default: 0.01)")
    p.add_argument("--second-lr", type=real(above=0), default=0.003, metavar="R",
                   help="of everything after a fitted head (default: 0.003)")
    p.add_argument("--batch-size", type=whole(1), default=32, metavar="N", help="(default: 32)")
    p.add_argument("--seed", type=whole(0), default=0, metavar="N", help="(default: 0)")
    p.add_argument("--work", default="data-cache", metavar="DIR", help="for records (default: data-cache)")
    p.add_argument("--run", metavar="DIR", help="folder for everything (default: runs/freezing-plans, numbered)")
    add_input_options(p)
    add_device_options(p)
    return p


def recipes(args):
    """Return {way: Recipe}."""
    from mxft.features.store import CacheOptions
    from mxft.freeze import FreezeOptions
    from mxft.training.fit import FitOptions
    from mxft.training.recipe import Recipe

    common = {"batch_size": args.batch_size, "schedule": "cosine", "seed": args.seed}
    head = Recipe(plan="head", learning_rate=args.lr, augment=0, **common,
                  fit=FitOptions(args.epochs, momentum=0.9, wd=1e-4))
    full = Recipe(plan="full", learning_rate=args.full_lr, augment=1, **common,
                  fit=FitOptions(args.full_epochs, momentum=0.9, wd=1e-4))
    by_rate = dataclasses.replace(head, freezing=FreezeOptions(method="lr_mult"))
    return {"head, lr_mult": dataclasses.replace(by_rate, fit=dataclasses.replace(head.fit, rewrite=False)),
            "head, fixed": dataclasses.replace(head, frozen_backbone=False), "head, backbone": head,
            "head, cached": dataclasses.replace(head, cache=CacheOptions("memory")),
            "logistic": dataclasses.replace(head, solver="logistic"),
            "two-stage": dataclasses.replace(
                full, plan="two-stage", solver="logistic", learning_rate=args.second_lr, augment=0,
                fit=dataclasses.replace(full.fit, epochs=max(1, args.full_epochs - 1))),
            "full": full}


def main(argv=None):
    """Pack once, train by each plan, print the table."""
    args = parser().parse_args(argv)
    ways = names_of(args.ways, WAYS, "--ways", ";") if args.ways.strip("; ") else WAYS
    from mxft.data.datasets import prepare_records
    from mxft.evaluation.packing import default_resize
    from mxft.files.archive import folder_of
    from mxft.network.checkpoint import load_checkpoint
    from mxft.network.input_spec import InputSpec
    from mxft.training.run import check_run_folder, free_folder
    from mxft.workflows.finetune import finetune

    checkpoint = load_checkpoint(args.model)
    spec = input_spec(args, checkpoint.input_spec, checkpoint.assumed_spec(InputSpec()))
    home = args.run or free_folder(os.path.join("runs", "freezing-plans"))
    check_run_folder(home)
    folder, size = folder_of(args.data, args.work), default_resize(spec)
    prefix = os.path.join(args.work, f"{pathlib.Path(folder).name}-{args.per_class}-{size}-seed{args.seed}", "images")
    records, _ = prepare_records(folder, prefix, args.per_class, args.seed, num_thread=os.cpu_count() or 1, resize=size)
    rows = {}
    for way, recipe in recipes(args).items():
        if way in ways:
            print(f"\n--- {way}", flush=True)
            began = time.perf_counter()
            result = finetune(checkpoint, records, os.path.join(home, way.replace(", ", "-")), recipe, spec, args.gpus,
                              threads=args.data_nthreads)
            seconds = time.perf_counter() - began
            status = conclude(result)
            if result.fit.interrupted:
                return status
            rows[way] = (result, seconds)
    report(rows, home)
    return 0


def report(rows, home):
    """Print and save the table; draw the curves of the ways that have some, and set the runs side by side."""
    from mxft.files.whole import whole_file
    from mxft.report.curves import draw_runs
    from mxft.workflows.reporting import write_comparison

    slowest = max(seconds for _, seconds in rows.values())
    lines = ["| way | validation top-1 | top-5 | seconds, records to checkpoint | times as fast as the slowest |",
             "|---|---|---|---|---|"]
    lines += [f"| {way} | {result.score.top1:.4f} | {result.score.top5:.4f} | {seconds:.1f} | {slowest / seconds:.1f} |"
              for way, (result, seconds) in rows.items()]
    with whole_file(os.path.join(home, "table.md"), "w") as f:
        f.write("\n".join(lines) + "\n")
    curves = {way: [row for row in result.fit.history if row["epoch"]] for way, (result, _) in rows.items()}
    draw_runs({way: history for way, history in curves.items() if history}, os.path.join(home, "curves.png"))
    page = write_comparison([result.run for result, _ in rows.values()], os.path.join(home, "report.html"))
    print("\n" + "\n".join(lines) + f"\n\ntable, curves and pages: {os.path.abspath(page)}")


if __name__ == "__main__":
    sys.exit(run_command("freezing_plans", main))
