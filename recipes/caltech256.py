"""Caltech-256: MXNet's tutorial "Fine-tune with Pretrained Models", whole.

From the photographs to the score (`make caltech256` in a checkout, with
CALTECH256=, MODEL= and so on for these flags):

    python recipes/caltech256.py       # fetches the data set and ResNet-50
    python recipes/caltech256.py --caltech256 256_ObjectCategories.tar \\
        --model resnet-50,0 --gpus 0,1,2,3
    python recipes/caltech256.py --model gluon:resnet50_v1b
    python recipes/caltech256.py --model resnet-50,0 --plan head --epochs 2

Published (batch 128 = 16 images on each of 8 GPUs, lr 0.01, 8 epochs, 60
images a class for training, short side 256, 224 crop, mirror): ResNet-50
77.4 %, ResNet-152 trained on ImageNet-11k 86.4 %. The arithmetic: 256 classes
x 60 = 15,360 training images, 15,360 / 128 = 120 batches an epoch, 960 updates
in all; 29,780 - 15,360 = 14,420 images (without 257.clutter) validate.

Two things differ from the tutorial's script unless asked for. 257.clutter, no
category, is left out (the script trained 256 outputs with 257 labels):
--keep-clutter. Momentum is 0.9, with which few epochs suffice, where the
optimizer has one: --mom 0 is the script's.
"""
import hashlib
import os
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))

from mxft.api.models import is_local  # noqa: E402
from mxft.command import run_command
from mxft.commandline.arguments import (  # noqa: E402
    add_device_options,
    add_input_options,
    add_tensorboard_option,
    input_spec,
    whole,
)
from mxft.commandline.pages import conclude  # noqa: E402
from mxft.commandline.recipes import recipe_parser  # noqa: E402
from mxft.commandline.sources import require_sources  # noqa: E402
from mxft.commandline.training_options import (  # noqa: E402
    add_keeping_options,
    add_training_options,
    keeping_from,
    recipe_from,
)
from mxft.distributed.serving import serve, serves  # noqa: E402
from mxft.errors import InputError  # noqa: E402
from mxft.evaluation.packing import default_resize  # noqa: E402


def parser():
    """Return the argument parser; `make caltech256` passes its variables as these flags."""
    p = recipe_parser("caltech256", __doc__)
    p.add_argument("--caltech256", default="", metavar="PATH", help="folder, .tar or URL (default: downloaded)")
    p.add_argument("--model", default="resnet-50", metavar="PREFIX,EPOCH",
                   help="checkpoint, folder of a run, or zoo name (default: resnet-50)")
    p.add_argument("--per-class", type=whole(1), default=60, metavar="N",
                   help="training images of each class (default: 60)")
    p.add_argument("--keep-clutter", action="store_true", help="257 classes, as the tutorial's records have")
    p.add_argument("--resize", type=whole(1), metavar="N",
                   help="short side of packed images (default: input size x 8/7)")
    p.add_argument("--quality", type=whole(1, 100), default=90, metavar="Q",
                   help="JPEG quality of packed images (default: 90)")
    p.add_argument("--work", default="data-cache", metavar="DIR",
                   help="for photographs and records (default: data-cache)")
    p.add_argument("--run", metavar="DIR", help="run folder (default: runs/caltech256-MODEL-PLAN, numbered)")
    add_training_options(p, momentum=0.9)
    add_keeping_options(p)
    add_tensorboard_option(p, "RUN/tensorboard")
    add_input_options(p)
    add_device_options(p)
    return p


def photographs(source, work):
    """Return the folder of class folders behind a folder, a tar, a URL, or nothing (the data set is fetched)."""
    from mxft import zoo
    from mxft.files import archive, download

    if not source:
        source = zoo.get_dataset("caltech256")
    elif "://" in source:
        name = source.rstrip("/").rsplit("/", 1)[-1].split("?")[0] or "caltech256.tar"
        place = os.path.join(work, "downloads", hashlib.sha256(source.encode()).hexdigest()[:8], name)
        source = download.fetch([source], place, hint="give a folder or .tar with CALTECH256=")
    source = os.path.expanduser(source)
    if not os.path.exists(source):
        raise InputError(f"photographs are missing: expected a folder, a .tar or a URL, received CALTECH256={source!r}")
    return archive.folder_of(source, work)


def find_model(name):
    """Return ``prefix,epoch`` of a local checkpoint, or of a zoo model fetched by name."""
    from mxft import zoo

    return name if is_local(name) else zoo.get_model(name)


def records_of(args, checkpoint, spec, resize):
    """Return the Records of the photographs, fetched, split and packed as far as that was not done before."""
    from mxft.data.datasets import prepare_pictures
    from mxft.data.pictures import open_pictures
    from mxft.training.network import with_kept_head
    from mxft.workflows.told import say_split

    folder = photographs(args.caltech256, args.work)
    pictures = open_pictures(folder, keep_clutter=args.keep_clutter)
    if args.require_head and pictures.target:
        with_kept_head(checkpoint, pictures.target.size, spec.shape)
    name = f"{pathlib.Path(folder).name}-{args.per_class}-{resize}-seed{args.seed}"
    prefix = os.path.join(args.work, name, "caltech-256")
    records, split = prepare_pictures(pictures, prefix, None if pictures.val else args.per_class, seed=args.seed,
                                      num_thread=args.data_nthreads or os.cpu_count() or 1, resize=resize,
                                      quality=args.quality)
    say_split(split, records)
    return records


def main(argv=None):
    """Fetch, split, pack, fine-tune, score."""
    argv = list(sys.argv[1:] if argv is None else argv)
    args = parser().parse_args(argv)
    if serves():
        return serve()
    require_sources(args.caltech256, args.model, argv)
    from mxft.commandline.preflight import check_resize, event_folder, join_workers
    from mxft.files.whole import check_writable
    from mxft.network.checkpoint import load_checkpoint
    from mxft.network.input_spec import InputSpec
    from mxft.training.preparation import check_recipe
    from mxft.training.run import check_run_folder, free_folder
    from mxft.workflows.finetune import finetune

    recipe = recipe_from(args)
    model = find_model(args.model)
    checkpoint = load_checkpoint(model)
    spec = input_spec(args, checkpoint.input_spec, checkpoint.assumed_spec(InputSpec()))
    checked = check_recipe(recipe, checkpoint, spec, args.gpus, args.cpus)
    name = pathlib.Path(model.rpartition(",")[0] or model).name
    default = os.path.join("runs", f"caltech256-{name}-{args.plan}")
    run = args.run or (default if args.resume else free_folder(default))
    resize = args.resize or default_resize(spec)
    check_resize(resize, spec)
    check_writable(args.work, "--work")
    workers = join_workers(args.kv_store)
    events = None
    if workers.writes:
        check_run_folder(run, args.resume)
        events = event_folder(args.tensorboard, os.path.join(run, "tensorboard"), args.resume)
    records = workers.first_then_others(lambda: records_of(args, checkpoint, spec, resize))
    return conclude(finetune(checkpoint, records, run, recipe, spec, args.gpus, args.cpus, args.data_nthreads,
                             keeping_from(args), events, checked))


if __name__ == "__main__":
    sys.exit(run_command("caltech256", main))
