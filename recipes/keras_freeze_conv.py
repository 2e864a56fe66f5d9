"""Keras's "freeze the convolutions", on MobileNetV2: sword or gun?

    python recipes/keras_freeze_conv.py --data caltech256-subset.tar \\
        --classes 001.ak47,209.sword --model mobilenet-v2-1.0,0

As in the Keras script: the convolutions stay as they are; on their average
pool stand Dense 128 relu, Dropout 0.25, Dense 64 relu (He), softmax (Glorot
uniform). Adam at Keras's defaults, 0.001, betas 0.9 and 0.999, epsilon 1e-7.
30 % of each class validate, int(0.3 n). Batch 8, 5 epochs. Of 18 photographs a
class 13 train; 26 // 8 = 3 steps an epoch in Keras, which leaves the rest for
the next; here ceil(26 / 8) = 4, the last filled up, so each counts once.

Translated:
  target_size       squashed to 224 x 224, whatever the proportions
  rotation 30       up to 30 degrees either way; whole degrees
  shear 0.2         Keras means degrees: tan 0.2 = 0.0035 pixels a row. (Its
                    readers mostly take it for a ratio: that is --shear 0.2.)
  corners left open grey 127; Keras smears the border pixels into them
  rescale 1/255     not done: mobilenet-v2-1.0 takes raw 0-255 RGB and scales
                    inside its graph. What a checkpoint expects stands in its
                    manifest, or in --rgb-mean and --rgb-std (255,255,255 is
                    the script's)
  he_normal         normal with the same variance; Keras cuts off its tails
At the end the last epoch is read back, by MXNet's own loader too, and its
predictions and last layer are compared with those training ended with.
"""
import dataclasses
import math
import os
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))

from mxft.command import run_command
from mxft.commandline.arguments import add_device_options, add_input_options, input_spec, real, whole  # noqa: E402
from mxft.commandline.pages import conclude  # noqa: E402
from mxft.commandline.recipes import recipe_parser  # noqa: E402

ROTATION, GREY = 30, 127
SHEAR = math.tan(math.radians(0.2))
ADAM = {"beta1": 0.9, "beta2": 0.999, "epsilon": 1e-7}


def parser():
    """Return the argument parser."""
    p = recipe_parser("keras_freeze_conv", __doc__)
    p.add_argument("--data", required=True, metavar="PATH", help="one folder of images a class, or a .tar of it")
    p.add_argument("--classes", default="", metavar="A,B", help="class folders to take (default: all)")
    p.add_argument("--model", required=True, metavar="PREFIX,EPOCH", help="checkpoint to begin from")
    p.add_argument("--run", metavar="DIR", help="run folder (default: runs/keras-freeze-conv, numbered)")
    p.add_argument("--work", default="data-cache", metavar="DIR", help="for photographs and records")
    p.add_argument("--epochs", type=whole(1), default=5, metavar="N", help="(default: 5)")
    p.add_argument("--batch-size", type=whole(1), default=8, metavar="N", help="(default: 8)")
    p.add_argument("--lr", type=real(above=0), default=0.001, metavar="R", help="learning rate (default: 0.001)")
    p.add_argument("--val-fraction", type=real(above=0, below=1), default=0.3, metavar="F", help="(default: 0.3)")
    p.add_argument("--shear", type=real(least=0, most=1), default=SHEAR, metavar="M", help="(default: 0.0035)")
    p.add_argument("--seed", type=whole(0), default=0, metavar="N", help="of split, order and new weights")
    add_input_options(p)
    add_device_options(p)
    return p


def recipe_from(args):
    """Return the script's network and training as a Recipe."""
    from mxft.compat import mx
    from mxft.data.augmentation import Augmentation
    from mxft.surgery import Dense
    from mxft.training.fit import FitOptions
    from mxft.training.recipe import Recipe

    glorot = mx.init.Xavier(rnd_type="uniform", factor_type="avg", magnitude=3)  # of the output; Dense's own is He's
    return Recipe(plan="head", hidden=(Dense(128, dropout=0.25), Dense(64)), batch_size=args.batch_size,
                  learning_rate=args.lr, augment=Augmentation(rotate=ROTATION, shear=args.shear, fill=GREY),
                  seed=args.seed, fit=FitOptions(epochs=args.epochs, optimizer="adam", optimizer_params=ADAM,
                                                 initializer=glorot))


def prepare(args, size):
    """Pack the photographs squashed to `size` pixels, each class divided by the fraction; return the Records."""
    from mxft.data.datasets import prepare_records
    from mxft.data.splits import all_but
    from mxft.files.archive import folder_of
    from mxft.workflows.told import say_split

    folder = folder_of(args.data, args.work)
    exclude = all_but(folder, [name for name in args.classes.split(",") if name])
    prefix = os.path.join(args.work, f"keras-freeze-conv-{size}-seed{args.seed}", "images")
    records, split = prepare_records(folder, prefix, seed=args.seed, exclude=exclude, val_fraction=args.val_fraction,
                                     num_thread=args.data_nthreads or os.cpu_count() or 1, resize=size, squash=True)
    say_split(split, records)
    return records


def compare_reloaded(result, records, spec, batch_size):
    """Read the last epoch back, by mxft and by MXNet's own loader; print what differs from what training ended with."""
    import numpy as np

    from mxft.compat import mx
    from mxft.data.iterators import RecordIterator
    from mxft.data.labels import scan_labels
    from mxft.evaluation.scoring import score_iterator
    from mxft.inference.executor import InferenceExecutor
    from mxft.network.checkpoint import load_checkpoint, parse_model

    checkpoint = load_checkpoint(result.fit.last)
    count = len(scan_labels(records.val).ids)
    iterator, scores, layers = RecordIterator(records.val, spec, min(batch_size, count), count), [], []
    for symbol, args, auxs in ((checkpoint.symbol, checkpoint.arg_params, checkpoint.aux_params),
                               mx.model.load_checkpoint(*parse_model(result.fit.last))):
        scores.append(score_iterator(InferenceExecutor(symbol, args, auxs, spec.shape, iterator.batch_size), iterator))
        layers.append([args[checkpoint.manifest["head"]["layer"] + part].asnumpy() for part in ("_weight", "_bias")])
    in_training = result.fit.history[-1]
    same = all(np.array_equal(*pair) for pair in zip(*layers))
    print(f"reloaded {result.fit.last}: {scores[0]}\n"
          f"  training ended with top-1 {in_training['val_top1']:.4f}, loss {in_training['val_loss']:.4f}; largest "
          f"difference between the two loaders' scores {np.abs(scores[0].logits - scores[1].logits).max():.2g}\n"
          f"  last layer: weight {layers[0][0].shape}, bias {layers[0][1].shape}, "
          f"{'the same' if same else 'NOT the same'} from both")


def main(argv=None):
    """Pack, train the head on frozen convolutions, save, reload, compare."""
    args = parser().parse_args(argv)
    from mxft.data.labels import scan_labels
    from mxft.files.whole import check_writable
    from mxft.network.checkpoint import load_checkpoint
    from mxft.network.input_spec import InputSpec
    from mxft.training.preparation import check_recipe
    from mxft.training.run import check_run_folder, free_folder
    from mxft.workflows.finetune import finetune

    recipe, checkpoint = recipe_from(args), load_checkpoint(args.model)
    spec = dataclasses.replace(input_spec(args, checkpoint.input_spec, InputSpec()), resize=None)  # squashed instead
    check_recipe(recipe, checkpoint, spec, args.gpus)
    run = args.run or free_folder(os.path.join("runs", "keras-freeze-conv"))
    check_run_folder(run)
    check_writable(args.work, "--work")
    records = prepare(args, max(spec.shape[1:]))
    images, batch = len(scan_labels(records.train).ids), args.batch_size
    print(f"steps an epoch: {images} // {batch} = {images // batch} in Keras, here {-(-images // batch)}, the last "
          "filled up")
    result = finetune(checkpoint, records, run, recipe, spec, args.gpus, threads=args.data_nthreads)
    if not result.fit.interrupted:
        compare_reloaded(result, records, spec, batch)
    return conclude(result)


if __name__ == "__main__":
    sys.exit(run_command("keras_freeze_conv", main))
