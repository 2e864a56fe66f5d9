"""PyTorch's two-stage fine-tuning of EfficientNet-B3: the classifier, then all.

    python recipes/pytorch_two_stage.py --data caltech256-subset.tar \\
        --per-class 12 --model mobilenet-v2-1.0,0
    python recipes/pytorch_two_stage.py --data photos --weights b3.params

Source: "How to fine-tune", part 2. photos/ holds one folder of images a class,
or, as the script's ImageFolder, train/ and val/ with one folder a class each.

    stage  trains    batch  Adam lr  from           Caltech subset, updates
    1      new head  256    1e-3     pretrained     3072 / 256 = 12 an epoch
    2      all       64     1e-4     stage 1, best  3072 / 64 = 48 an epoch
    3      all       64     1e-5     best so far    48 an epoch

Weight decay 1e-4, Adam's (added to the gradient), in every stage. Training:
RandomResizedCrop(224, scale .6-1, ratio 3/4-4/3) and mirror. Validation:
Resize(256), CenterCrop(224). Red, green, blue less the ImageNet mean, over its
deviation, where the network takes that (EfficientNet does; mobilenet-v2-1.0
takes raw 0-255). The script ran until it was stopped (10,000 epochs); here
--epochs 8,4,4. At each epoch that beats all before it (of equals, by the loss)
a checkpoint is kept under its accuracy, as efficientnet-b3.photos.0.8173, and
the class names in photos_classes.txt, text and not a pickle.

In stages 2 and 3 an image of a batch takes about 0.15 GB of memory on
mobilenet-v2-1.0 and 0.4 on B3: --batch-sizes 256,16,8 where there is little.

EfficientNet-B3 comes without weights. --weights takes a .params file under the
names of efficientnet_pytorch; from a state_dict m of PyTorch: mx.nd.save(
"b3.params", {k: mx.nd.array(v.numpy()) for k, v in m.items()}). Its static
padding stays the one for its native 300 pixels, as in the script.

Two things differ. Frozen convolutions run in eval mode, without drop connect
and on BatchNorm's moving statistics, at inference speed (the script left
model.train() on). torch's weight decay takes biases too: so it does in
EfficientNet, but not in the new head, nor in other checkpoints.
"""
import dataclasses
import os
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))

from mxft.api.models import is_local  # noqa: E402
from mxft.command import run_command
from mxft.commandline.arguments import add_device_options, add_input_options, input_spec, numbers, whole  # noqa: E402
from mxft.commandline.pages import conclude  # noqa: E402
from mxft.commandline.recipes import recipe_parser  # noqa: E402
from mxft.errors import InputError  # noqa: E402

STAGES = (("head", 256, 1e-3), ("full", 64, 1e-4), ("full", 64, 1e-5))
AREA, ASPECT, WEIGHT_DECAY = (0.6, 1.0), (3 / 4, 4 / 3), 1e-4


def parser():
    """Return the argument parser."""
    p = recipe_parser("pytorch_two_stage", __doc__)
    p.add_argument("--data", required=True, metavar="PATH", help="folder of class folders, or of train/ and val/; .tar")
    p.add_argument("--classes", default="", metavar="A,B", help="class folders to take (default: all)")
    p.add_argument("--per-class", type=whole(1), default=60, metavar="N",
                   help="training images of each class, without train/ (default: 60)")
    p.add_argument("--model", default="efficientnet-b3", metavar="NAME",
                   help="efficientnet-b0 to -b3, a checkpoint, or a zoo name (default: efficientnet-b3)")
    p.add_argument("--weights", metavar="FILE", help="of an EfficientNet, .params (default: random)")
    p.add_argument("--epochs", type=numbers(3, int), default=(8, 4, 4), metavar="N,N,N",
                   help="of the three stages; 0 leaves one out (default: 8,4,4)")
    p.add_argument("--batch-sizes", type=numbers(3, int), default=tuple(row[1] for row in STAGES), metavar="N,N,N",
                   help="(default: 256,64,64)")
    p.add_argument("--run", metavar="DIR", help="run folder (default: runs/two-stage-MODEL, numbered)")
    p.add_argument("--work", default="data-cache", metavar="DIR", help="for photographs and records")
    p.add_argument("--seed", type=whole(0), default=0, metavar="N", help="of split, order and new weights")
    add_input_options(p)
    add_device_options(p)
    return p


def stages(args):
    """Return the stages as Recipes, without those of 0 epochs."""
    from mxft.data.augmentation import Augmentation
    from mxft.training.fit import FitOptions
    from mxft.training.recipe import Recipe

    if min(args.epochs) < 0 or not any(args.epochs) or min(args.batch_sizes) < 1:
        raise InputError("--epochs, --batch-sizes: expected an epoch or more in all and batches of at least 1, "
                         f"received epochs={args.epochs} and batch-sizes={args.batch_sizes}")
    changes = Augmentation(resized_crop=AREA, aspect=ASPECT, rand_mirror=True)
    return [Recipe(plan=plan, batch_size=batch_size, learning_rate=rate, augment=changes, seed=args.seed,
                   fit=FitOptions(epochs=epochs, optimizer="adam", wd=WEIGHT_DECAY))
            for (plan, _, rate), batch_size, epochs in zip(STAGES, args.batch_sizes, args.epochs) if epochs]


def find_checkpoint(args, drop_connect):
    """Return an EfficientNet, the checkpoint of ``--model``, or the zoo's."""
    from mxft import zoo
    from mxft.backbones.efficientnet import VARIANTS, efficientnet_checkpoint
    from mxft.network.checkpoint import load_checkpoint

    if args.model in VARIANTS:
        return efficientnet_checkpoint(args.model, args.weights, seed=args.seed, drop_connect=drop_connect)
    if args.weights:
        raise InputError(f"--weights: expected an EfficientNet beside it ({', '.join(VARIANTS)}), received model="
                         f"{args.model!r}")
    return load_checkpoint(args.model if is_local(args.model) else zoo.get_model(args.model))


def prepare(args, folder, resize):
    """Pack the photographs with short side `resize`: divided as they are, or ``--per-class`` for training."""
    from mxft.data.datasets import prepare_pictures
    from mxft.data.pictures import open_pictures
    from mxft.data.splits import all_but
    from mxft.workflows.told import say_split

    wanted = [name for name in args.classes.split(",") if name]
    inside = os.path.join(folder, "train")
    pictures = open_pictures(folder, exclude=all_but(inside if os.path.isdir(inside) else folder, wanted))
    prefix = os.path.join(args.work, f"two-stage-{pathlib.Path(folder).name}-{resize}-seed{args.seed}", "images")
    records, split = prepare_pictures(pictures, prefix, None if pictures.val else args.per_class, seed=args.seed,
                                      num_thread=args.data_nthreads or os.cpu_count() or 1, resize=resize, quality=95)
    say_split(split, records)
    return records


def with_graph(trained, network, num_classes):
    """Return the checkpoint `trained` on the graph of `network`, whose drop connect is that of full training."""
    from mxft.surgery import attach_head

    return dataclasses.replace(trained, symbol=attach_head(network.symbol, num_classes).symbol)


class BestByName:
    """Keeps each new best under ``PREFIX.ACCURACY``, from the run folders of the stages."""

    def __init__(self, prefix):
        self._prefix, self._epochs, self._best, self.last = prefix, 0, (-1.0, 0.0), None

    def take(self, result):
        """Save what beat everything before it, of equals by the lower loss; remove other epochs' checkpoints."""
        from mxft.network.checkpoint import load_checkpoint, params_path

        place = os.path.join(result.run, "model")
        for row in result.fit.history:
            self._epochs += 1
            if (row["val_top1"], -row["val_loss"]) > self._best:
                self._best = (row["val_top1"], -row["val_loss"])
                checkpoint = load_checkpoint(f"{place},{row['epoch']}")
                checkpoint.manifest["metrics"] = {str(self._epochs): row}
                self.last = checkpoint.save(f"{self._prefix}.{row['val_top1']:.4f}", self._epochs)
                print(f"new best: {self.last}")
        for row in result.fit.history[:-1]:
            os.unlink(params_path(place, row["epoch"]))


def main(argv=None):
    """Pack, then one fine-tuning after another, each from the best so far."""
    args = parser().parse_args(argv)
    from mxft.data.classes import write_classes
    from mxft.evaluation.packing import default_resize
    from mxft.files.archive import folder_of
    from mxft.files.whole import check_writable
    from mxft.network.checkpoint import load_checkpoint
    from mxft.network.input_spec import InputSpec
    from mxft.training.preparation import check_recipe
    from mxft.training.resume.state import Keeping
    from mxft.training.run import check_run_folder, free_folder
    from mxft.workflows.finetune import finetune

    recipes, checkpoint = stages(args), find_checkpoint(args, drop_connect=0.0)
    spec = dataclasses.replace(input_spec(args, checkpoint.input_spec, InputSpec()), resize=None)  # the records' own
    for recipe in recipes:
        check_recipe(recipe, checkpoint, spec, args.gpus)
    model = pathlib.Path(args.model.rpartition(",")[0] or args.model).name
    run = args.run or free_folder(os.path.join("runs", f"two-stage-{model}"))
    check_run_folder(run)
    check_writable(args.work, "--work")
    folder = folder_of(args.data, args.work)
    records = prepare(args, folder, default_resize(spec))
    dataset = pathlib.Path(folder).name
    write_classes(os.path.join(run, f"{dataset}_classes.txt"), records.classes)
    best = BestByName(os.path.join(run, f"{model}.{dataset}"))
    for number, recipe in enumerate(recipes, 1):
        if recipe.plan == "full":
            whole_network = find_checkpoint(args, drop_connect=0.2)
            checkpoint = (with_graph(load_checkpoint(best.last), whole_network, len(records.classes)) if best.last
                          else whole_network)
        print(f"--- stage {number}: {recipe.plan}, batch {recipe.batch_size}, Adam {recipe.learning_rate:g}")
        result = finetune(checkpoint, records, os.path.join(run, f"stage-{number}"),
                          dataclasses.replace(recipe, require_head=best.last is not None), spec, args.gpus,
                          threads=args.data_nthreads, keeping=Keeping(every=1))
        best.take(result)
        print(f"best so far: {best.last}")
        status = conclude(result)
        if result.fit.interrupted:
            return status
    return 0


if __name__ == "__main__":
    sys.exit(run_command("pytorch_two_stage", main))
